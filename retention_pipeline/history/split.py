"""The delta of a restated figure, split by causes.

A customer's part (parts.py) has the first cause that a row of this customer has; what is left of the change is of the
first cause that needs no rows of customers (definition, settings, rates, a backfill), else of the figure's first one.
Values of ratios are split by letting one cause after the other in.

Where one cause acts nothing is to be split, so that segments' figures take it without a look at customers, if no rows
of theirs are listed (rows.py).

Where a figure is not a sum over customers, or was not given before or is not now, the whole delta stands with the first
cause, and `other_causes` names the others. What is held back is split in the night that moved it (pending.py).
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from retention_pipeline.history.causes import BACKFILL, DEFINITION, FX, ORDER, SETTINGS
from retention_pipeline.history.figures import NUMBERED
from retention_pipeline.history.parts import Diffs, added, by_segment, listed_parts, sums
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.read.members import ALL, parts_of
from retention_pipeline.warehouse import sql_text

TOLERANCE = 1e-9


def split(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs], *, of_everybody: bool = False) -> None:
    """From `restated`, `cell_causes` and `kpi_causes`; of_everybody: diffs are of figures of everybody, and the others
    have one cause each:

    split_figures    the restated figures whose change is split, with whole_parts
    cause_parts      one row per such figure and cause with its part of numerator and denominator; is_rest: what no
                     customer has
    cell_customers   how many customers moved a segment in a period, per table of diffs
    """
    _find_signature_causes(connection)
    _find_general_causes(connection)
    added_up = f"kpi in ({_listed(kpi for one in diffs for kpi in one.parts)})"
    if of_everybody:
        sums_of_segments = _listed(kpi.id for kpi in KPIS if parts_of(kpi))
        added_up = f"case when segment_dimension = '{ALL}' then {added_up} else kpi in ({sums_of_segments}) end"
    connection.execute(f"""
        create or replace temp table split_figures as
        select * from ({whole_parts()}) where is_sum and {added_up}""")
    _add_up(connection, diffs)
    if of_everybody:
        _take_whole(connection)
    _find_rest(connection)


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(map(text_literal, ids)) or "''"


def _take_whole(connection: duckdb.DuckDBPyConnection) -> None:
    """cause_parts of segments' figures: the whole steps, with the digits that sums of parts have."""
    numerator, denominator = (
        f"cast(cast({name} as decimal(38, 6)) as double)" for name in ("numerator_delta", "denominator_delta")
    )
    connection.execute(f"""
        insert into cause_parts
        select figure, cause, {numerator}, case when has_denominator then {denominator} end, false
        from split_figures inner join general_causes using (figure) where segment_dimension <> '{ALL}'""")


def _find_signature_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """signature_causes: the cause of the parts of customers with such rows, per series."""
    connection.execute(f"""
        create or replace temp table signature_causes as
        select signature, series, arg_min(causes.cause, case causes.cause {ORDER} end) as cause
        from (
            select signature, unnest(string_split(signature, ',')) as said
            from (select distinct signature from run_customers)
        ) as signatures
        inner join (
            select distinct series, cause, dataset || ' ' || cause as said from kpi_causes
            inner join restated_series using ({", ".join(NUMBERED["series"])})
        ) as causes on signatures.said = causes.said
        group by all""")


def _find_general_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """general_causes: the cause of what no row of a customer explains, per restated figure."""
    of_everybody = ", ".join(sql_text(cause) for cause in (SETTINGS, DEFINITION, FX, BACKFILL))
    connection.execute(f"""
        create or replace temp table general_causes as
        select figure, coalesce(arg_min(cause, place) filter (where cause in ({of_everybody})), arg_min(cause, place))
            as cause
        from cell_causes group by figure""")


def _add_up(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs]) -> None:
    """cause_parts of customers, and cell_customers."""
    connection.execute(
        "create or replace temp table cause_parts (figure integer, cause varchar, numerator_delta double, "
        "denominator_delta double, is_rest boolean)"
    )
    connection.execute(
        "create or replace temp table cell_customers (diffs varchar, period integer, segment integer, customers bigint)"
    )
    for one in diffs:
        connection.execute(f"""
            insert into cell_customers
            with differing as (
                select period, profile, other_profile, customer_key from {one.table} group by all having {one.differs}
            ),
            counted as (
                select period, profile, other_profile, count(*) as customers from differing group by all
            )
            select '{one.table}', period, segment, sum(customers) from ({by_segment("counted")}) group by all""")
        connection.execute(f"""
            create or replace temp table diff_sums as
            with by_profile as (
                select period, profile, other_profile, signature, {sums(one.columns)}
                from {one.table} inner join run_customers using (customer_key) group by all
            )
            select period, segment, signature, {sums(one.columns)} from ({by_segment("by_profile")}) group by all""")
        of_kpis = " union all ".join(
            f"select {text_literal(kpi)} as kpi, period, segment, signature, {listed_parts(parts)} from diff_sums"
            for kpi, parts in one.parts.items()
        )
        connection.execute(f"""
            insert into cause_parts
            select figures.figure, coalesce(own.cause, general.cause),
                {added("parts.numerator_delta")}, {added("parts.denominator_delta")}, false
            from ({of_kpis}) as parts
            inner join split_figures as figures using (kpi, period, segment)
            inner join general_causes as general using (figure)
            left join signature_causes as own on parts.signature = own.signature and figures.series = own.series
            where parts.numerator_delta <> 0 or parts.denominator_delta <> 0
            group by all""")


