"""The rows of raw as history reads them: temporary views `raw_<table>`, wherever the rows stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.settings import Home, Settings
from retention_pipeline.transform.engine import rows_in_lake
from retention_pipeline.warehouse import sql_name, sql_text, tables_in


@contextmanager
def raw_rows_named(connection: duckdb.DuckDBPyConnection, home: Home, settings: Settings) -> Iterator[None]:
    """There are views of the datasets' tables in the attached `raw_store`; those with rows in the lake read the files
    there, with raw's types. The connection is in UTC.
    """
    in_lake = rows_in_lake(home, settings)
    there = tables_in(connection, database="raw_store", schema="raw")
    named = [name for dataset in CONTRACTS for name in (dataset, f"{dataset}_history") if name in there]
    for table in named:
        rows = f"from raw_store.raw.{table}"
        if files := in_lake.get(table):
            kinds = connection.execute(
                "select column_name, data_type from duckdb_columns() "
                "where database_name = 'raw_store' and schema_name = 'raw' and table_name = $1",
                [table],
            ).fetchall()
            typed = ", ".join(f"cast({sql_name(name)} as {kind}) as {sql_name(name)}" for name, kind in kinds)
            rows = f"select {typed} from read_parquet([{', '.join(sql_text(str(file)) for file in files)}])"
        connection.execute(f"create or replace temp view raw_{table} as {rows}")
    yield
    for table in named:
        connection.execute(f"drop view temp.raw_{table}")
