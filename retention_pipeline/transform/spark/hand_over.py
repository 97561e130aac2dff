"""Rows on their way between DuckDB and Spark, as Parquet files in a folder that both see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Home
from retention_pipeline.transform.spark.tables import Table, quoted, register, spark_type
from retention_pipeline.warehouse import opened, opened_raw, sql_name, sql_text


class HandOverError(Exception):
    """What came back from Spark is not what was asked for; str() is one line."""


def hand_raw_over(
    session: Any, home: Home, schema: str, folder: Path, in_lake: Mapping[str, Table] | None = None
) -> int:
    """Write the tables of raw to a folder, and tell Spark of them in a schema, with their types; of those `in_lake`, by
    name, it gets views. Returns the bytes.

    Columns are written as Spark reads them, so its tables need no casts; of a view on files it would read their types
    anew for each query that names it.
    """
    written = 0
    with opened_raw(home) as connection:
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where database_name = 'raw_store' and schema_name = 'raw' order by table_name, column_index"
        ).fetchall():
            columns.setdefault(table, []).append((column, kind))
        for table, kinds in columns.items():
            if in_lake and table in in_lake:
                here = in_lake[table]
                written += sum(file.stat().st_size for file in here.path.glob("*.parquet"))
                session.sql(f"create view {schema}.{quoted(table)} as select * from {here.name}")
                continue
            path = folder / table
            path.mkdir()
            given = [f"{_as_spark_reads(sql_name(column), kind)} as {sql_name(column)}" for column, kind in kinds]
            file = path / "rows.parquet"
            connection.execute(
                f"copy (select {', '.join(given)} from raw.{sql_name(table)}) to {sql_text(str(file))} (format parquet)"
            )
            written += file.stat().st_size
            typed = [(column, spark_type(kind)) for column, kind in kinds]
            register(session, Table(f"{schema}.{quoted(table)}", path, typed))
    return written


def bring_back(warehouse_file: Path, folder: Path, tables: Iterable[str]) -> None:
    """Fill tables of `next.duckdb`, which have their columns and types already, with the rows that Spark wrote.

    Raises HandOverError where columns are others.
    """
    with opened(warehouse_file) as connection:
        for table in tables:
            name = sql_name(table)
            if not (folder / table).is_dir():
                raise HandOverError(f"Spark's table {table} is not in {folder}: is this the cluster's folder too?")
            connection.execute(f"truncate {name}")
            if not list((folder / table).glob("*.parquet")):
                continue  # a table without rows
            files = f"read_parquet({sql_text(str(folder / table / '*.parquet'))})"
            theirs = {row[0] for row in connection.execute(f"describe select * from {files}").fetchall()}
            ours = {row[0] for row in connection.execute(f"describe {name}").fetchall()}
            if theirs != ours:
                raise HandOverError(f"{table} has other columns on Spark: {', '.join(sorted(theirs ^ ours))}")
            connection.execute(f"insert into {name} by name select * from {files}")


def columns_of(warehouse_file: Path) -> dict[str, list[str]]:
    """The columns of each table of `next.duckdb`, in their order."""
    with opened(warehouse_file, read_only=True) as connection:
        found: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "select table_name, column_name from duckdb_columns() "
            "where schema_name = 'main' and not internal order by table_name, column_index"
        ).fetchall():
            found.setdefault(table, []).append(column)
        return found


def _as_spark_reads(name: str, kind: str) -> str:
    """A column of raw in the form of its type on Spark: times are instants there, in UTC."""
    if kind == "TIMESTAMP":
        return f"timezone('UTC', {name})"
    known = spark_type(kind)
    return f"cast({name} as {'varchar' if known == 'string' else known})"