def whole_parts() -> str:
    """SQL: the steps of numerator (of a count or sum: value) and denominator of the figures of `restated`; is_sum: the
    step may be split, near: what rounding may leave of it.
    """
    ratios = ", ".join(text_literal(kpi.id) for kpi in KPIS if kpi.is_ratio)

    def whole(side: str) -> str:
        return f"case when is_ratio then {side}_numerator else {side}_value end"

    return f"""
        select figure, kpi, segment_dimension, period, segment, series,
            coalesce({whole("new")}, 0) - coalesce({whole("old")}, 0) as numerator_delta,
            coalesce(new_denominator, 0) - coalesce(old_denominator, 0) as denominator_delta,
            coalesce(new_denominator, old_denominator) is not null as has_denominator,
            {TOLERANCE} * greatest(1, abs(coalesce({whole("new")}, 0)), abs(coalesce({whole("old")}, 0))) as near,
            {TOLERANCE} * greatest(1, abs(coalesce(new_denominator, 0)), abs(coalesce(old_denominator, 0))) as near_by,
            (not was_there or {whole("old")} is not null) and (not is_there or {whole("new")} is not null) as is_sum
        from (select *, kpi in ({ratios}) as is_ratio from restated)"""


def _find_rest(connection: duckdb.DuckDBPyConnection) -> None:
    """What is left of each change goes into cause_parts."""
    connection.execute(f"""
        insert into cause_parts
        select figure, general.cause, figures.numerator_delta - coalesce(parts.numerator, 0),
            figures.denominator_delta - coalesce(parts.denominator, 0), true
        from split_figures as figures
        inner join general_causes as general using (figure)
        left join (
            select figure, {added("numerator_delta")} as numerator, {added("denominator_delta")} as denominator
            from cause_parts group by figure
        ) as parts using (figure)
        where abs(figures.numerator_delta - coalesce(parts.numerator, 0)) > near
            or abs(figures.denominator_delta - coalesce(parts.denominator, 0)) > near_by""")


def find_deltas(connection: duckdb.DuckDBPyConnection) -> None:
    """cell_deltas: one row per restated figure and cause with its deltas, from cause_parts and all_causes."""
    connection.execute(f"""
        create or replace temp table cell_deltas as
        with by_cause as (
            select figure, cause, case cause {ORDER} end as place,
                {added("numerator_delta")} as numerator_delta,
                {added("denominator_delta")} as denominator_delta
            from cause_parts group by figure, cause
            having {added("numerator_delta")} <> 0 or {added("denominator_delta")} <> 0
        ),
        added as (
            select by_cause.*, old_value, new_value, old_numerator, old_denominator,
                coalesce(old_numerator, new_numerator) is not null as is_ratio,
                sum(by_cause.numerator_delta) over so_far as numerator_so_far,
                coalesce(sum(by_cause.denominator_delta) over so_far, 0) as denominator_so_far,
                lead(place) over by_place is null as is_last
            from by_cause inner join restated using (figure)
            window by_place as (partition by figure order by place),
                so_far as (partition by figure order by place rows unbounded preceding)
        ),
        valued as (
            select *,
                case
                    when is_last then coalesce(new_value, 0)
                    when not is_ratio then coalesce(old_value, 0) + numerator_so_far
                    else coalesce(old_value / nullif(old_numerator / nullif(old_denominator, 0), 0)
                        * (old_numerator + numerator_so_far) / nullif(old_denominator + denominator_so_far, 0), 0)
                end as value_so_far
            from added
        ),
        split as (
            select figure, cause, place, numerator_delta, denominator_delta,
                value_so_far - lag(value_so_far, 1, coalesce(old_value, 0)) over (
                    partition by figure order by place
                ) as delta
            from valued
        )
        select figure, cause, place, numerator_delta, denominator_delta, delta, cast(null as varchar) as other_causes
        from split
        union all
        select figure, causes.cause, 1,
            new_numerator - old_numerator, new_denominator - old_denominator,
            coalesce(new_value, 0) - coalesce(old_value, 0), others.names
        from restated
        inner join (from all_causes where place = 1) as causes using (figure)
        left join (
            select figure, string_agg(cause, ', ' order by place) as names
            from all_causes where place > 1 group by figure
        ) as others using (figure)
        where figure not in (select figure from split)""")
