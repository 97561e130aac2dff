"""The same seeded orders as a file of each kind and as a PostgreSQL table, and a night's changes to them.

The columns are those of the contract. In one row of seven `channel` is a text with commas and quotes, as free text in
exports is.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from benchmarks.generate import customer, instant, order_values, uniform

FILE_KINDS = ("csv", "csv.gz", "parquet", "jsonl")
COLUMNS = {
    "order_id": "varchar",
    "customer_id": "varchar",
    "ordered_at": "timestamp",
    "amount": "decimal(18,2)",
    "currency": "varchar",
    "status": "varchar",
    "refunded_amount": "decimal(18,2)",
    "refunded_at": "timestamp",
    "is_test": "boolean",
    "channel": "varchar",
    "updated_at": "timestamp",
}
POSTGRES_TYPES = {"decimal(18,2)": "numeric(18,2)", "timestamp": "timestamptz", "varchar": "text"}
CORRECTED_SHARE = 0.3
NIGHT_AT = datetime(2025, 1, 2, 3)
FREE_TEXT = """ 'Shop "' || (i % 89) || '", Amsterdam' """


def rows_query(rows: int) -> str:
    """SQL for the whole history: `rows` orders in order of time."""
    values = order_values("i", rows, "moment", "number")
    values["channel"] = f"case when i % 7 = 0 then {FREE_TEXT} else {values['channel']} end"
    listed = ", ".join(f"cast({values[name]} as {kind}) as {name}" for name, kind in COLUMNS.items())
    return f"""select {listed} from (
        select range as i, {instant("range", rows)} as moment, {customer("range")} as number from range({rows})
    )"""


def night_query(rows: int, changed: int) -> str:
    """SQL for a night: `changed` rows, of which the corrected ones are spread over the whole history."""
    corrected = int(changed * CORRECTED_SHARE)
    old = f"cast(floor({rows} * {uniform('range', 51)}) as bigint)"
    values = order_values("i", rows, "moment", "number")
    values["channel"] = "'corrected'"
    values["updated_at"] = "timestamp '2025-01-02'"
    listed = ", ".join(f"cast({values[name]} as {kind}) as {name}" for name, kind in COLUMNS.items())
    return f"""select {listed} from (
        select i, {instant("i", rows)} as moment, {customer("i")} as number from (
            select distinct case when range < {corrected} then {old} else {rows} + range end as i
            from range({changed})
        )
    )"""


def make_file(path: Path, kind: str, query: str) -> None:
    """Write the rows of a query as one file."""
    options = {
        "csv": "format csv, header",
        "csv.gz": "format csv, header, compression gzip",
        "parquet": "format parquet, compression zstd",
        "jsonl": "format json",
    }[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"copy ({query}) to '{path}' ({options})")


def fill_postgres(dsn: str, query: str) -> None:
    """The table `orders` with the rows of a query and an index on its cursor; not logged, which reading never sees."""
    columns = ", ".join(f"{name} {POSTGRES_TYPES.get(kind, kind)}" for name, kind in COLUMNS.items())
    with psycopg.connect(dsn, autocommit=True) as connection, duckdb.connect() as source:
        connection.execute("drop table if exists orders")
        connection.execute(f"create unlogged table orders ({columns})")
        copy_into_postgres(connection, source, query)
        connection.execute("create index on orders (updated_at)")
        connection.execute("vacuum (freeze, analyze) orders")
        connection.execute("checkpoint")


def copy_into_postgres(connection: psycopg.Connection[Any], source: duckdb.DuckDBPyConnection, query: str) -> None:
    """Append the rows of a query to the table, by way of a CSV file."""
    row = connection.execute("show data_directory").fetchone()
    assert row is not None
    path = Path(row[0]).parent / "orders.csv"
    source.execute("set TimeZone = 'UTC'")
    source.execute(f"copy ({query}) to '{path}' (format csv, header false)")
    try:
        with (
            connection.cursor() as cursor,
            cursor.copy(f"copy orders ({', '.join(COLUMNS)}) from stdin (format csv)") as copy,
            path.open("rb") as stream,
        ):
            while block := stream.read(1 << 20):
                copy.write(block)
    finally:
        path.unlink()
