"""The delta of a restated figure, split by causes.

A customer's part (parts.py) has the first cause that a row of this customer has; what is left of the change is of the
first cause that needs no rows of customers (definition, settings, rates, a backfill), else of the figure's first one.
Values of ratios are split by letting one cause after the other in.

Where a figure is not a sum over customers, or was not given before or is not now, the whole delta stands with the first
cause, and `other_causes` names the others. What is held back is split in the night that moved it (pending.py).
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from retention_pipeline.history.causes import BACKFILL, DEFINITION, FX, ORDER, SETTINGS
from retention_pipeline.history.parts import CELL, Diffs, added, by_segment, listed_parts
from retention_pipeline.history.reported import ROW_KEY
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.warehouse import sql_text

TOLERANCE = 1e-9
KEYS = ", ".join(ROW_KEY)


def split(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs]) -> None:
    """From `restated`, `cell_causes` and `kpi_causes`:

    cause_parts      one row per restated figure and cause with its part of numerator and denominator; is_rest: what no
                     customer has
    cell_customers   how many customers moved a cell, per table of diffs
    """
    _find_signature_causes(connection)
    _find_general_causes(connection)
    _add_up(connection, diffs)
    _find_rest(connection, {kpi for one in diffs for kpi in one.parts})


def _find_signature_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """signature_causes: the cause of the parts of customers with such rows, per KPI, basis and segment dimension."""
    connection.execute(f"""
        create or replace temp table signature_causes as
        select signatures.signature, causes.kpi, causes.basis, causes.segment_dimension,
            arg_min(causes.cause, case causes.cause {ORDER} end) as cause
        from (
            select signature, unnest(string_split(signature, ',')) as said
            from (select distinct signature from run_customers)
        ) as signatures
        inner join (
            select distinct kpi, basis, segment_dimension, cause, dataset || ' ' || cause as said from kpi_causes
        ) as causes on signatures.said = causes.said
        group by all""")


def _find_general_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """general_causes: the cause of what no row of a customer explains, per restated figure."""
    of_everybody = ", ".join(sql_text(cause) for cause in (SETTINGS, DEFINITION, FX, BACKFILL))
    connection.execute(f"""
        create or replace temp table general_causes as
        select {KEYS}, coalesce(arg_min(cause, place) filter (where cause in ({of_everybody})), arg_min(cause, place))
            as cause
        from cell_causes group by {KEYS}""")


def _add_up(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs]) -> None:
    """cause_parts of customers, and cell_customers."""
    connection.execute(
        "create or replace temp table cause_parts (kpi varchar, grain varchar, period_start date, basis varchar, "
        "segment_dimension varchar, segment_value varchar, cause varchar, numerator_delta double, "
        "denominator_delta double, is_rest boolean)"
    )
    cell = ", ".join(CELL)
    connection.execute(
        "create or replace temp table cell_customers (diffs varchar, grain varchar, period_start date, basis varchar, "
        "segment_dimension varchar, segment_value varchar, customers bigint)"
    )
    for one in diffs:
        sums = ", ".join(f"sum({name}) as {name}" for name in one.columns)
        connection.execute(f"""
            create or replace temp table diff_sums as
            select {cell}, signature, count(*) as customers, {sums}
            from ({by_segment(one.table)}) as diffs inner join run_customers using (customer_key)
            group by {cell}, signature""")
        connection.execute(
            f"insert into cell_customers select '{one.table}', {cell}, sum(customers) from diff_sums group by {cell}"
        )
        of_kpis = " union all ".join(
            f"select {text_literal(kpi)} as kpi, {cell}, signature, {listed_parts(parts)} from diff_sums"
            for kpi, parts in one.parts.items()
        )
        connection.execute(f"""
            insert into cause_parts
            select {", ".join(f"parts.{name}" for name in ROW_KEY)}, coalesce(own.cause, general.cause),
                {added("numerator_delta")}, {added("denominator_delta")}, false
            from ({of_kpis}) as parts
            inner join general_causes as general on {same_key("parts", "general", ROW_KEY)}
            left join signature_causes as own on parts.signature = own.signature and parts.kpi = own.kpi
                and parts.basis = own.basis and parts.segment_dimension = own.segment_dimension
            where numerator_delta <> 0 or denominator_delta <> 0
            group by all""")


def whole_parts(figures: str) -> str:
    """SQL: the steps of numerator (of a count or sum: value) and denominator of figures of `restated` that are in
    another table too; is_sum: the step may be split, near: what rounding may leave of it.
    """
    ratios = ", ".join(text_literal(kpi.id) for kpi in KPIS if kpi.is_ratio)

    def whole(side: str) -> str:
        return f"case when restated.kpi in ({ratios}) then {side}_numerator else {side}_value end"

    return f"""
        select {", ".join(f"restated.{name}" for name in ROW_KEY)},
            coalesce({whole("new")}, 0) - coalesce({whole("old")}, 0) as numerator_delta,
            coalesce(new_denominator, 0) - coalesce(old_denominator, 0) as denominator_delta,
            {TOLERANCE} * greatest(1, abs(coalesce({whole("new")}, 0)), abs(coalesce({whole("old")}, 0))) as near,
            {TOLERANCE} * greatest(1, abs(coalesce(new_denominator, 0)), abs(coalesce(old_denominator, 0))) as near_by,
            (not was_there or {whole("old")} is not null) and (not is_there or {whole("new")} is not null) as is_sum
        from restated semi join {figures} as chosen on {same_key("restated", "chosen", ROW_KEY)}"""


def _find_rest(connection: duckdb.DuckDBPyConnection, kpis: Collection[str]) -> None:
    """What is left of each change goes into cause_parts; figures whose change cannot be split are taken out."""
    ids = ", ".join(text_literal(kpi) for kpi in sorted(kpis)) or "''"
    connection.execute(f"""
        create or replace temp table split_cells as
        select * from ({whole_parts("restated")}) where is_sum and kpi in ({ids})""")
    connection.execute(f"delete from cause_parts where ({KEYS}) not in (select ({KEYS}) from split_cells)")
    connection.execute(f"""
        insert into cause_parts
        select {", ".join(f"cells.{name}" for name in ROW_KEY)}, general.cause,
            cells.numerator_delta - coalesce(parts.numerator, 0),
            cells.denominator_delta - coalesce(parts.denominator, 0), true
        from split_cells as cells
        inner join general_causes as general on {same_key("cells", "general", ROW_KEY)}
        left join (
            select {KEYS}, {added("numerator_delta")} as numerator, {added("denominator_delta")} as denominator
            from cause_parts group by {KEYS}
        ) as parts on {same_key("cells", "parts", ROW_KEY)}
        where abs(cells.numerator_delta - coalesce(parts.numerator, 0)) > near
            or abs(cells.denominator_delta - coalesce(parts.denominator, 0)) > near_by""")


def find_deltas(connection: duckdb.DuckDBPyConnection) -> None:
    """cell_deltas: one row per restated figure and cause with its deltas, from cause_parts and all_causes."""
    connection.execute(f"""
        create or replace temp table cell_deltas as
        with by_cause as (
            select {KEYS}, cause, case cause {ORDER} end as place,
                {added("numerator_delta")} as numerator_delta,
                {added("denominator_delta")} as denominator_delta
            from cause_parts group by {KEYS}, cause
            having {added("numerator_delta")} <> 0 or {added("denominator_delta")} <> 0
        ),
        added as (
            select by_cause.*, old_value, new_value, old_numerator, old_denominator,
                coalesce(old_numerator, new_numerator) is not null as is_ratio,
                sum(by_cause.numerator_delta) over so_far as numerator_so_far,
                coalesce(sum(by_cause.denominator_delta) over so_far, 0) as denominator_so_far,
                lead(place) over by_place is null as is_last
            from by_cause inner join restated on {same_key("by_cause", "restated", ROW_KEY)}
            window by_place as (partition by {", ".join(f"by_cause.{name}" for name in ROW_KEY)} order by place),
                so_far as (partition by {", ".join(f"by_cause.{name}" for name in ROW_KEY)} order by place
                    rows unbounded preceding)
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
            select {KEYS}, cause, place, numerator_delta, denominator_delta,
                value_so_far - lag(value_so_far, 1, coalesce(old_value, 0)) over (
                    partition by {KEYS} order by place
                ) as delta
            from valued
        )
        select {KEYS}, cause, place, numerator_delta, denominator_delta, delta, cast(null as varchar) as other_causes
        from split
        union all
        select {", ".join(f"restated.{name}" for name in ROW_KEY)}, causes.cause, 1,
            new_numerator - old_numerator, new_denominator - old_denominator,
            coalesce(new_value, 0) - coalesce(old_value, 0), others.names
        from restated
        inner join (from all_causes where place = 1) as causes on {same_key("restated", "causes", ROW_KEY)}
        left join (
            select {KEYS}, string_agg(cause, ', ' order by place) as names
            from all_causes where place > 1 group by {KEYS}
        ) as others on {same_key("restated", "others", ROW_KEY)}
        anti join split on {same_key("restated", "split", ROW_KEY)}""")
