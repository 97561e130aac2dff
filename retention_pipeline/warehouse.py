"""DuckDB files: how they are opened, attached and asked what is in them. No table of the project is named here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from retention_pipeline.settings import Home, memory_limit

# The oldest format that holds everything in the warehouse, so that older clients can read it.
STORAGE_VERSION = "v1.0.0"


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC that is closed in every case; `path` must exist unless it may be written."""
    connection = duckdb.connect(str(path), read_only=read_only)
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set memory_limit = {sql_text(memory_limit())}")
        yield connection
    finally:
        connection.close()


@contextmanager
def opened_raw(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection in which `raw.<dataset>` are the tables of raw.duckdb.

    The file is attached as `raw_store`, because opened directly its database would be called raw, like the schema.
    """
    with opened(Path(":memory:")) as connection:
        attach(connection, home.raw_file, "raw_store")
        connection.execute("use raw_store")
        yield connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach an existing database file read-only under a name."""
    connection.execute(f"attach {sql_text(str(path))} as {name} (read_only)")


def create_database(path: Path) -> None:
    """An empty database file in the format STORAGE_VERSION, there in one step: half of one could never be opened."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach {sql_text(str(unfinished))} as created (storage_version '{STORAGE_VERSION}')")
        connection.execute("detach created")
    os.replace(unfinished, path)


def tables_in(connection: duckdb.DuckDBPyConnection, *, database: str | None = None, schema: str = "main") -> set[str]:
    """Names of the tables and views of a schema; of the open database unless another attached one is named."""
    rows = connection.execute(
        "select table_name from information_schema.tables where table_schema = ? "
        "and table_catalog = coalesce(?, current_database())",
        [schema, database],
    ).fetchall()
    return {name for (name,) in rows}


def sql_text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
