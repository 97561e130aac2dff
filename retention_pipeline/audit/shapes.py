"""Shapes of reconciliations: functions from table and column names to a Rule.

Which tables must fulfil which is said in the modules beside.

Every rule's SQL is set-based over all periods and gives one row per cell that breaks the rule. Absent rows read as 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from retention_pipeline.settings import Settings

CELL = ("grain", "period_start", "basis", "segment_dimension", "segment_value")


@dataclass(frozen=True)
class Rule:
    """name, sentence: for users; sql: one row per broken cell; tables: without all of them the rule does not apply;
    without_words: sql without what it says of a broken cell, where that takes long to plan.
    """

    name: str
    sentence: str
    sql: str
    tables: tuple[str, ...]
    without_words: str = ""


def rows_hold(
    name: str, sentence: str, table: str, condition: str, show: Sequence[str], source: str | None = None
) -> Rule:
    """Each row of a table fulfils a condition (null counts as broken)."""
    columns = ", ".join((*CELL, *show))
    return Rule(name, sentence, f"select {columns} from {source or table} where ({condition}) is not true", (table,))


def never_negative(table: str, measures: Sequence[str], source: str | None = None) -> Rule:
    """Counts and balances are 0 or more."""
    return rows_hold(
        f"{table}_not_negative",
        f"no measure of {table} is negative",
        table,
        f"least({', '.join(measures)}) >= 0",
        measures,
        source,
    )


def values_add_up(table: str, measures: Sequence[str], source: str | None = None) -> Rule:
    """The values of a dimension add up to `all`, measure by measure."""
    place = ("grain", "period_start", "basis")
    same_place = " and ".join(f"total.{name} = parts.{name}" for name in place)
    different = [f"coalesce(total.{name}, 0) <> coalesce(parts.{name}, 0)" for name in measures]
    named = ",\n            ".join(
        f"case when {condition} then "
        f"concat('{name}: all ', coalesce(total.{name}, 0), ', values ', coalesce(parts.{name}, 0)) end"
        for name, condition in zip(measures, different, strict=True)
    )
    sums = ", ".join(f"sum({name}) as {name}" for name in measures)

    def broken(*words: str) -> str:
        columns = [f"coalesce(total.{name}, parts.{name}) as {name}" for name in place]
        columns += ["coalesce(total.dimension, parts.dimension) as segment_dimension", *words]
        return f"""
    with cells as (select * from {source or table}),
    dimensions as (
        select distinct basis, segment_dimension as dimension from cells where segment_dimension <> 'all'
    ),
    totals as (
        select cells.*, dimensions.dimension
        from cells inner join dimensions on cells.basis = dimensions.basis
        where cells.segment_dimension = 'all'
    ),
    parts as (
        select {", ".join(place)}, segment_dimension as dimension, {sums}
        from cells where segment_dimension <> 'all' group by all
    )
    select {", ".join(columns)}
    from totals as total
    full join parts on {same_place} and total.dimension = parts.dimension
    where {" or ".join(different)}
    """

    return Rule(
        f"{table}_segments_add_up",
        f"in {table} the values of each dimension add up to all",
        broken(f"concat_ws('; ', {named}) as difference"),
        (table,),
        broken(),
    )


def moves_cancel(table: str, moved_in: str, moved_out: str, source: str | None = None) -> Rule:
    """Within a dimension as many move in as out."""
    sql = f"""
    select grain, period_start, basis, segment_dimension, sum({moved_in}) as moved_in, sum({moved_out}) as moved_out
    from {source or table} where segment_dimension <> 'all'
    group by all having sum({moved_in}) <> sum({moved_out})
    """
    return Rule(f"{table}_moves_cancel", f"in {table} what moves between values of a dimension cancels", sql, (table,))


def close_is_next_opening(
    name: str,
    table: str,
    opening: str,
    closing: str,
    *,
    moved: str = "0",
    source: str | None = None,
    only: str = "true",
) -> Rule:
    """A period's close plus what moved is the opening of the next, at each boundary inside the rows of `all`."""
    sql = f"""
    with cells as (select * from {source or table} where {only}),
    span as (
        select grain, basis, min(period_start) as first_period, max(period_start) as last_period
        from cells where segment_dimension = 'all' group by grain, basis
    ),
    ends as (
        select cells.grain, cells.basis, cells.segment_dimension, cells.segment_value,
            periods.period_end as period_start, coalesce({closing}, 0) as closing, 0 as opening
        from cells inner join periods on cells.grain = periods.grain and cells.period_start = periods.period_start
        union all
        select grain, basis, segment_dimension, segment_value,
            period_start, 0, coalesce({opening}, 0) - coalesce({moved}, 0)
        from cells
    )
    select ends.grain, ends.period_start, ends.basis, ends.segment_dimension, ends.segment_value,
        sum(ends.closing) as close_before, sum(ends.opening) as opening_without_moves
    from ends
    inner join span on ends.grain = span.grain and ends.basis = span.basis
    where ends.period_start > span.first_period and ends.period_start <= span.last_period
    group by all
    having sum(ends.closing) <> sum(ends.opening)
    """
    return Rule(
        name, f"in {table} {closing} of a period is {opening} of the next, but for moves", sql, (table, "periods")
    )


