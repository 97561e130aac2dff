"""CSV files for people: text that a spreadsheet would take for a formula gets an apostrophe before it.

Excel and others run what begins with = + - @ (or a tab or a carriage return before that). The apostrophe is what they
put there themselves. Numbers are numbers and stay as they are; for programs there is Parquet.
"""

from __future__ import annotations

import re
from typing import Any

import duckdb

OF_CUSTOMERS = ("alias_id", "referred_by", "row_key", "raw")  # beside customer_id
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
