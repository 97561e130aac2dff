"""Figures against goals and benchmarks: the table `kpi_attainment` and the view `kpi_with_benchmark`.

Both are made from `retention_kpis` and from what was given, `int_kpi_targets` and `int_kpi_benchmarks`; where those are
not connected they do not exist.

kpi_attainment: one row per target (kpi, grain, basis, segment_dimension, segment_value, start_on). `value` is the last
one, not NULL, of a period that ends after start_on and by due_on and as_of; `progress` the share of the way from
baseline to target, so that a target below the baseline asks for less; `elapsed` the share of [start_on, due_on) before
as_of.

kpi_with_benchmark: one row per figure of everyone (kpi, grain, period_start, basis) that has a benchmark of the setting
`industry`: of the latest year up to the period's, the first source by code points.

What cannot be is left out, both rows: more daily than monthly actives, equal in everything else; two different targets
of one figure and start, as with an empty basis and with its name.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.kpis.rules import Rules, date_literal, text_literal
from retention_pipeline.warehouse import has_table

TARGETS, BENCHMARKS = "int_kpi_targets", "int_kpi_benchmarks"
ATTAINMENT, WITH_BENCHMARK = "kpi_attainment", "kpi_with_benchmark"
# A smaller number cannot be above the greater one of its pair.
SMALLER, GREATER = "dau", "mau"
# What is_impossible finds, in words.
IMPOSSIBLE = {
    "kpi_targets": "more daily than monthly actives, or two different targets of one figure and start",
    "kpi_benchmarks": "more daily than monthly actives",
}
AHEAD_BY = "0.1e0"
TOLERANCE = "1e-9"


def write_goals(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create the table and the view where what they need is in the warehouse; else drop what an earlier run left."""
    if has_table(connection, TARGETS):
        connection.execute(f"create or replace table {ATTAINMENT} as {attainment(rules)}")
    else:
        connection.execute(f"drop table if exists {ATTAINMENT}")
    if has_table(connection, BENCHMARKS):
        connection.execute(f"create or replace view {WITH_BENCHMARK} as {with_benchmark(rules.business.industry)}")
    else:
        connection.execute(f"drop view if exists {WITH_BENCHMARK}")


