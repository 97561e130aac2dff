"""Which customers moved a restated figure, and by how much: members of its cell before and now.

cell_parts: one row per restated figure and customer whose part of it differs: numerator_delta (of a count or sum: of
the value) and denominator_delta. Only of figures whose parts add up to the whole change.

A cell's members are one query over the facts in each of the two generations, so large homes look at few cells: those
with several causes first, then those of everybody, months before other grains and late periods before early ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from retention_pipeline.history.reported import ROW_KEY
from retention_pipeline.kpis.declaration import Kpi, settings_named
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.members import (
    Cell,
    NoMembers,
    columns_in,
    measures_query,
    parts_of,
    published_settings,
)
from retention_pipeline.warehouse import tables_in

TABLE = "cell_parts"
CELLS_AT_MOST, FACTS_AT_MOST = 20, 1_000_000
TOLERANCE = 1e-9


def added(column: str) -> str:
    """SQL for the sum of parts, which are doubles, as decimals: their order does not matter to the last bit."""
    return f"cast(sum(cast({column} as decimal(38, 12))) as double)"


def find_parts(connection: duckdb.DuckDBPyConnection) -> None:
    """cell_parts of the figures of `restated`, as far as they are looked at; `published` is the generation before."""
    connection.execute(
        f"create or replace temp table {TABLE} (kpi varchar, grain varchar, period_start date, basis varchar, "
        "segment_dimension varchar, segment_value varchar, customer_key bigint, numerator_delta double, "
        "denominator_delta double)"
    )
    if "int_member_queries" not in tables_in(connection) & tables_in(connection, database="published"):
        return
    for cell, kpis in _cells(connection):
        family = kpis[0].family
        parts = {kpi: parts_of(kpi) for kpi in kpis}
        columns = sorted({name for of_kpi in parts.values() for text in of_kpi.values() for name in columns_in(text)})
        try:
            for side, database in (("before", "published"), ("now", None)):
                query = measures_query(connection, family, columns, cell, database)
                connection.execute(f"create or replace temp table members_{side} as {query}")
        except NoMembers:
            continue
        settings = {"before": published_settings(connection, "published"), "now": published_settings(connection)}
        sides = [
            _part_rows(kpi, of_kpi, side, sign, settings[side])
            for kpi, of_kpi in parts.items()
            for side, sign in (("before", "-"), ("now", ""))
        ]
        placed = (
            f"{text_literal(cell.grain)}, {date_literal(cell.period_start)}, {text_literal(cell.basis)}, "
            f"{text_literal(cell.segment_dimension)}, {text_literal(cell.segment_value)}"
        )
        connection.execute(f"""
            insert into {TABLE}
            select kpi, {placed}, customer_key, {added("numerator")}, {added("denominator")}
            from ({" union all ".join(sides)}) group by kpi, customer_key
            having {added("numerator")} <> 0 or {added("denominator")} <> 0""")
    _keep_whole_ones(connection)


def _cells(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Cell, list[Kpi]]]:
    """The cells that are looked at, each with its restated KPIs of one family that have parts."""
    facts = connection.execute(
        "select coalesce(sum(estimated_size), 0) from duckdb_tables() where database_name = current_database() "
        "and schema_name = 'main' and table_name in ('int_purchase_days', 'int_mrr_changes', 'int_active_days')"
    ).fetchall()[0][0]
    at_most = min(CELLS_AT_MOST, FACTS_AT_MOST // (int(facts) + 1))
    rows = connection.execute(
        f"""
        select * from (
            select {", ".join(ROW_KEY)}, max(causes) as several from cell_causes group by {", ".join(ROW_KEY)}
        )
        order by several = 1, segment_dimension <> 'all', grain <> 'month', period_start desc, grain, basis,
            segment_dimension, segment_value, kpi
        """
    ).fetchall()
    found: dict[tuple[str, Cell], list[Kpi]] = {}
    for kpi, grain, start, basis, dimension, value, _ in rows:
        if kpi in BY_ID and parts_of(BY_ID[kpi]):
            cell = Cell(grain, start, basis, dimension, value)
            found.setdefault((BY_ID[kpi].family.name, cell), []).append(BY_ID[kpi])
    for (_, cell), kpis in list(found.items())[:at_most]:
        yield cell, kpis


def _part_rows(kpi: Kpi, parts: dict[str, str], side: str, sign: str, settings: dict[str, str | None]) -> str:
    """SQL: a KPI's parts by customer in one of the generations."""

    def expression(name: str) -> str:
        text = parts.get(name)
        if text is None:
            return "cast(null as double)"
        return f"{sign}cast({text.format(**{one: settings[one] for one in settings_named((text,))})} as double)"

    numerator = expression("numerator") if kpi.is_ratio else expression("value")
    return (
        f"select {text_literal(kpi.id)} as kpi, customer_key, {numerator} as numerator, "
        f"{expression('denominator')} as denominator from members_{side}"
    )


def _keep_whole_ones(connection: duckdb.DuckDBPyConnection) -> None:
    """Take out figures whose parts do not add up to the change: what belongs to nobody, or was not given before."""
    whole = "case when {0}_numerator is null then {0}_value else {0}_numerator end"
    connection.execute(f"""
        delete from {TABLE} where ({", ".join(ROW_KEY)}) in (
            select ({", ".join(f"restated.{name}" for name in ROW_KEY)})
            from restated
            inner join (
                select {", ".join(ROW_KEY)}, sum(numerator_delta) as numerator, sum(denominator_delta) as denominator
                from {TABLE} group by all
            ) as parts on {same_key("restated", "parts", ROW_KEY)}
            where not coalesce(abs(({whole.format("new")}) - ({whole.format("old")}) - parts.numerator)
                    <= {TOLERANCE} * greatest(1, abs(new_value), abs(new_numerator)), false)
                or not coalesce(abs(coalesce(new_denominator, 0) - coalesce(old_denominator, 0)
                    - coalesce(parts.denominator, 0)) <= {TOLERANCE} * greatest(1, abs(new_denominator)), false)
        )""")
