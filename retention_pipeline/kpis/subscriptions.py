"""KPIs of the family `subscriptions`: MRR and its movements, revenue retention, growth, renewals, classes of churn.

All amounts are in the reporting currency: of period_mrr only the rows with currency 'all' are read. How many
subscribers there are and stay is asked in customers.py (basis subscription).
"""

from dataclasses import replace
from typing import Any

from retention_pipeline.kpis import customers, look_backs
from retention_pipeline.kpis.declaration import (
    ANY_NUMBER,
    SHARE,
    Family,
    Headline,
    Kpi,
    count,
    money,
    proportion,
    ratio,
)
from retention_pipeline.kpis.identities import TOLERANCE, Identity, equal
from retention_pipeline.kpis.measures import balances, flows, once_per_period

FAMILY = Family(
    name="subscriptions",
    label="Subscriptions",
    period_table="period_mrr",
    bases=("subscription",),
    datasets=("subscriptions",),
    measures=(
        *balances("mrr_start", "mrr_end", "mrr_list_end"),
        *flows("mrr_new", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation"),
        *balances("mrr_moved_in", "mrr_moved_out", is_additive=False),
        *balances("paying_customers_end", "customers_open", "mrr_open"),
        *once_per_period(
            "mrr_kept",
            "mrr_kept_and_grown",
            "mrr_cancelled",
            "mrr_new_net",
            "mrr_reactivation_net",
            "customers_with_losses",
            "customers_with_net_losses",
        ),
        *balances("customers_open_12m", "mrr_open_12m", "mrr_kept_12m", "mrr_kept_and_grown_12m"),
        *once_per_period("lost_involuntary", "lost_voluntary", "lost_unknown"),
        *flows("renewals_due"),
        *once_per_period(
            "renewals_pending", "renewals_renewed", "renewals_not_renewed", "renewal_mrr_due", "renewal_mrr_renewed"
        ),
        *flows("cancellations_requested"),
    ),
    further_measures=(*once_per_period("customers_lost"),),
    first_row="the first counted day or cancellation request",
    rows="currency = 'all'",
    trailing=(replace(customers.CHURN_OF_SIX_MONTHS, family=customers.FAMILY),),
)

AT_CLOSE: dict[str, Any] = {
    "settings": (
        "count_past_due_days",
        "reporting_currency",
        "fx_max_age_days",
    ),
    "look_back": (look_backs.CLOSE,),
}
SINCE_OPENING: dict[str, Any] = AT_CLOSE | {"look_back": (look_backs.OPENING,)}
SINCE_12_MONTHS: dict[str, Any] = AT_CLOSE | {"look_back": (look_backs.TWELVE_MONTHS,)}
RENEWALS: dict[str, Any] = {
    "settings": (
        "renewal_min_term_months",
        "renewal_grace_days",
        "count_past_due_days",
    )
}
ONLY_PENDING: dict[str, Any] = {
    "n": "renewals_renewed + renewals_not_renewed",
    "immature_when": "renewals_pending > 0 and renewals_renewed + renewals_not_renewed = 0",
}


def movement(name: str, label: str, sentence: str, better: str) -> Kpi:
    """The sum of one label of movement over the period."""
    return money(
        f"mrr_{name}",
        label,
        f"MRR movements of the period: {sentence}. A customer's total MRR at the end of a day against the end of "
        f"the day "
        "before, both at the rates of that day.",
        FAMILY,
        better=better,
        **SINCE_OPENING,
    )


def net_movement(name: str, label: str, sentence: str, better: str, value: str) -> Kpi:
    """The sum of one label of movement from the opening to the close, whatever happened in between."""
    return money(
        f"mrr_{name}_net",
        label,
        f"From the opening to the close of the period, customer by customer: {sentence}. What happened and was undone "
        "within the period does not show.",
        FAMILY,
        value,
        better=better,
        **SINCE_OPENING,
    )


def churn_class(name: str, sentence: str) -> Kpi:
    """The part of customer churn (basis subscription) that falls into one class of reasons."""
    return proportion(
        f"{name}_churn_rate",
        f"{name.capitalize()} churn rate",
        f"Customers with MRR at the opening and none at the close whose loss is {name} / customers with MRR at the "
        f"opening. " + sentence,
        FAMILY,
        f"lost_{name}",
        "customers_open",
        better="lower",
        settings=(
            "churn_reason_classes",
            "count_past_due_days",
        ),
        look_back=(look_backs.OPENING,),
    )


def revenue_retention(
    name: str,
    label: str,
    sentence: str,
    numerator: str,
    *,
    twelve_months: bool,
    **more: Any,
) -> Kpi:
    """Revenue retention of the customers who paid at the opening, or twelve calendar months before the close."""
    suffix, since = ("_12m", "twelve calendar months before the close") if twelve_months else ("", "at the opening")
    return ratio(
        f"{name}_revenue_retention{suffix}",
        label + (", 12 months" if twelve_months else ""),
        f"Over customers with MRR {since}, at the rates of that day: {sentence} / their MRR {since}.",
        FAMILY,
        numerator + suffix,
        "mrr_open" + suffix,
        n="customers_open" + suffix,
        better="higher",
        **(more | (SINCE_12_MONTHS if twelve_months else SINCE_OPENING)),
    )


KPIS: tuple[Kpi, ...] = (
    money(
        "mrr_start",
        "MRR at the start",
        "MRR at the opening of the period, at the rate of the day before it.",
        FAMILY,
        better="higher",
        **SINCE_OPENING,
    ),
    money(
        "mrr_end",
        "MRR at the end",
        "MRR at the close of the period, at the rate of the day before it.",
        FAMILY,
        better="higher",
        headline=Headline("Subscriptions", 110),
        **AT_CLOSE,
    ),
    money(
        "arr_end",
        "ARR at the end",
        "12 × MRR at the close of the period.",
        FAMILY,
        "12 * mrr_end",
        better="higher",
        **AT_CLOSE,
    ),
    money(
        "mrr_list_end",
        "MRR at list price",
        "MRR at the close of the same phases without their recurring discounts.",
        FAMILY,
        better="higher",
        **AT_CLOSE,
    ),
    movement("new", "New MRR", "from nothing, with no earlier day above 0", "higher"),
    movement("expansion", "Expansion MRR", "increases of an MRR above 0", "higher"),
    movement(
        "contraction", "Contraction MRR", "decreases that leave an MRR above 0, given as a positive amount", "lower"
    ),
    movement("churn", "Churned MRR", "decreases to nothing, given as a positive amount", "lower"),
    movement("reactivation", "Reactivation MRR", "from nothing, with an earlier day above 0", "higher"),
    net_movement("new", "New MRR, net", "MRR at the close, at its rates, without any before", "higher", "mrr_new_net"),
    net_movement(
        "expansion",
        "Expansion MRR, net",
        "more MRR than at the opening, at the opening's rates",
        "higher",
        "mrr_kept_and_grown - mrr_kept",
    ),
    net_movement(
        "contraction",
        "Contraction MRR, net",
        "less MRR than at the opening but above 0, at the opening's rates, given as a positive amount",
        "lower",
        "mrr_open - mrr_kept - mrr_cancelled",
    ),
    net_movement(
        "churn",
        "Churned MRR, net",
        "MRR at the opening, at its rates, of customers with none at the close",
        "lower",
        "mrr_cancelled",
    ),
    net_movement(
        "reactivation",
        "Reactivation MRR, net",
        "MRR at the close, at its rates, with none at the opening but before it",
        "higher",
        "mrr_reactivation_net",
    ),
    money(
        "mrr_moved_in",
        "MRR moved in",
        "Opening MRR of the customers counted under this segment value for this period and under another for the "
        "period "
        "before. Rows for segment values only.",
        FAMILY,
        segments_only=True,
        better="neither",
        **SINCE_OPENING,
    ),
    money(
        "mrr_moved_out",
        "MRR moved out",
        "Opening MRR of the customers counted under this segment value for the period before and under another for "
        "this "
        "period. Rows for segment values only.",
        FAMILY,
        segments_only=True,
        better="neither",
        **SINCE_OPENING,
    ),
    money(
        "mrr_fx",
        "MRR revaluation",
        "MRR at the end − MRR at the start − new − reactivation − expansion + contraction + churn: what exchange "
        "rates did.",
        FAMILY,
        "mrr_end - mrr_start - mrr_new - mrr_reactivation - mrr_expansion + mrr_contraction + mrr_churn",
        valid_range=ANY_NUMBER,
        better="neither",
        **SINCE_OPENING,
    ),
    count(
        "paying_customers_end",
        "Paying customers at the end",
        "Customers with MRR above 0 at the close.",
        FAMILY,
        better="higher",
        headline=Headline("Subscriptions", 120),
        **AT_CLOSE,
    ),
    ratio(
        "arpc",
        "Average MRR per paying customer",
        "MRR at the close / customers with MRR above 0 at the close.",
        FAMILY,
        "mrr_end",
        "paying_customers_end",
        n="paying_customers_end",
        unit="money",
        better="higher",
        headline=Headline("Subscriptions", 130),
        **AT_CLOSE,
    ),
    revenue_retention(
        "gross",
        "Gross revenue retention",
        "the lesser of MRR then and MRR at the close, summed",
        "mrr_kept",
        twelve_months=False,
        valid_range=SHARE,
        headline=Headline("Subscriptions", 150),
    ),
    revenue_retention(
        "net",
        "Net revenue retention",
        "their MRR at the close",
        "mrr_kept_and_grown",
        twelve_months=False,
        headline=Headline("Subscriptions", 140),
    ),
    revenue_retention(
        "gross",
        "Gross revenue retention",
        "the lesser of MRR then and MRR at the close, summed",
        "mrr_kept",
        twelve_months=True,
        valid_range=SHARE,
    ),
    revenue_retention(
        "net",
        "Net revenue retention",
        "their MRR at the close",
        "mrr_kept_and_grown",
        twelve_months=True,
    ),
    ratio(
        "mrr_churn_rate",
        "MRR churn rate",
        "Over customers with MRR at the opening, at the opening's rates: what each has less at the close, summed / "
        "their MRR "
        "at the opening. Exactly 1 − gross_revenue_retention.",
        FAMILY,
        "mrr_open - mrr_kept",
        "mrr_open",
        n="customers_open",
        valid_range=SHARE,
        better="lower",
        headline=Headline("Subscriptions", 160),
        **SINCE_OPENING,
    ),
    ratio(
        "mrr_churn_rate_cancelled",
        "MRR churn rate, cancelled customers only",
        "Opening MRR of the customers with none at the close / opening MRR of all, both at the opening's rates.",
        FAMILY,
        "mrr_cancelled",
        "mrr_open",
        n="customers_open",
        valid_range=SHARE,
        better="lower",
        **SINCE_OPENING,
    ),
    ratio(
        "existing_customer_revenue_growth",
        "Revenue growth of existing customers",
        "Over customers with MRR at the opening, at the opening's rates: (MRR at the close − MRR at the opening) / "
        "MRR at the "
        "opening. Exactly net_revenue_retention − 1.",
        FAMILY,
        "mrr_kept_and_grown - mrr_open",
        "mrr_open",
        n="customers_open",
        valid_range=(-1.0, None),
        better="higher",
        **SINCE_OPENING,
    ),
    ratio(
        "mrr_growth_rate",
        "MRR growth rate",
        "(MRR at the end − MRR at the start) / MRR at the start: includes new customers, reactivation and exchange "
        "rates.",
        FAMILY,
        "mrr_end - mrr_start",
        "mrr_start",
        n="customers_open",
        valid_range=(-1.0, None),
        better="higher",
        **SINCE_OPENING,
    ),
    ratio(
        "net_mrr_churn_rate",
        "Net MRR churn rate",
        "(Churn + contraction − expansion − reactivation) / MRR at the start, from all movements of the period; "
        "negative where "
        "more came than went. Need not equal 1 − net_revenue_retention.",
        FAMILY,
        "mrr_churn + mrr_contraction - mrr_expansion - mrr_reactivation",
        "mrr_start",
        n="customers_open",
        valid_range=ANY_NUMBER,
        better="lower",
        **SINCE_OPENING,
    ),
    ratio(
        "quick_ratio",
        "Quick ratio",
        "(New + reactivation + expansion) / (contraction + churn); not given when nothing was lost. n = customers with "
        "contraction or churn.",
        FAMILY,
        "mrr_new + mrr_reactivation + mrr_expansion",
        "mrr_contraction + mrr_churn",
        n="customers_with_losses",
        better="higher",
        format="decimals",
        headline=Headline("Subscriptions", 170),
        **SINCE_OPENING,
    ),
    ratio(
        "quick_ratio_net",
        "Quick ratio, net",
        "(New + reactivation + expansion) / (contraction + churn), all from the opening to the close; not given when "
        "nothing was lost. n = customers with less MRR than at the opening.",
        FAMILY,
        "mrr_new_net + mrr_reactivation_net + mrr_kept_and_grown - mrr_kept",
        "mrr_open - mrr_kept",
        n="customers_with_net_losses",
        better="higher",
        format="decimals",
        **SINCE_OPENING,
    ),
    count(
        "renewals_due",
        "Renewals due",
        "Subscription terms that end in the period with the phase still counted the day before.",
        FAMILY,
        better="neither",
        **RENEWALS,
    ),
    count(
        "renewals_pending",
        "Renewals pending",
        "Terms that end in the period whose days of grace have not passed by as_of.",
        FAMILY,
        better="neither",
        **RENEWALS,
    ),
    proportion(
        "renewal_rate",
        "Renewal rate",
        "Renewed terms / (renewed + not renewed terms) of those that end in the period and whose days of grace "
        "have passed. "
        "Renewed: on a day of the grace this subscription, or another of the customer that did not count the day "
        "before the "
        "term's end, counts with status active.",
        FAMILY,
        "renewals_renewed",
        "renewals_renewed + renewals_not_renewed",
        better="higher",
        headline=Headline("Subscriptions", 180),
        **(RENEWALS | ONLY_PENDING),
    ),
    ratio(
        "renewal_rate_value",
        "Renewal rate by value",
        "Over the resolved terms that end in the period: the lesser of the MRR that renews the term on the first "
        "such day and "
        "the phase's MRR on the day before the term's end, summed / the latter, at the rate of the day before the "
        "term's end.",
        FAMILY,
        "renewal_mrr_renewed",
        "renewal_mrr_due",
        valid_range=SHARE,
        better="higher",
        **(
            RENEWALS
            | ONLY_PENDING
            | {
                "settings": (
                    *RENEWALS["settings"],
                    "reporting_currency",
                    "fx_max_age_days",
                )
            }
        ),
    ),
    churn_class(
        "involuntary",
        "The phase counted last was past_due then, or its end reason is of the class involuntary.",
    ),
    churn_class(
        "voluntary",
        "The phase counted last was not past_due then, and its end reason is of the class voluntary.",
    ),
    churn_class(
        "unknown",
        "Neither of the other two: no end reason, or one without a class.",
    ),
    count(
        "cancellations_requested",
        "Cancellations requested",
        "Distinct (subscription, day of cancel_requested_at) in the period, of any phase, counted or not.",
        FAMILY,
        better="lower",
    ),
)

IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "net contraction and churn are what MRR churn counts",
        equal("value(mrr_contraction_net) + value(mrr_churn_net)", "numerator(mrr_churn_rate)"),
    ),
    Identity(
        "gross revenue retention is at most 1 and at most net revenue retention",
        f"value(gross_revenue_retention) <= least(1, value(net_revenue_retention)) + {TOLERANCE}",
    ),
    Identity(
        "gross revenue retention over 12 months is at most 1 and at most net revenue retention over 12 months",
        f"value(gross_revenue_retention_12m) <= least(1, value(net_revenue_retention_12m)) + {TOLERANCE}",
    ),
    Identity(
        "MRR churn rate = 1 - gross revenue retention",
        equal("value(mrr_churn_rate)", "1 - value(gross_revenue_retention)"),
    ),
    Identity(
        "revenue growth of existing customers = net revenue retention - 1",
        equal("value(existing_customer_revenue_growth)", "value(net_revenue_retention) - 1"),
    ),
    Identity(
        "cancelled customers lose at most what all lose",
        f"value(mrr_churn_rate_cancelled) <= value(mrr_churn_rate) + {TOLERANCE}",
    ),
    Identity(
        "MRR at the end = start + new + reactivation + expansion - contraction - churn + revaluation",
        equal(
            "value(mrr_start) + value(mrr_new) + value(mrr_reactivation) + value(mrr_expansion) - "
            "value(mrr_contraction) "
            "- value(mrr_churn) + value(mrr_fx)",
            "value(mrr_end)",
            size="value(mrr_start) + value(mrr_new) + value(mrr_reactivation) + value(mrr_expansion)",
        ),
    ),
    Identity(
        "lost customers of all classes of churn are the customers lost",
        equal(
            "numerator(involuntary_churn_rate) + numerator(voluntary_churn_rate) + numerator(unknown_churn_rate)",
            "numerator(customer_churn_rate)",
        ),
    ),
    Identity(
        "paying customers at the end are the customers at the end of basis subscription",
        equal("value(paying_customers_end)", "value(customers_end)"),
    ),
)