def impossible(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many rows are left out because they say what cannot be, by dataset."""
    counts = {}
    for table, relation in ((TARGETS, resolved_targets()), (BENCHMARKS, f"select * from {BENCHMARKS}")):
        if has_table(connection, table):
            statement = f"with given as ({relation}) select count(*) from given where {is_impossible(table)}"
            counts[table] = int(connection.execute(statement).fetchall()[0][0])
    return {table.removeprefix("int_"): count for table, count in counts.items() if count}


def is_impossible(table: str) -> str:
    """SQL: a row of `given` is one of a pair of which the smaller KPI is given a greater number, or one of two targets
    that have the same key and say different things.
    """
    key: tuple[str, ...] = ("grain", "industry", "source", "year")
    number, contradicts = "value", ""
    if table == TARGETS:
        key, number = ("grain", "basis", "segment_dimension", "segment_value", "start_on"), "target"
        says = ("due_on", "baseline", "target")
        differs = " or ".join(f"other.{name} is distinct from given.{name}" for name in says)
        contradicts = f" or (given.kpi = other.kpi and ({differs}))"
    same = " and ".join(f"other.{name} = given.{name}" for name in key)
    return (
        f"exists (select 1 from given as other where {same} and ("
        f"(given.kpi = '{SMALLER}' and other.kpi = '{GREATER}' and given.{number} > other.{number}) or "
        f"(given.kpi = '{GREATER}' and other.kpi = '{SMALLER}' and other.{number} > given.{number}){contradicts}))"
    )


def resolved_targets() -> str:
    """SQL: the targets with the basis and the segment that an empty one stands for; one that is given in both ways
    once.
    """
    return f"""select distinct
        targets.kpi,
        targets.grain,
        coalesce(
            targets.basis, case when definitions.bases not like '%,%' then definitions.bases end, 'any'
        ) as basis,
        coalesce(targets.segment_dimension, 'all') as segment_dimension,
        coalesce(targets.segment_value, 'all') as segment_value,
        targets.start_on,
        targets.due_on,
        cast(targets.baseline as double) as baseline,
        cast(targets.target as double) as target
    from {TARGETS} as targets
    left join kpi_definitions as definitions on targets.kpi = definitions.kpi"""


def attainment(rules: Rules) -> str:
    """SQL: the rows of kpi_attainment."""
    as_of = date_literal(rules.as_of)
    same = " and ".join(
        f"figures.{name} = given.{name}" for name in ("kpi", "grain", "basis", "segment_dimension", "segment_value")
    )
    key = "given.kpi, given.grain, given.basis, given.segment_dimension, given.segment_value, given.start_on"
    return f"""with given as (
    {resolved_targets()}
),
figures as (
    select * from retention_kpis where value is not null
),
found as (
    select
        {key},
        max_by(figures.value, figures.period_end)
            filter (where figures.period_end <= least(given.start_on, {as_of})) as value_before,
        max_by(figures.value, figures.period_end) filter (
            where given.start_on < figures.period_end and figures.period_end <= least(given.due_on, {as_of})
        ) as value,
        max_by(figures.period_start, figures.period_end) filter (
            where given.start_on < figures.period_end and figures.period_end <= least(given.due_on, {as_of})
        ) as value_period_start
    from given
    left join figures on {same}
    where not {is_impossible(TARGETS)}
    group by {key}
),
measured as (
    select
        given.* exclude (baseline),
        coalesce(given.baseline, found.value_before) as from_baseline,
        found.value,
        found.value_period_start,
        (found.value - from_baseline) / nullif(given.target - from_baseline, 0) as progress,
        greatest(0, least(1, cast({as_of} - given.start_on as double) / (given.due_on - given.start_on))) as elapsed
    from given
    inner join found using (kpi, grain, basis, segment_dimension, segment_value, start_on)
)
select
    kpi,
    grain,
    basis,
    segment_dimension,
    segment_value,
    start_on,
    due_on,
    from_baseline as baseline,
    target,
    value,
    value_period_start,
    progress,
    elapsed,
    case
        when progress is null then null
        when progress >= 1 - {TOLERANCE} then 'met'
        when due_on <= {as_of} then 'missed'
        when progress >= elapsed + {AHEAD_BY} - {TOLERANCE} then 'ahead'
        when progress >= elapsed - {AHEAD_BY} - {TOLERANCE} then 'on_track'
        else 'behind'
    end as status
from measured
order by kpi, grain, basis, segment_dimension, segment_value, start_on"""


def with_benchmark(industry: str | None) -> str:
    """SQL: the rows of kpi_with_benchmark; none without an industry."""
    chosen = "false" if industry is None else f"given.industry = {text_literal(industry)}"
    return f"""with given as (
    select * from {BENCHMARKS}
),
benchmarks as (
    select * from given where {chosen} and not {is_impossible(BENCHMARKS)}
)
select
    figures.kpi,
    figures.grain,
    figures.period_start,
    figures.basis,
    figures.value,
    cast(benchmarks.value as double) as benchmark,
    figures.value - cast(benchmarks.value as double) as gap,
    benchmarks.source,
    benchmarks.year
from retention_kpis as figures
inner join benchmarks on figures.kpi = benchmarks.kpi and figures.grain = benchmarks.grain
where figures.segment_dimension = 'all'
    and figures.value is not null
    and benchmarks.year <= year(figures.period_start)
qualify row_number() over (
    partition by figures.kpi, figures.grain, figures.period_start, figures.basis
    order by benchmarks.year desc, benchmarks.source
) = 1"""
