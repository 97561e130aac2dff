"""Forms of one figure reconciled: which customers make one form differ from another, and why.

Each pair of forms declares its difference as reasons, expressions over the measures of a customer. Per part (numerator,
denominator) the differences of all reasons add up to the part of variant_b less that of variant_a. Nothing is stored;
the measures are those of the cell's members.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.members import Cell, columns_in, measures_query, parts_of, with_ids
from retention_pipeline.read.published import UnknownName

COLUMNS = ("grain", "period_start", "variant_a", "variant_b", "part", "customer_id", "reason", "difference")
Reasons = dict[str, str]


@dataclass(frozen=True)
class Variants:
    """Two forms of a figure: by part, reason → what a customer adds for it to variant_b less variant_a."""

    a: str
    b: str
    reasons: dict[str, Reasons]


MORE_SPANS: Reasons = {
    "ended a span and was back by the close": "case when customers_start = 1 and customers_lost = 0 "
    "then churn_events else 0 end",
    "lost, and ended more than one span": "case when customers_lost = 1 then churn_events - 1 else 0 end",
    "not there at the opening; came and ended a span": "case when customers_start = 0 then churn_events else 0 end",
}
JOINED: Reasons = {"joined in the period": "customers_joined"}
EARLIER_BUYERS: Reasons = {"bought before, not in the period": "buyers_to_date - ordering_customers"}
VARIANTS: tuple[Variants, ...] = (
    Variants("customer_churn_rate", "churn_rate_events", {"numerator": MORE_SPANS, "denominator": {}}),
    Variants("customer_churn_rate", "churn_rate_stripe", {"numerator": MORE_SPANS, "denominator": JOINED}),
    Variants("churn_rate_events", "churn_rate_stripe", {"numerator": {}, "denominator": JOINED}),
    Variants(
        "customer_retention_rate",
        "customer_retention_rate_formula",
        {
            "numerator": {"came back: there at the close, neither new nor retained": "customers_reactivated"},
            "denominator": {},
        },
    ),
    Variants("repeat_purchase_rate", "repeat_purchase_rate_base", {"numerator": {}, "denominator": EARLIER_BUYERS}),
    Variants(
        "repeat_purchase_rate",
        "returning_customer_rate",
        {
            "numerator": {"bought on one day of the period, and before it": "returning_customers - repeat_customers"},
            "denominator": {},
        },
    ),
    Variants(
        "repeat_purchase_rate",
        "repeat_customer_rate",
        {
            "numerator": {
                "bought on two days or more, on at most one of the period": "repeat_buyers_to_date - repeat_customers"
            },
            "denominator": EARLIER_BUYERS,
        },
    ),
    Variants(
        "mrr_churn_rate",
        "mrr_churn_rate_cancelled",
        {
            "numerator": {"pays less and is still there": "-(mrr_open - mrr_kept - mrr_cancelled)"},
            "denominator": {},
        },
    ),
    Variants(
        "mrr_churn_rate",
        "net_mrr_churn_rate",
        {
            "numerator": {
                "expansion": "-mrr_expansion",
                "reactivation": "-mrr_reactivation",
                "fell and rose again, or at other rates": "mrr_churn + mrr_contraction - mrr_open + mrr_kept",
            },
            "denominator": {},
        },
    ),
)


def variants_of(kpi: str) -> list[Variants]:
    """The pairs that a KPI is part of. Raises UnknownName where it has none."""
    found = [pair for pair in VARIANTS if kpi in (pair.a, pair.b)]
    if not found:
        known = sorted({name for pair in VARIANTS for name in (pair.a, pair.b)})
        raise UnknownName(f"{kpi} has no other forms; these have: {', '.join(known)}")
    return found


def variant_differences(
    connection: duckdb.DuckDBPyConnection, pair: Variants, cell: Cell, *, database: str | None = None
) -> str:
    """SQL: the rows (COLUMNS) of one pair for one cell; none where a customer counts alike in both."""
    family = BY_ID[pair.a].family
    reasons = [(part, reason, text) for part, texts in pair.reasons.items() for reason, text in texts.items()]
    words = {"case", "when", "then", "else", "end", "and"}
    measures = sorted(set().union(*(columns_in(text) for _, _, text in reasons)) - words) if reasons else []
    rows = measures_query(connection, family, measures, cell, database)
    parts = [
        f"select customer_id, {text_literal(part)} as part, {text_literal(reason)} as reason, {text} as difference "
        f"from measures"
        for part, reason, text in reasons
    ]
    return f"""with measures as ({with_ids(rows, measures, database)})
select
    {text_literal(cell.grain)} as grain,
    {date_literal(cell.period_start)} as period_start,
    {text_literal(pair.a)} as variant_a,
    {text_literal(pair.b)} as variant_b,
    part,
    customer_id,
    reason,
    difference
from ({" union all ".join(parts)})
where difference <> 0
order by part desc, reason, abs(difference) desc, customer_id"""


def difference_of_parts(pair: Variants) -> dict[str, str]:
    """By part, the expression of variant_b less that of variant_a over the cell's columns."""
    a, b = parts_of(BY_ID[pair.a]), parts_of(BY_ID[pair.b])
    return {part: f"({b[part]}) - ({a[part]})" for part in a}
