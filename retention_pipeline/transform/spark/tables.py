"""How Spark is told of tables: names and texts in its SQL, its types, and where a table's files are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Types that raw may have, by Spark's names.
RAW_TYPES = {
    **{"string": "VARCHAR", "bigint": "BIGINT", "int": "INTEGER", "double": "DOUBLE", "boolean": "BOOLEAN"},
    **{"timestamp": "TIMESTAMP", "date": "DATE", "decimal(38, 0)": "HUGEINT"},
}
_OF_RAW = {kind: name for name, kind in RAW_TYPES.items()}
# What the loader's queries take a delivered column for: a time with a zone is an instant there, one without is not.
_DELIVERED = RAW_TYPES | {
    **{"tinyint": "TINYINT", "smallint": "SMALLINT", "float": "FLOAT", "binary": "BLOB"},
    **{"timestamp_ntz": "TIMESTAMP", "timestamp": "TIMESTAMP WITH TIME ZONE"},
}
_NESTED = {"array": "VARCHAR[]", "struct": "STRUCT", "variant": "STRUCT", "map": "MAP"}


def quoted(name: str) -> str:
    """A name as Spark has it."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """A text as Spark has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def listed(names: Sequence[str], alias: str = "") -> str:
    """Columns one after the other."""
    return ", ".join(f"{alias}.{quoted(name)}" if alias else quoted(name) for name in names)


def spark_type(kind: str) -> str:
    """Spark's name of a type of raw; what it has no name for comes to it as text."""
    return kind.lower() if kind.upper().startswith("DECIMAL") else _OF_RAW.get(kind.upper(), "string")


def duckdb_type(kind: str) -> str:
    """DuckDB's name of the type of a column in the lake, as the loader's queries take it."""
    if found := re.fullmatch(r"decimal\((\d+),(\d+)\)", kind):
        return f"DECIMAL({found[1]},{found[2]})"
    plain = re.match(r"[a-z_]+", kind)
    name = plain[0] if plain else kind
    return _NESTED.get(name) or _DELIVERED.get(name, "VARCHAR")


@dataclass(frozen=True)
class Table:
    """A table of Parquet files: its name in Spark, the folder that they are in, its columns with Spark's types."""

    name: str
    path: Path
    columns: list[tuple[str, str]]


def register(session: Any, table: Table) -> None:
    """Tell Spark of a table whose files are there, or will be; it may have forgotten all of them."""
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in table.columns)
    session.sql(
        f"create table if not exists {table.name} ({columns}) using parquet location {text(table.path.as_uri())}"
    )
