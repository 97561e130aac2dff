"""The facts that put a customer into a figure, in words: which order day, which phase, which answer.

FACTS has, per kind of fact, a query over the published facts that gives customer_key, day and words. They name the
days of a cell: $opening (period_start), $close, $previous (the start of the period before), $months (six calendar
months before the close), $year (365 days before it), $year_ago (12 calendar months), $window (mau_days before it).
"""

from __future__ import annotations

from collections.abc import Iterable

OPEN_END = "date '9999-12-31'"
MONEY = "cast({0} as decimal(38, 2))"


def _spans(since: str) -> str:
    return f"""
    select customer_key, start_date as day, 'active ' || case when span_number > 1 then 'again ' else '' end
        || 'from ' || start_date || case when end_date = {OPEN_END} then ' on' else ' until ' || (end_date - 1) end
        as words
    from int_active_spans
    where (basis = $basis or (is_only_basis and $basis = 'any')) and start_date < $close and end_date >= {since}"""


def _purchases(since: str, until: str) -> str:
    return f"""
    select customer_key, purchase_date as day, purchase_date || ': ' || orders || case when orders = 1 then ' order'
        else ' orders' end || ' of ' || {MONEY.format("revenue")} || case when day_number = 1
        then ', the first purchase' else '' end as words
    from int_purchase_days where purchase_date >= {since} and purchase_date < {until}"""


def _active_days(since: str, until: str) -> str:
    return f"""
    select customer_key, max(active_date) as day, 'active on ' || count(*) || case when count(*) = 1 then ' day, '
        else ' days, last on ' end || max(active_date) as words
    from int_active_days where active_date >= {since} and active_date < {until} group by customer_key"""


def _mrr(moment: str, word: str) -> str:
    return f"""
    select customer_key, change_date as day, 'MRR ' || {MONEY.format("mrr_after")} || ' ' || currency
        || ' at the {word}, since ' || change_date as words
    from int_mrr_changes where change_date < {moment} and {moment} <= next_change_date and mrr_after > 0"""


def _invoices(condition: str = "") -> str:
    return f"""
    select customer_key, attempted_date as day, coalesce('invoice ' || invoice_id, 'payment') || ' of '
        || attempted_date || case when is_failed then ' failed, ' || failure_reason else '' end
        || case when succeeded_date < $as_of and is_failed then ', paid on ' || succeeded_date else '' end as words
    from int_invoices where attempted_date >= $opening and attempted_date < $close{condition}"""


