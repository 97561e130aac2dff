"""The words around the KPI definitions: terms, reasons for NULL, settings, tables. docs/kpis.md shows them all."""

from retention_pipeline.settings import DEFAULT_ACTIONS

VOCABULARY: dict[str, str] = {
    "business day": "The date of an instant in the setting timezone; a bare date is a business day as it stands.",
    "as_of": "A business day, exclusive: only what happened before its 00:00 counts.",
    "period": "[period_start, period_end) of the grain week (week_start), month, quarter or year (fiscal_year_start).",
    "close": "The earlier of period_end and as_of. A period is complete when period_end ≤ as_of.",
    "opening": "The close of the period before.",
    "state at a boundary": "The state at the end of the day before it. A span of days [s, e) holds at B when s < B "
    "≤ e.",
    "counted order": "Paid or refunded, not a test, customer known, amount above 0 (or 0 with count_zero_value), "
    "not refunded in "
    "full. Dated on its business day.",
    "net amount": "Amount − refunded amount, in the reporting currency at the rate of the order's day, rounded to "
    "2 decimals.",
    "purchase day": "A (customer, business day) with a counted order; several orders of a day are one purchase day.",
    "counted phase": "A subscription phase on a day on which its MRR is above 0 and its status is active, or "
    "past_due on one of "
    "the first count_past_due_days days of an unbroken run that directly follows a counted active day.",
    "MRR": "(Unit price × quantity − recurring discount) ÷ months in the billing interval, of counted phases; a "
    "monthly amount at every grain. A year has 12 months and a quarter 3; a week is 12/52 of a month and a day 12/365.",
    "overlapping phases": "Of one subscription, a phase ends at the latest where the next begins. How many were cut is "
    "in data_quality (overlapping_phases).",
    "plan of a customer": "Of several subscriptions at once, the plan of the counted phase with the highest MRR; of "
    "equal ones the one that started first, then the lower subscription_id.",
    "invoice": "All payment attempts with one invoice_id; an attempt without one is an invoice of its own. It belongs "
    "to the day and the customer of its first attempt: the earliest by instant, ties by payment_id.",
    "unit of e-mail": "A message at a customer, dated on the first day on which it was delivered (email_unit: sent: on "
    "which it was sent, unless it bounced within the window). The window is that day and email_window_days more; what "
    "a machine did counts only where it is said.",
    "active span": "A maximal interval of days on which a customer is active: basis order: each counted order "
    "opens [day, day + "
    "activity_window_days); basis subscription: days with a counted phase; basis any: the union of both.",
    "segment value": "The customer's one value of the dimension for the period: the last that came into force "
    "before the opening, "
    "else the first that comes into force before the close, else (unknown).",
    "n": "The number of units behind the denominator.",
    "interval": "For shares of counted units a 95 % Wilson interval (z = 1.959964) in ci_low, ci_high.",
}

NULL_REASONS: dict[str, str] = {
    "left_truncated": "The figure looks back to days before data_start.",
    "immature": "The figure looks ahead, or needs months, that have not passed yet.",
    "small_n": "The sample is smaller than min_n.",
    "gate_failed": "The data do not meet the conditions of the model behind the figure.",
    "zero_denominator": "There is nothing to divide by.",
    "not_reached": "The curve does not fall to one half.",
}

SETTINGS: dict[str, str] = {
    "timezone": "IANA name; the business day of an instant is its date there. Required.",
    "reporting_currency": "ISO 4217 code of every money figure. Required.",
    "week_start": "Weekday on which weeks begin.",
    "fiscal_year_start": "Month in which quarters and years begin.",
    "activity_window_days": "Days for which an order makes its customer active, the order's day included.",
    "count_zero_value": "Whether orders of amount 0 count.",
    "loyal_purchase_days": "Purchase days within 365 days from which an active customer is loyal.",
    "count_past_due_days": "Days of an unbroken run of past_due that still count as paid.",
    "fx_max_age_days": "Days for which an exchange rate holds; a figure without a rate is an error.",
    "data_start": "First day of trustworthy data; null: the data begin with the business.",
    "cohort_event": "What puts a customer into a cohort: first_activity or signup.",
    "renewal_min_term_months": "Shortest billing interval, in months, whose terms are renewals.",
    "renewal_grace_days": "Days from a term's end on which paying is a renewal, its end included.",
    "payment_recovery_days": "Days in which a failed payment may be recovered.",
    "churn_reason_classes": "End reasons and their class, voluntary or involuntary.",
    "gross_margin": "Share of revenue that clv_subscription counts.",
    "min_n": "Customers that the trailing six months must start with for a lifetime figure.",
    "mau_days": "Days behind a monthly active user.",
    "active_events": "Events that make a user active; null: all.",
    "engagement_cuts": "Active days in 28 from which engagement is low, medium, high.",
    "email_window_days": "Days in which an opening or a click counts for its message.",
    "email_unit": "What makes a message count for a customer: delivered, or sent (and not bounced within the window).",
    "csat_positive": "Scores that count as satisfied, per scale.",
    "industry": "Industry whose benchmarks are compared.",
    "clv_gates": "What the data must fulfil before a predicted lifetime value is given.",
}

