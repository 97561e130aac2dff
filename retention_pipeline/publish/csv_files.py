"""CSV files for people: text that a spreadsheet would take for a formula gets an apostrophe before it.

Excel and others run what begins with = + - @ (or a tab or a carriage return before that). The apostrophe is what they
put there themselves. Numbers are numbers and stay as they are; for programs there is Parquet.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.warehouse import sql_text

OF_CUSTOMERS = ("alias_id", "referred_by", "row_key", "raw")  # beside customer_id
FORMATS = {"csv": "format csv, header", "parquet": "format parquet, compression zstd", "json": "format json, array"}
DANGEROUS = r"^[=+\-@\t\r]"


def guarded_value(value: Any) -> Any:
    """A value as it is written where texts are guarded."""
    return f"'{value}" if isinstance(value, str) and re.match(DANGEROUS, value) else value


def guarded(
    connection: duckdb.DuckDBPyConnection, relation: str, *, is_guarded: bool, with_customers: bool = True
) -> str:
    """SQL: the rows of a table, view or subquery, its texts guarded where `is_guarded`. Not `with_customers`: without
    the columns that name them.
    """
    if not is_guarded and with_customers:
        return f"select * from {relation}"
    columns = connection.execute(f"select column_name, column_type from (describe select * from {relation})").fetchall()
    shown = []
    for name, kind in columns:
        if not with_customers and (name.endswith("customer_id") or name in OF_CUSTOMERS):
            continue
        column = '"' + name.replace('"', '""') + '"'
        guard = f"case when regexp_matches({column}, '{DANGEROUS}') then chr(39) || {column} else {column} end"
        shown.append(f"{guard} as {column}" if is_guarded and kind == "VARCHAR" else column)
    return f"select {', '.join(shown)} from {relation}"


def write_file(connection: duckdb.DuckDBPyConnection, rows: str, target: Path, form: str) -> int:
    """Write the rows of a query to a file, atomically: whole, or not at all. Returns how many rows."""
    partial = target.with_name(f".{target.name}.part")
    partial.touch()  # who may not write there is told by the system, in its words
    try:
        copied = connection.execute(f"copy ({rows}) to {sql_text(str(partial))} ({FORMATS[form]})").fetchone()
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return copied[0] if copied else 0
