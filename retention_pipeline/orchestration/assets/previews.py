"""Tables in the metadata of assets: the first rows of a warehouse table, and lists of things, as Markdown."""

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from retention_pipeline import formatting
from retention_pipeline.warehouse import opened

ROWS, COLUMNS = 5, 12


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as a Markdown table; what is Markdown or HTML inside a value is shown, not followed."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return re.sub(r"([\\|`\[\]])", r"\\\1", html.escape(formatting.cell(value), quote=False))


def table_metadata(warehouse_file: Path, tables: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Per table of schema main that is there: its number of rows and its first rows. Views are left out."""
    found: dict[str, dict[str, Any]] = {}
    with opened(warehouse_file, read_only=True) as connection:
        there = {
            name
            for (name,) in connection.execute(
                "select table_name from duckdb_tables() "
                "where schema_name = 'main' and database_name = current_database()"
            ).fetchall()
        }
        for table in tables:
            if table in there:
                found[table] = _metadata(connection, table)
    return found


def _metadata(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, Any]:
    count = connection.execute(f'select count(*) from "{table}"').fetchone()
    cursor = connection.execute(f'select * from "{table}" limit {ROWS}')
    columns = [column[0] for column in cursor.description or []][:COLUMNS]
    rows = [row[:COLUMNS] for row in cursor.fetchall()]
    return {
        "dagster/row_count": int(count[0]) if count else 0,
        "preview": dg.MetadataValue.md(markdown_table(columns, rows)),
    }