TABLES: dict[str, str] = {
    "cohort_retention": "One row per basis, grain, segment, cohort (first active period; with cohort_event signup "
    "the period of "
    "signed_up_at) and age in periods. `active`: members with a purchase day (order), a counted day (subscription) "
    "or either "
    "(any) in the period of that age; `active_or_later`: in it or in a later one; `retention_rate` = active / "
    "cohort_size; "
    "`revenue`: their order revenue, or their MRR at the close; `revenue_retention_rate` = revenue / revenue at "
    "age 0. An "
    "observed zero is 0; cells that start at or after as_of do not exist.",
    "customers_in_period": "One row per grain, period, basis and customer active at the opening, at the close or in "
    "between: `state_at_opening` and `state_at_close` (active, inactive), `movement` (retained, new, reactivated, "
    "lost, transient) and a column per segment dimension. A view: filter by grain and period.",
    "survival_curves": "One row per basis, segment and day t since the first active day, at as_of: Kaplan–Meier of the "
    "days until a customer's first span ends (basis order: window included), censored where it goes on at as_of. "
    "`survival` with its 95 % interval (log-log, Greenwood), `median`: the first day by which it is at most one half.",
    "survival_left_out": "One row per basis and segment: customers in no curve, as their first span may have begun "
    "before data_start.",
    "order_value_by_rank": "One row per cell and rank: orders and revenue of the customers' first, second, … tenth "
    "orders, and of later ones (11). Adds up to orders and order_revenue; none where data_start cuts the opening.",
    "revenue_by_tenure": "One row per cell and half year of tenure: orders, revenue and customers by the whole half "
    "years (calendar months) since their first purchase day. None where data_start cuts the opening.",
    "mrr_movements": "One row per customer, day and movement, in the reporting currency.",
    "mrr_by_currency": "One row per cell and native currency: MRR at the opening and at the close.",
    "mrr_by_plan": "One row per grain, period, plan: MRR at the close of phases of that plan.",
    "lost_by_reason": "One row per cell and end reason: lost customers of basis subscription; adds up to "
    "customers_lost.",
    "payment_failures": "One row per grain, period, segment and failure reason of the first attempt: invoices whose "
    "first attempt failed, and how many of them were recovered so far; adds up to the failures of "
    "failed_payment_rate.",
    "tickets_by_reason": "One row per grain, period, segment and reason: tickets opened; adds up to tickets_opened.",
    "customer_profiles": "One row per customer with a span or a purchase day before as_of, at as_of: first active day "
    "(basis any) and days since, whether active per basis, MRR, R (days since the last purchase day), F (purchase "
    "days) and M (net revenue), and per dimension of the setting segments the value in the month that holds the eve of "
    "as_of. `f_score`, `m_score`: 1 and the cut-points strictly below the value; `r_score`: 5 less them. `rfm_group`: "
    "R ≥ 4 and F ≥ 4 champions; else R ≥ 3 and F ≥ 3 loyal; R ≥ 4 promising; R = 3 needs_attention; F ≥ 3 slipping; "
    "else lapsed. A view over facts.",
    "rfm_cut_points": "One row per measure of RFM and quantile (0.2, 0.4, 0.6, 0.8): the smallest value up to which "
    "lies that share of the customers with a purchase day before the first day of the calendar month that holds the "
    "eve of as_of, reckoned there. So groups move when customers do, cut-points once a month.",
    "at_risk": "One row per customer active in basis any at as_of with a reason to look after them; `reasons` has all, "
    "in this order: cancel_requested (in the unbroken run of counted days of a subscription that holds the eve of "
    "as_of), past_due (a counted phase, on that eve), overdue (active in basis order; days since the last purchase day "
    "> 2 × the customer's mean gap, with less than 3 purchase days > the 0.9 percentile of all gaps of the last 365 "
    "days), inactive (active days once, none in the last mau_days), detractor (the latest NPS answer of the last 180 "
    "days ≤ 6), open_ticket (opened 48 hours before as_of or earlier, not resolved).",
    "customer_actions": "One row per customer, action, subject and due day: what should be done, by the setting "
    "actions (beside business in settings.yaml), each action that it names with its days. Default: ticket_reminder "
    "{ticket_reminder}: a ticket open at as_of, due so many days after its day and by as_of; purchase_follow_up "
    "{purchase_follow_up}: so many days after the latest purchase day, listed while due in the 7 days up to as_of; "
    "payment_failed {payment_failed}: an invoice whose attempts so far all failed, the first in the last "
    "payment_recovery_days, due so many days after it; renewal_due {renewal_due}: a term that ends in [as_of, as_of + "
    "days), due on its end.".format(**{str(action): days for action, days in DEFAULT_ACTIONS.items()}),
    "kpi_attainment": "One row per target of kpi_targets. `value`: the last one, not NULL, of a period that ends after "
    "start_on and by due_on and as_of; `progress` = (value − baseline) / (target − baseline), the baseline where none "
    "is given being the last value before start_on; `elapsed`: the share of the time that has passed; `status`: met, "
    "missed (due and not met), ahead (progress at least elapsed + 0.1), on_track (at least elapsed − 0.1) or behind.",
    "kpi_with_benchmark": "One row per figure of everyone that has a benchmark of the setting industry: of the same "
    "grain, of the latest year up to the period's, of several sources the first by code points; `gap` = value − "
    "benchmark.",
    "order_exclusions": "One row per reason: orders that do not count, each under the first reason that applies of "
    "test, "
    "cancelled, pending, unattributed, negative, zero_value, fully_refunded.",
}
