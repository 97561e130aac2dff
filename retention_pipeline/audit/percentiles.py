"""What must hold of percentiles and medians: they lie where they must among the values of their histogram, or on their
survival curve.

Asked of the published figure and the counts alone, not by the way in which the figure is computed (kpis/histograms.py,
macros/kaplan_meier.sql): how many values are below it, how many at most as great, and which are its neighbours.
"""

from __future__ import annotations

import re

from retention_pipeline.audit.shapes import CELL, Rule
from retention_pipeline.kpis.declaration import Family, Kpi
from retention_pipeline.kpis.inputs import Histogram
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.registry import FAMILIES, KPIS
from retention_pipeline.kpis.rules import text_literal

# Relative, of a value that was divided; a histogram's values are whole numbers.
NEAR = 1e-9
# The curve has come down to one half, or has not: between them either may be said.
HALVED, NOT_HALVED = "0.5 + 1e-11", "0.5 + 1e-13"
WAITS, MEDIAN_WAIT = "int_purchase_wait_flows", "time_to_next_purchase_km_median"


def percentile_rules() -> list[Rule]:
    """One per histogram, and that of the curve of waits."""
    return [*(rule_of(family, histogram) for family in FAMILIES for histogram in family.histograms), rule_of_waits()]


def percentiles_of(family: Family, histogram: Histogram) -> list[tuple[Kpi, str, str]]:
    """The KPIs that are a percentile of the histogram, with its column of the cell and the fraction."""
    fractions = dict(histogram.quantiles)
    return [
        (kpi, name, fractions[name])
        for kpi in KPIS
        if kpi.family is family and kpi.value
        for name in re.findall(r"[a-z]\w*", kpi.value)
        if name in fractions
    ]


def rule_of(family: Family, histogram: Histogram) -> Rule:
    """Every percentile of the histogram, in every cell that has one or should have."""
    kpis = percentiles_of(family, histogram)
    cell = ", ".join(CELL)
    given, counted, broken = [], [], []
    for number, (kpi, name, fraction) in enumerate(kpis):
        of_kpi = f"filter (where kpi = {text_literal(kpi.id)})"
        given.append(
            f"any_value(value) {of_kpi} as value_{number}, any_value(n) {of_kpi} as n_{number}, "
            f"coalesce(bool_or(null_reason = 'zero_denominator') {of_kpi}, false) as is_empty_{number}"
        )
        # The values in the figure's unit: the figure is this of the percentile.
        of_one = re.sub(rf"\b{name}\b", f"counted.{histogram.value}", kpi.value or "")
        one = f"cast({of_one} as double)"
        near = f"{NEAR} * greatest(1, abs(value_{number}))"
        below, reached = f"{one} < value_{number} - {near}", f"{one} <= value_{number} + {near}"
        counted.append(
            f"coalesce(sum(counted.{histogram.count}) filter (where {below}), 0) as below_{number}, "
            f"sum(counted.{histogram.count}) filter (where {reached}) as reached_{number}, "
            f"max({one}) filter (where {reached}) as low_{number}, "
            f"min({one}) filter (where not ({below})) as high_{number}"
        )
        at = f"((total - 1) * cast({fraction} as double))"
        low, high = f"low_{number}", f"high_{number}"
        is_one = f"{low} = {high} and below_{number} <= floor({at}) and ceil({at}) < reached_{number}"
        is_between = f"{low} < {high} and below_{number} = floor({at}) + 1"
        is_between += f" and abs({low} + ({at} - floor({at})) * ({high} - {low}) - value_{number}) <= {near}"
        is_absent = f"value_{number} is null and not (is_empty_{number} and coalesce(total, 0) > 0)"
        is_right = f"(({is_one} or {is_between}) and n_{number} = total) or {is_absent}"
        broken.append(
            f"select {cell}, {text_literal(kpi.id)} as kpi, value_{number} as value, n_{number} as n, total "
            f"from counted where ({is_right}) is not true"
        )
    sql = f"""
    with figures as (
        select {cell}, {", ".join(given)} from retention_kpis
        where kpi in ({", ".join(text_literal(kpi.id) for kpi, _, _ in kpis)})
        group by {cell}
    ),
    numbered as (select *, row_number() over (order by {cell}) as number from figures),
    sums as (
        select numbered.number, sum(counted.{histogram.count}) as total, {", ".join(counted)}
        from {histogram.table} as counted
        inner join numbered on {same_key("counted", "numbered", CELL)}
        where counted.{histogram.count} > 0
        group by numbered.number
    ),
    counted as (select numbered.*, sums.* exclude (number) from numbered left join sums using (number))
    {" union all ".join(broken)}"""
    return Rule(
        f"{histogram.table}_percentiles",
        f"each percentile of {histogram.table} lies where it must among the values, and n is their number",
        sql,
        (histogram.table, "retention_kpis"),
    )


