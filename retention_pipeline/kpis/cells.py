"""Cells: the rows of a family's period table with everything beside measures that its KPIs need.

One row per grain, period_start, basis, segment_dimension, segment_value. To the measures come the period's end and
completeness, what `data_start` cuts (one column per LookBack), whether each horizon has passed, the percentiles of
purchase gaps, and the sums behind the trailing monthly churn. Every KPI value is a function of its cell and of the
rules whose fingerprint the cell carries; so cells that did not change have KPI rows that did not change (store.py).
"""

from __future__ import annotations

from retention_pipeline.kpis.declaration import Family, LookBack
from retention_pipeline.kpis.gaps import GAPS_MARK, QUANTILES, gap_quantiles
from retention_pipeline.kpis.keys import KEY, same_key
from retention_pipeline.kpis.registry import HORIZONS
from retention_pipeline.kpis.rules import Rules, date_literal, text_literal

TRAILING_MONTHS = 6


def is_cut(boundary: str, rules: Rules) -> str:
    """SQL: the state at the boundary, of the basis of the measures, depends on days before `data_start`."""
    if rules.data_start is None:
        return "false"
    start = date_literal(rules.data_start)
    without_window = f"{boundary} <= {start}"
    if not rules.orders_connected:
        return without_window
    with_window = f"{boundary} - {rules.activity_window_days} < {start}"
    return f"case when measures.basis = 'subscription' then {without_window} else {with_window} end"


def cuts(rules: Rules) -> dict[LookBack, str]:
    """SQL per look-back: `data_start` cuts it."""
    year = "false" if rules.data_start is None else f"closes.close - 365 < {date_literal(rules.data_start)}"
    earliest = "greatest(first_months.first_month, closes.first_trailing_month)"
    has_months = "coalesce(first_months.first_month < closes.boundary, false)"
    return {
        LookBack.OPENING: is_cut("measures.period_start", rules),
        LookBack.CLOSE: is_cut("closes.close", rules),
        LookBack.TWELVE_MONTHS: is_cut("closes.close_12m", rules),
        LookBack.YEAR_OF_ORDERS: year,
        LookBack.TRAILING_MONTHS: f"{has_months} and {is_cut(earliest, rules)}",
    }


def closes(rules: Rules) -> str:
    """SQL: one row per grain and period, with its close and the calendar months that lie behind it."""
    as_of = date_literal(rules.as_of)
    return f"""closes as (
    select
        *,
        cast(close - to_months(12) as date) as close_12m,
        cast(date_trunc('month', close) as date) as boundary,
        cast(date_trunc('month', close) - to_months({TRAILING_MONTHS}) as date) as first_trailing_month
    from (select grain, period_start, period_end, is_complete, least(period_end, {as_of}) as close from periods)
)"""


def trailing(customer_months: str) -> str:
    """SQL: per basis, segment and month boundary, customers at the start and lost, summed over the six months before.

    `customer_months` names a relation with one row per grain, period, basis and segment; an absent row reads as 0.
    """
    return f"""months as (
    select basis, segment_dimension, segment_value, period_start, customers_start, customers_lost
    from {customer_months}
    where grain = 'month'
),
first_months as (
    select basis, min(period_start) as first_month from months where segment_dimension = 'all' group by basis
),
trailing_sums as (
    select
        basis,
        segment_dimension,
        segment_value,
        cast(period_start + to_months(cast(ahead.n as integer)) as date) as boundary,
        cast(sum(customers_start) as bigint) as customers_start,
        cast(sum(customers_lost) as bigint) as customers_lost,
        cast(sum(case when ahead.n = {TRAILING_MONTHS} then customers_start else 0 end) as bigint) as first_start
    from months
    cross join range(1, {TRAILING_MONTHS + 1}) as ahead (n)
    group by all
)"""


def cells_statement(
    family: Family, rules: Rules, customer_months: str = "period_customers", kept_gaps: str | None = None
) -> str:
    """SQL: the cells of one family, ordered so that a segment's history lies together.

    `kept_gaps` names an earlier run's cells, whose percentiles of purchase gaps may be taken over (gaps.py).
    """
    parts = [closes(rules), trailing(customer_months)]
    columns = [f"measures.{name}" for name in KEY]
    columns += ["closes.period_end", "closes.is_complete"]
    columns += [f"measures.{name}" for name in family.measures]
    columns += [f"{condition} as {look_back.value}" for look_back, condition in cuts(rules).items()]
    columns += [
        "coalesce(first_months.first_month > closes.first_trailing_month, true) as trailing_is_short",
        "coalesce(trailing_sums.customers_start, 0) as trailing_customers_start",
        "coalesce(trailing_sums.customers_lost, 0) as trailing_customers_lost",
        "coalesce(trailing_sums.first_start, 0) as trailing_first_start",
    ]
    gaps_join = ""
    if family.period_table == "period_orders":
        parts.append(gap_quantiles(kept_gaps))
        columns += [
            f"{mature_column(days, f'closes.period_end + {days} <= {date_literal(rules.as_of)}')}" for days in HORIZONS
        ]
        columns += [f"quantiles.{name}" for name in (*QUANTILES, GAPS_MARK)]
        gaps_join = f"\nleft join quantiles on {same_key('measures', 'quantiles')}"
    columns.append(f"{text_literal(rules.fingerprint)} as rules_fingerprint")
    return f"""with {", ".join(parts)}
select
    {("," + chr(10) + "    ").join(columns)}
from {family.period_table} as measures
inner join closes on measures.grain = closes.grain and measures.period_start = closes.period_start
left join first_months on measures.basis = first_months.basis
left join trailing_sums
    on measures.basis = trailing_sums.basis
    and measures.segment_dimension = trailing_sums.segment_dimension
    and measures.segment_value = trailing_sums.segment_value
    and closes.boundary = trailing_sums.boundary{gaps_join}{f" where {family.rows}" if family.rows else ""}
order by measures.basis, measures.segment_dimension, measures.segment_value, measures.grain, measures.period_start"""


def mature_column(days: int, condition: str) -> str:
    """SQL: a cell column that says whether everything of the period has had `days` days."""
    return f"{condition} as is_mature_{days}d"
