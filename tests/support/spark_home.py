"""A home's tables by way of Spark: what the product does between raw and figures, and how two files of them differ."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import yaml

from retention_pipeline.publish import generations
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform import build
from retention_pipeline.transform.delivered_segments import with_delivered_segments
from retention_pipeline.transform.engine import TEXTS
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.session import spark_session

RATES_AGREE_TO = 1e-9
REMOTE = "RETENTION_TEST_SPARK"  # the variable that holds the address of the server
ON_SPARK: dict[str, Any] = {"engine": "spark", "spark": {"remote": {"env": REMOTE}}}


def build_on_spark(root: Path, as_of: date) -> tuple[Path, list[str]]:
    """Build the models of a home that is loaded, with their data tests: `next.duckdb` and the names of its tables."""
    home = Home(root)
    home.settings_file.write_text(yaml.safe_dump(yaml.safe_load(home.settings_file.read_text()) | ON_SPARK))
    settings = with_delivered_segments(home, load_settings(home))
    generations.begin(home, full_refresh=True)
    built = build(home, settings, as_of=as_of, full_refresh=True, run_id="on_spark")
    return home.next_file, sorted(built.row_counts)


@contextmanager
def stand_in_for_pyspark() -> Iterator[None]:
    """dbt-spark looks whether pyspark is there, also where it only compiles. What is imported meanwhile stays."""
    if find_spec("pyspark"):
        yield
        return
    sys.modules["pyspark"] = ModuleType("pyspark")
    try:
        yield
    finally:
        del sys.modules["pyspark"]


def views_as_tables(root: Path, file: Path) -> list[str]:
    """Put the rows of the views of a home's lake, as Spark gives them, into `next.duckdb` in the place of its own
    views; their names. file: DuckDB's, which has the same views.
    """
    home = Home(root)
    settings = load_settings(home)
    assert settings.spark is not None
    lake = Lake.of(home, settings.spark)
    with duckdb.connect(str(file), read_only=True) as connection:
        views = {
            path.stem: connection.execute(f"describe {path.stem}").fetchall()
            for path in lake.folder.joinpath(lake.schema(1)).glob("*.sql")
        }
    with spark_session(settings) as session, duckdb.connect(str(home.next_file)) as connection:
        for view, columns in views.items():
            rows = f"{lake.schema(1)}.{view}__rows"
            session.sql(f"create table {rows} using parquet as select * from {lake.schema(1)}.{view}").collect()
            typed = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind, *_ in columns)
            parquet = lake.folder / lake.schema(1) / f"{view}__rows" / "*.parquet"
            connection.execute(f"drop view {view}")
            connection.execute(f"create table {view} as select {typed} from read_parquet('{parquet}')")
            session.sql(f"drop table {rows}").collect()
    return sorted(views)


def differing_rows(ours: Path, theirs: Path, tables: list[str]) -> dict[str, list[str]]:
    """Per table the first rows that only one of two files has: DuckDB's and Spark's. Doubles may differ by what
    comes of adding them up in another order.
    """
    found: dict[str, list[str]] = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{ours}' as duckdb_s (read_only)")
        connection.execute(f"attach '{theirs}' as spark_s (read_only)")
        for table in tables:
            if table in TEXTS:
                continue
            columns = {
                database: connection.execute(
                    "select column_name, data_type from duckdb_columns() "
                    "where database_name = ? and schema_name = 'main' and table_name = ?",
                    [database, table],
                ).fetchall()
                for database in ("duckdb_s", "spark_s")
            }
            if columns["duckdb_s"] != columns["spark_s"]:
                found[table] = [f"{database}: columns {listed}" for database, listed in columns.items()]
                continue
            listed = ", ".join(
                f"round({name} / {RATES_AGREE_TO}) as {name}" if kind == "DOUBLE" else name
                for name, kind in columns["duckdb_s"]
            )
            sides = {engine: f"select {listed} from {engine}_s.{table}" for engine in ("duckdb", "spark")}
            for (engine, here), there in zip(sides.items(), reversed(sides.values()), strict=True):
                only_here = connection.execute(f"({here}) except all ({there}) limit 3").fetchall()
                if only_here:
                    found.setdefault(table, []).extend(f"only {engine}: {row}" for row in only_here)
    return found