FACTS: dict[str, str] = {
    "spans": _spans("$opening"),
    "spans of six months": _spans("$months"),
    "purchases": _purchases("$opening", "$close"),
    "purchases before": _purchases("$previous", "$opening"),
    "purchases of a year": _purchases("$year", "$close"),
    "purchases to date": f"""
    select customer_key, purchase_date as day, day_number || case when day_number = 1 then ' purchase day'
        else ' purchase days' end || ' to date, last on ' || purchase_date || ', ' || {MONEY.format("revenue_to_date")}
        || ' in all' as words
    from int_purchase_days where purchase_date < $close and (next_date is null or next_date >= $close)""",
    "gaps": """
    select customer_key, purchase_date as day, purchase_date || ': ' || (purchase_date - previous_date)
        || case when purchase_date - previous_date = 1 then ' day after ' else ' days after ' end || previous_date
        as words
    from int_purchase_days where purchase_date >= $opening and purchase_date < $close and previous_date is not null""",
    "second purchase": """
    select customer_key, purchase_date as day, 'first purchase on ' || purchase_date || coalesce(', the next on '
        || next_date, ', none since') as words
    from int_purchase_days where purchase_date >= $opening and purchase_date < $close and day_number = 1""",
    "refunds": f"""
    select customer_key, refunded_date as day, refunded_date || ': refund of ' || {MONEY.format("refunded")} as words
    from int_refunds where refunded_date >= $opening and refunded_date < $close""",
    "mrr at the opening": _mrr("$opening", "opening"),
    "mrr at the close": _mrr("$close", "close"),
    "mrr a year ago": _mrr("$year_ago", "day 12 months ago"),
    "mrr changes": f"""
    select customer_key, change_date as day, change_date || ': MRR ' || {MONEY.format("mrr_before")} || ' → '
        || {MONEY.format("mrr_after")} || ' ' || currency as words
    from int_mrr_changes where change_date >= $opening and change_date < $close and mrr_before <> mrr_after""",
    "movements": f"""
    select customer_key, movement_date as day, movement_date || ': ' || movement || ' of ' || {MONEY.format("amount")}
        as words
    from int_mrr_movements where movement_date >= $opening and movement_date < $close""",
    "losses": """
    select customer_key, end_date as day, 'subscription ' || subscription_id || ' ended on ' || end_date
        || case when is_past_due then ', past due' else '' end || coalesce(', reason ' || end_reason, '') as words
    from int_lost_classes where end_date >= $opening and end_date < $close""",
    "terms": f"""
    select customer_key, term_date as day, 'term of ' || subscription_id || ' ended on ' || term_date || ', '
        || {MONEY.format("mrr_due")} || case when resolved_date > $as_of then ', pending'
        else coalesce(', renewed on ' || renewed_date, ', not renewed') end as words
    from int_terms where term_date >= $opening and term_date < $close""",
    "cancel requests": """
    select customer_key, request_date as day, 'cancellation of ' || subscription_id || ' requested on ' || request_date
        as words
    from int_cancel_requests where request_date >= $opening and request_date < $close""",
    "invoices": _invoices(),
    "failed invoices": _invoices(" and is_failed"),
    "active days": _active_days("$opening", "$close"),
    "active days before": _active_days("$previous", "$opening"),
    "active days of the window": _active_days("$window", "$close"),
    "active days of a week": _active_days("$week", "$close"),
    "active days of a year": _active_days("$year", "$close"),
    "sessions": """
    select customer_key, active_date as day, active_date || ': ' || sum(events) || ' timed events, '
        || round(sum(duration_seconds * events) / 60) || ' minutes' as words
    from int_session_lengths where active_date >= $opening and active_date < $close
    group by customer_key, active_date""",
    "answers": """
    select customer_key, responded_date as day, kind || ' ' || score || ' of ' || scale_max || ' on '
        || responded_date || ' (' || response_id || ')' as words
    from int_survey_answers where responded_date >= $opening and responded_date < $close""",
    "messages": """
    select customer_key, unit_date as day, 'message ' || message_id || ' of ' || unit_date
        || case when opened_raw_date < $as_of then ', opened ' || opened_raw_date else '' end
        || case when clicked_date < $as_of then ', clicked ' || clicked_date else '' end as words
    from int_email_units where unit_date >= $opening and unit_date < $close
        and (bounced_date is null or bounced_date >= $as_of)""",
    "tickets": """
    select customer_key, opened_date as day, 'ticket ' || ticket_id || ' opened ' || opened_date || ', ' || reason
        || case when first_reply_date < $as_of then ', replied ' || first_reply_date else '' end
        || case when resolved_date < $as_of then ', resolved ' || resolved_date else '' end as words
    from int_tickets where (opened_date >= $opening and opened_date < $close)
        or (first_reply_date >= $opening and first_reply_date < $close)
        or (resolved_date >= $opening and resolved_date < $close)""",
}
# Which facts stand behind a measure: by the measure, else by a prefix of it, else those of the family.
OF_MEASURES: dict[str, tuple[str, ...]] = {
    "trailing_": ("spans of six months",),
    "customers_joined_6m": ("spans of six months",),
    "buyers_returning": ("purchases before", "purchases"),
    "ordering_customers_previous": ("purchases before",),
    "buyers_to_date": ("purchases to date",),
    "repeat_buyers_": ("purchases to date",),
    "revenue_to_date": ("purchases to date",),
    "loyal_customers": ("purchases of a year",),
    "ordering_customers_365d": ("purchases of a year",),
    "order_revenue_365d": ("purchases of a year",),
    "purchase_days_365d": ("purchases of a year",),
    "purchase_gap": ("gaps",),
    "first_time_buyers": ("second purchase",),
    "repurchased_": ("second purchase",),
    "refunds_": ("refunds",),
    "mrr_start": ("mrr at the opening",),
    "mrr_open_12m": ("mrr a year ago",),
    "customers_open_12m": ("mrr a year ago",),
    "mrr_open": ("mrr at the opening",),
    "customers_open": ("mrr at the opening",),
    "mrr_moved_": ("mrr at the opening",),
    "mrr_end": ("mrr at the close",),
    "mrr_list_end": ("mrr at the close",),
    "paying_customers_end": ("mrr at the close",),
    "mrr_kept": ("mrr at the opening", "mrr changes"),
    "mrr_kept_12m": ("mrr a year ago", "mrr at the close"),
    "mrr_kept_and_grown_12m": ("mrr a year ago", "mrr at the close"),
    "mrr_new_net": ("mrr changes",),
    "mrr_reactivation_net": ("mrr changes",),
    "mrr_cancelled": ("mrr at the opening", "mrr changes"),
    "customers_with_": ("movements",),
    "mrr_": ("movements",),
    "lost_": ("losses",),
    "renewal": ("terms",),
    "cancellations_": ("cancel requests",),
    "wau": ("active days of a week",),
    "mau": ("active days of the window",),
    "yau": ("active days of a year",),
    "index_": ("active days of the window", "spans"),
    "active_dormant": ("active days before",),
    "active_returning": ("active days before", "active days"),
    "session_": ("sessions",),
    "invoices_failed": ("failed invoices",),
    "invoices_recovered": ("failed invoices",),
}
OF_FAMILIES: dict[str, tuple[str, ...]] = {
    "customers": ("spans",),
    "orders": ("purchases",),
    "subscriptions": ("movements",),
    "payments": ("invoices",),
    "engagement": ("active days",),
    "surveys": ("answers",),
    "emails": ("messages",),
    "tickets": ("tickets",),
    "acquisition": ("spans",),
}


def kinds_behind(measures: Iterable[tuple[str, str]]) -> list[str]:
    """The kinds of facts behind (measure, family that counts it), each once, in a fixed order."""
    wanted: set[str] = set()
    for measure, family in measures:
        named = OF_MEASURES.get(measure)
        prefixes = [prefix for prefix in OF_MEASURES if measure.startswith(prefix) and family != "customers"]
        if measure.startswith("trailing_"):
            prefixes = ["trailing_"]
        wanted |= {*(named or (OF_MEASURES[max(prefixes, key=len)] if prefixes else OF_FAMILIES[family]))}
    if "invoices" in wanted:
        wanted.discard("failed invoices")
    return [kind for kind in FACTS if kind in wanted]
