"""The tables that the oracle knows besides KPIs and cohorts, against those of a home: all rows and all columns."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from oracle import cell_tables, goals, tables
from oracle.answers import Answer, Key
from oracle.company import Company
from oracle.comparison import differences
from oracle.folders import plain

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import tables_in

Cells = dict[tuple[Any, ...], dict[str, Any]]
TABLES = cell_tables.TABLES | goals.TABLES | tables.KEYS


def expected_tables(company: Company, rows: dict[str, list[dict[str, Any]]], answers: dict[Key, Answer]) -> Cells:
    """Every row by (table, *key), of the rows that the company was read from."""
    found = cell_tables.cell_tables(company)
    found |= tables.expected_rows(company)
    found |= goals.kpi_attainment(rows.get("kpi_targets", []), answers, company.as_of)
    return found | goals.kpi_with_benchmark(rows.get("kpi_benchmarks", []), answers, company.rules)


def published_tables(connection: duckdb.DuckDBPyConnection) -> Cells:
    """The same of a generation; a table that is not there has no rows."""
    found: Cells = {}
    for table in sorted(TABLES.keys() & tables_in(connection)):
        relation = with_ids(connection, table)
        for row in relation.fetchall():
            named = dict(zip(relation.columns, row, strict=True))
            key = (table, *(named.pop(column) for column in TABLES[table]))
            assert key not in found, f"two rows of {key}"
            found[key] = {name: value if isinstance(value, date) else plain(value) for name, value in named.items()}
    return found


def with_ids(connection: duckdb.DuckDBPyConnection, table: str) -> duckdb.DuckDBPyRelation:
    """The table, with the customer's id where it has a key."""
    relation = connection.table(table)
    if "customer_key" not in relation.columns:
        return relation
    return connection.sql(
        f"select customer_id, {table}.* exclude (customer_key) from {table} join int_customers using (customer_key)"
    )


def wrong_tables(
    root: Path, company: Company, rows: dict[str, list[dict[str, Any]]], answers: dict[Key, Answer]
) -> str:
    """The differences of a home's generation in words, none where every table is the oracle's."""
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        return differing_tables(connection, expected_tables(company, rows, answers))


def differing_tables(connection: duckdb.DuckDBPyConnection, expected: Cells) -> str:
    published = published_tables(connection)
    columns = {key[0]: set(row) for key, row in expected.items()}
    more = {key[0]: set(row) - columns[key[0]] for key, row in published.items() if key[0] in columns}
    assert not any(more.values()), f"columns that the oracle does not know: {more}"
    return differences(expected, published)
