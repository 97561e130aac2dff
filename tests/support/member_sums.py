"""Whether the members of some cells add up to the cells: every measure of every family, and every KPI's parts."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb

from retention_pipeline.kpis.registry import FAMILIES, family_kpis
from retention_pipeline.read.members import Cell, additive, is_cell, kpi_query, measures_query, parts_of
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import tables_in


def assert_members_add_up(root: Path, *, cells: int, seed: int = 0) -> None:
    """Of a home with a generation: members of so many random cells of each family, and a KPI of each."""
    with duckdb.connect(str(Home(root).current), read_only=True, config={"threads": 1}) as connection:
        compared, wrong = wrong_sums(connection, cells=cells, seed=seed, kpis=1)
    assert compared > 0
    assert not wrong, "\n".join(["", *wrong])


def wrong_sums(
    connection: duckdb.DuckDBPyConnection, *, cells: int, seed: int = 0, kpis: int = 0
) -> tuple[int, list[str]]:
    """(comparisons, differences in words) over so many random cells of each family, and so many KPIs of each cell."""
    chance = random.Random(seed)
    compared, wrong = 0, []
    for family in FAMILIES:
        if family.period_table not in tables_in(connection):
            continue
        rows = f"(select * from {family.period_table} where {family.rows or 'true'})"
        found = connection.execute(
            f"select grain, period_start, basis, segment_dimension, segment_value from {rows} order by all"
        ).fetchall()
        columns = additive(family)
        for key in chance.sample(found, min(cells, len(found))):
            cell = Cell(*key)
            listed = ", ".join(columns)
            expected = connection.execute(f"select {listed} from {rows} where {is_cell(cell)}").fetchall()[0]
            added_up = sums(connection, measures_query(connection, family, columns, cell), columns)
            compared += 1
            wrong += [
                f"{family.name} {cell}: {name} is {have}, members add up to {added}"
                for name, have, added in zip(columns, expected, added_up, strict=True)
                if have is not None and have != added
            ]
            for kpi in chance.sample(family_kpis(family), min(kpis, len(family_kpis(family)))):
                if not (parts := parts_of(kpi)):
                    continue
                published = connection.execute(
                    f"select {', '.join(parts)} from retention_kpis where kpi = ? and {is_cell(cell)}", [kpi.id]
                ).fetchall()
                query, names = kpi_query(connection, kpi, cell)
                got = sums(connection, query, names)
                compared += len(published)
                wrong += [
                    f"{kpi.id} {cell}: {name} is {have}, members add up to {added}"
                    for row in published
                    for name, have, added in zip(names, row, got, strict=True)
                    if have is not None and abs(have - float(added)) > 1e-9 * max(1.0, abs(have))
                ]
    return compared, wrong


def sums(connection: duckdb.DuckDBPyConnection, query: str, columns: tuple[str, ...] | list[str]) -> tuple:
    """The columns of a query added up."""
    listed = ", ".join(f"coalesce(sum({name}), 0)" for name in columns)
    return connection.execute(f"select {listed} from ({query})").fetchall()[0]