def no_period_is_missing(table: str, source: str | None = None) -> Rule:
    """`all` has a row in every period from its first to the last."""
    sql = f"""
    with cells as (select grain, basis, period_start from {source or table} where segment_dimension = 'all'),
    span as (select grain, basis, min(period_start) as first_period from cells group by grain, basis)
    select periods.grain, periods.period_start, span.basis
    from span
    inner join periods on span.grain = periods.grain and periods.period_start >= span.first_period
    anti join cells
        on periods.grain = cells.grain and periods.period_start = cells.period_start and span.basis = cells.basis
    """
    return Rule(
        f"{table}_no_gaps", f"{table} has a row of all in every period since its first", sql, (table, "periods")
    )


def grains_nest(table: str, measures: Sequence[str], source: str | None = None) -> Rule:
    """Flows of the months of a quarter or year add up to it (`all`, periods whose months all have rows)."""
    sums = ", ".join(f"sum(cells.{name}) as {name}" for name in measures)
    different = [f"months.{name} <> outer_cells.{name}" for name in measures]
    named = ", ".join(
        f"case when {condition} then concat('{name}: ', outer_cells.{name}, ', months ', months.{name}) end"
        for name, condition in zip(measures, different, strict=True)
    )

    def broken(*words: str) -> str:
        columns = ["outer_cells.grain", "outer_cells.period_start", "outer_cells.basis", *words]
        return f"""
    with cells as (
        select cells.*, periods.period_end
        from {source or table} as cells
        inner join periods on cells.grain = periods.grain and cells.period_start = periods.period_start
        where cells.segment_dimension = 'all'
    ),
    first_months as (select basis, min(period_start) as first_month from cells where grain = 'month' group by basis),
    months as (
        select outer_cells.grain, outer_cells.period_start, outer_cells.basis, {sums}
        from cells as outer_cells
        inner join first_months on outer_cells.basis = first_months.basis
            and outer_cells.period_start >= first_months.first_month
        inner join cells on cells.grain = 'month' and cells.basis = outer_cells.basis
            and cells.period_start >= outer_cells.period_start and cells.period_start < outer_cells.period_end
        where outer_cells.grain in ('quarter', 'year')
        group by all
    )
    select {", ".join(columns)}
    from months
    inner join cells as outer_cells on months.grain = outer_cells.grain
        and months.period_start = outer_cells.period_start and months.basis = outer_cells.basis
    where {" or ".join(different)}
    """

    return Rule(
        f"{table}_grains_nest",
        f"flows of months add up to those of quarters and years in {table}",
        broken(f"concat_ws('; ', {named}) as difference"),
        (table, "periods"),
        broken(),
    )


def starts_from_nothing(settings: Settings, table: str, opening: str, source: str | None = None) -> list[Rule]:
    """Unless history before the first row is left out, the first period opens with nothing."""
    if settings.history_start is not None:
        return []
    sql = f"""
    select grain, period_start, basis, {opening} as opening
    from {source or table}
    where segment_dimension = 'all'
    qualify period_start = min(period_start) over (partition by grain, basis) and coalesce({opening}, 0) <> 0
    """
    return [Rule(f"{table}_starts_from_nothing", f"{opening} is 0 in the first period of {table}", sql, (table,))]


def adds_up(parts: str, measures: dict[str, str], table: str, only: str = "true") -> Rule:
    """The rows of a table of parts add up to the period table, cell by cell: measure of the parts → of the cell.
    `only`: the cells of the period table that have parts.
    """
    cell = ", ".join(name for name in CELL if name != "basis")
    of_parts = ", ".join(f"{part} as {whole}_of_parts, 0 as {whole}" for part, whole in measures.items())
    of_cells = ", ".join(f"0 as {whole}_of_parts, {whole}" for whole in measures.values())
    sums = ", ".join(
        f"sum({whole}_of_parts) as {whole}_of_parts, sum({whole}) as {whole}" for whole in measures.values()
    )
    different = " or ".join(f"sum({whole}_of_parts) <> sum({whole})" for whole in measures.values())
    sql = f"""
    select {cell}, {sums}
    from (select {cell}, {of_parts} from {parts} union all by name select {cell}, {of_cells} from {table} where {only})
    group by all having {different}
    """
    return Rule(f"{parts}_adds_up", f"{parts} adds up to {table}", sql, (parts, table))
