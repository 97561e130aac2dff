"""Whether the members of a cell add up to it: `retention check --cell`, and the tests of members."""

from __future__ import annotations

from typing import Any

import duckdb

from retention_pipeline.kpis.declaration import BASES, Kpi
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.read.explain import asked_figure, cell_of, is_close
from retention_pipeline.read.members import Cell, additive, is_cell, measures_query, parts_of, parts_query
from retention_pipeline.read.published import UnknownName

FORM = "KPI PERIOD [DIM=VALUE] [BASIS], such as 'customers_lost 2026-03 country=NL any'"


def named_cell(connection: duckdb.DuckDBPyConnection, text: str) -> tuple[Kpi, Cell]:
    """The KPI and the cell that a text names: `customers_lost 2026-03 segment country=NL any`."""
    words = text.split()
    if len(words) < 2:
        raise UnknownName(f"A cell is {FORM}")
    name, period, *others = words
    rest = " ".join(word for word in others if word != "segment")
    basis = next((word for word in rest.split() if word in BASES), None)
    segment = " ".join(word for word in rest.split() if word != basis) or None
    if segment is not None and "=" not in segment:
        raise UnknownName(f"{segment!r} is neither a segment (country=NL) nor a basis; a cell is {FORM}")
    kpi, _, row = asked_figure(connection, name, period, grain=None, segment=segment, basis=basis)
    return kpi, cell_of(row)


def sums_of_members(connection: duckdb.DuckDBPyConnection, kpi: Kpi, cell: Cell) -> list[tuple[str, Any, Any]]:
    """(name, published, Σ over members) of every measure of the KPI's family and of the KPI's parts."""
    family, columns = kpi.family, list(additive(kpi.family))
    rows = f"{family.period_table} where {is_cell(cell)} and {family.rows or 'true'}"
    published = connection.execute(f"select {', '.join(columns)} from {rows}").fetchall()[0]
    added = added_up(connection, measures_query(connection, family, columns, cell), columns)
    found = list(zip(columns, published, added, strict=True))
    if parts := parts_of(kpi):
        row = connection.execute(
            f"select {', '.join(parts)} from retention_kpis where kpi = {text_literal(kpi.id)} and {is_cell(cell)}"
        ).fetchall()
        sums = added_up(connection, parts_query(connection, kpi, parts, cell), list(parts))
        names = [f"{part} of {kpi.id}" for part in parts]
        found += zip(names, row[0] if row else [None] * len(names), sums, strict=True)
    return found


def added_up(connection: duckdb.DuckDBPyConnection, query: str, columns: list[str]) -> tuple[Any, ...]:
    """The columns of a query added up."""
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in columns)
    return connection.execute(f"select {sums} from ({query})").fetchall()[0]


def is_equal(published: Any, added: Any) -> bool:
    """Measures exactly, figures (doubles) but for their rounding; what is not published is equal to anything."""
    if isinstance(published, float):
        return is_close(published, added)
    return published is None or bool(published == added)
