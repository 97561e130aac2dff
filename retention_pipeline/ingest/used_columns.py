"""Which columns a query may read, told from its text: an export has many that nobody asks for, and need not be kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

# What takes columns without naming them.
UNNAMED = {"STAR", "POSITIONAL_REFERENCE", "PIVOT", "SHOW_REF", "NATURAL"}


def used_columns(connection: duckdb.DuckDBPyConnection, query: str) -> set[str] | None:
    """The names in a query that may be columns, in small letters, more rather than fewer; None: it may read any."""
    [(text,)] = connection.execute("select json_serialize_sql(?)", [query]).fetchall()
    told = json.loads(text)
    if told.get("error"):
        return None
    names: set[str] = set()
    tables: set[str] = set()
    alone: set[str] = set()
    for part in _parts(told):
        if UNNAMED & {part.get("class"), part.get("type"), part.get("ref_type")} or part.get("column_name_alias"):
            return None
        named = [one.lower() for one in part.get("column_names") or () if isinstance(one, str)]
        names.update(named, (one.lower() for one in part.get("using_columns") or ()))
        alone.update(named if len(named) == 1 else ())
        if part.get("type") == "BASE_TABLE":
            tables.update(one.lower() for one in (part["table_name"], part["alias"]) if one)
    return None if tables & alone else names  # a table named like a value is its whole row


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _parts(part)