def number(day: str) -> str:
    """SQL: a day of the calendar as a number, greater than that of any wait in days."""
    return f"({day} - date '1800-01-01')"


def rule_of_waits() -> Rule:
    """The median wait for the next purchase, in every cell: the curve is multiplied up from the steps of the waits."""
    # Rows are put in order by one number in half the time of four columns: a segment in a grain, with a wait or period.
    sql = f"""
    with figures as (select * from retention_kpis where kpi = '{MEDIAN_WAIT}'),
    segments as (
        select grain, segment_dimension, segment_value,
            row_number() over (order by grain, segment_dimension, segment_value) as segment_number
        from (select distinct grain, segment_dimension, segment_value from {WAITS})
    ),
    steps as (
        select segment_number, gap_days, purchase_date, period_start, waits,
            segment_number * 10000000 + case when gap_days > 0 then gap_days else {number("purchase_date")} end as wait
        from {WAITS} inner join segments using (grain, segment_dimension, segment_value)
    ),
    spells as (
        select segment_number, gap_days, purchase_date, period_start as from_period,
            lead(period_start, 1, date '9999-12-31') over steps as to_period, sum(waits) over steps as waits
        from steps
        window steps as (partition by wait order by period_start)
    ),
    periods_of_segments as (
        select segment_number, segment_number * 10000000 + {number("period_start")} as place, period_start, close_date
        from periods inner join segments using (grain)
    ),
    lengths as (
        select place, case when gap_days > 0 then gap_days else close_date - purchase_date end as days,
            sum(case when gap_days > 0 then waits else 0 end) as followed, sum(waits) as waits
        from spells inner join periods_of_segments using (segment_number)
        where waits <> 0 and from_period <= period_start and period_start < to_period
        group by all
    ),
    at_risk as (select *, sum(waits) over (partition by place order by days desc) as waiting from lengths),
    curves as (
        select place, days, sum(waits) over (partition by place) as total,
            product(1 - followed / waiting) over (partition by place order by days) as survival
        from at_risk
    ),
    placed as (
        select grain, segment_dimension, segment_value, period_start, curves.*
        from curves inner join periods_of_segments using (place) inner join segments using (segment_number)
    ),
    sums as (
        select {", ".join(f"figures.{name}" for name in CELL)}, any_value(value) as value, any_value(n) as n,
            any_value(null_reason) as null_reason, coalesce(any_value(total), 0) as total,
            min(days) filter (where survival <= {HALVED}) as first_day,
            min(days) filter (where survival <= {NOT_HALVED}) as last_day
        from figures left join placed on figures.grain = placed.grain and figures.period_start = placed.period_start
            and figures.segment_dimension = placed.segment_dimension and figures.segment_value = placed.segment_value
        group by all
    )
    select {", ".join(CELL)}, '{MEDIAN_WAIT}' as kpi, value, null_reason, n, first_day as median, total
    from sums
    where (
        case
            when null_reason in ('left_truncated', 'immature') then value is null and n is null
            when null_reason is null then n = total and first_day <= value and value <= coalesce(last_day, value)
            when null_reason = 'not_reached' then n = total and total > 0 and last_day is null
            when null_reason = 'zero_denominator' then n = total and total = 0
            else n = total and value is null
        end
    ) is not true"""
    return Rule(
        f"{WAITS}_median",
        f"{MEDIAN_WAIT} is the first day on which at most half of the purchase days still wait, and n is their number",
        sql,
        (WAITS, "periods", "retention_kpis"),
    )
