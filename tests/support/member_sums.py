"""Whether the members of some cells add up to the cells: every measure of every family, and every KPI's parts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.kpis.registry import FAMILIES, family_kpis
from retention_pipeline.read.members import Cell, additive, is_cell, kpi_query, measures_query, parts_of
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import tables_in


def assert_members_add_up(root: Path, *, cells: int, seed: int = 0) -> None:
    """Of a home with a generation: so many random cells of each family, with a KPI of each, and who was active."""
    with duckdb.connect(str(Home(root).current), read_only=True, config={"threads": 1}) as connection:
        compared, wrong = wrong_sums(connection, cells=cells, seed=seed, kpis=1)
        moved = wrong_movements(connection)
    assert compared > 0
    assert moved == []
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


def sums(connection: duckdb.DuckDBPyConnection, query: str, columns: tuple[str, ...] | list[str]) -> tuple[Any, ...]:
    """The columns of a query added up."""
    listed = ", ".join(f"coalesce(sum({name}), 0)" for name in columns)
    return connection.execute(f"select {listed} from ({query})").fetchall()[0]


def wrong_movements(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Cells of period_customers that customers_in_period does not give, over all periods, bases and segments."""
    dimensions = connection.execute(
        "select distinct segment_dimension from period_customers where segment_dimension <> 'all'"
    ).fetchall()
    segments = [("'all'", "'all'"), *((f"'{name}'", f'"{name}"') for (name,) in dimensions)]
    counted = " union all ".join(
        f"""select grain, period_start, basis, {dimension} as segment_dimension, {value} as segment_value,
            count(*) filter (where state_at_opening = 'active') as customers_start,
            count(*) filter (where state_at_close = 'active') as customers_end,
            count(*) filter (where movement = 'retained') as customers_retained,
            count(*) filter (where movement = 'new') as customers_new,
            count(*) filter (where movement = 'reactivated') as customers_reactivated,
            count(*) filter (where movement = 'lost') as customers_lost,
            count(*) filter (where movement = 'transient') as customers_transient
        from customers_in_period where (grain, period_start) in (select (grain, period_start) from period_customers)
        group by all"""
        for dimension, value in segments
    )
    columns = """grain, period_start, basis, segment_dimension, segment_value, customers_start, customers_end,
        customers_retained, customers_new, customers_reactivated, customers_lost, customers_transient"""
    some = "customers_start + customers_end + customers_transient > 0"
    expected = f"select {columns} from period_customers where {some}"
    return connection.execute(
        f"with counted as ({counted}) (({expected}) except (select {columns} from counted)) "
        f"union all ((select {columns} from counted) except ({expected})) limit 5"
    ).fetchall()
