"""A home's tables on a Spark in this process: raw handed over as Parquet, the compiled models, full refresh.

pyspark is not a dependency of the project and needs Java: whoever uses this skips without them (`why_not`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
from nights.compiled_models import SPARK_SCHEMA, Model, compiled

from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform.delivered_segments import with_delivered_segments

RAW = f"{SPARK_SCHEMA}_raw"
TYPES = {"VARCHAR": "string", "JSON": "string", "BIGINT": "bigint", "INTEGER": "int", "DOUBLE": "double"}
TYPES |= {"BOOLEAN": "boolean", "TIMESTAMP": "timestamp", "DATE": "date", "HUGEINT": "decimal(38, 0)"}
# Its rows are SQL, which is that of the engine.
TEXTS = ("int_member_queries",)
RATES_AGREE_TO = 1e-9


def why_not() -> str | None:
    """What is missing for a Spark on this machine."""
    if not find_spec("pyspark"):
        return "pyspark is not installed (`make spark` does so)"
    return None if shutil.which("java") else "there is no Java (Debian: apt-get install openjdk-17-jre-headless)"


@contextmanager
def spark_session(folder: Path) -> Iterator[Any]:
    """A Spark on two cores in UTC that fails where a number overflows, as DuckDB does."""
    settings = {
        "spark.driver.memory": "3g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",  # plans of small tables are never run for long
        "spark.sql.adaptive.enabled": "false",  # or the large plans are made again after each of their stages
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    builder = import_module("pyspark.sql").SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def hand_over(session: Any, home: Home, folder: Path, schema: str = RAW) -> None:
    """The tables of raw as Parquet files in a folder, and views of them in a schema of Spark's, which has the types."""
    session.sql(f"create schema {schema}").collect()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where database_name = 'raw_store' and schema_name = 'raw' order by table_name, column_index"
        ).fetchall():
            columns.setdefault(table, []).append((column, kind))
        for table, kinds in columns.items():
            path = folder / table
            path.mkdir(parents=True)
            given = ", ".join(
                f'"{column}"' if _type(kind) else f'cast("{column}" as varchar) as "{column}"' for column, kind in kinds
            )
            connection.execute(f"copy (select {given} from raw_store.raw.{table}) to '{path}/rows.parquet'")
            typed = ", ".join(f"cast(`{column}` as {_type(kind) or 'string'}) as `{column}`" for column, kind in kinds)
            session.sql(f"create view {schema}.{table} as select {typed} from parquet.`{path}`").collect()


def build_on_spark(session: Any, root: Path, as_of: date) -> list[str]:
    """Build every model of a home that is loaded; the names of their tables, which stand in SPARK_SCHEMA."""
    home = Home(root)
    settings = with_delivered_segments(home, load_settings(home))
    for schema in (SPARK_SCHEMA, RAW):
        session.sql(f"drop schema if exists {schema} cascade").collect()
    session.sql(f"create schema {SPARK_SCHEMA}").collect()
    hand_over(session, home, root / "handed_over")
    models = compiled(settings, root / "compiled_for_spark", night=False, for_spark=True)
    for model in models:
        text = _of_all_grains(session, model, model.text(as_of, None, -1), settings.grains)
        session.sql(f"create table {SPARK_SCHEMA}.{model.name} using parquet as {text}").collect()
    return [model.name for model in models]


def differing_rows(session: Any, file: Path, tables: list[str]) -> dict[str, list[str]]:
    """Per table the first rows that only one of the engines has: those of DuckDB stand in a file. Doubles may differ by
    what comes of adding them up in another order.
    """
    found: dict[str, list[str]] = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{file}' as computed (read_only)")
        for table in tables:
            if table in TEXTS:
                continue
            columns = connection.execute(
                "select column_name, data_type from duckdb_columns() "
                "where database_name = 'computed' and schema_name = 'main' and table_name = ?",
                [table],
            ).fetchall()
            rows = session.table(f"{SPARK_SCHEMA}.{table}").toArrow()
            if sorted(rows.column_names) != sorted(name for name, _ in columns):
                found[table] = [f"columns {rows.column_names}"]
                continue
            connection.register("on_spark", rows)
            listed = ", ".join(
                f"round({name} / {RATES_AGREE_TO}) as {name}"
                if kind == "DOUBLE"
                else f"cast({name} as {kind}) as {name}"
                for name, kind in columns
            )
            sides = {"duckdb": f"select {listed} from computed.{table}", "spark": f"select {listed} from on_spark"}
            for (engine, here), there in zip(sides.items(), reversed(sides.values()), strict=True):
                only_here = connection.execute(f"({here}) except all ({there}) limit 3").fetchall()
                if only_here:
                    found.setdefault(table, []).extend(f"only {engine}: {row}" for row in only_here)
            connection.unregister("on_spark")
    return found


def _type(kind: str) -> str | None:
    return kind.lower() if kind.startswith("DECIMAL") else TYPES.get(kind)


def _of_all_grains(session: Any, model: Model, text: str, grains: Any) -> str:
    """What the materializations of macros/spark_tables.sql make of a model's text."""
    if model.materialized in ("by_grain", "contributions") and "__grain__" in text:
        parts = [f"select * from ({text.replace('__grain__', grain)}) as rows_of_{grain}" for grain in grains]
        text = "\nunion all\n".join(parts)
    if model.materialized == "contributions":
        measures = [name for name in session.sql(text).columns if name not in model.flow_keys]
        text = f"select * from ({text}) as sums where " + " or ".join(f"{measure} <> 0" for measure in measures)
    return text
