"""The tables of raw.duckdb. Every dataset has its tables whether it is connected or not, so that readers never ask.

No table has a primary key: with one, a night's 100,000 changes in 100 million rows cost ten times as much. The texts of
ids are not compressed: that would cost a fifth of bringing in a first load, and rows in the middle are fetched more
quickly.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import duckdb

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.identity import CREATE, create_identity
from retention_pipeline.ingest.result import IngestError
from retention_pipeline.settings import memory_limit
from retention_pipeline.warehouse import check_rights, connect, has_table

# After these errors DuckDB no longer answers until the database is opened again.
BROKEN = (duckdb.InternalException, duckdb.FatalException)
_BOOKKEEPING = """
create table if not exists raw.customer_keys (customer_id varchar, customer_key bigint);
create table if not exists raw.ledger (
    load_id bigint, dataset varchar, source varchar, file_name varchar, sha256 varchar, bytes bigint,
    n_lines bigint, n_good bigint, n_bad bigint, n_blank bigint,
    n_new bigint, n_changed bigint, n_unchanged bigint, n_stale bigint,
    status varchar, mode varchar, error varchar, drift varchar, mapping varchar,
    started_at timestamp, finished_at timestamp
);
create table if not exists raw.deliveries (
    seen_at timestamp, dataset varchar, source varchar, file_name varchar, sha256 varchar, load_id bigint,
    bytes bigint, file_stamp varchar
);
create table if not exists raw.quarantine (
    load_id bigint, dataset varchar, file_name varchar, sha256 varchar, line bigint, byte_position bigint,
    reason varchar, raw blob, loaded_at timestamp, resolved_by bigint
);
alter table raw.quarantine add column if not exists key varchar;
create table if not exists raw.watermarks (
    source varchar, dataset varchar, high timestamp, load_id bigint, updated_at timestamp
);
alter table raw.watermarks add column if not exists greatest timestamp;
"""


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def open_raw(raw_file: Path) -> duckdb.DuckDBPyConnection:
    """A connection for writing, whose `raw.<dataset>` are the tables of raw.duckdb, all of them there; instants are
    naive UTC. Reading alone is `warehouse.opened_raw`.

    The file is attached under the name `raw_store`: opened directly its catalog would be called `raw`, like the
    schema, and DuckDB would take every `raw.orders` for ambiguous.
    """
    raw_file.parent.mkdir(parents=True, exist_ok=True)
    check_rights(raw_file, write=True)
    connection = connect()
    try:
        if not raw_file.exists():
            _create_file(connection, raw_file)
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set temp_directory = {literal(str(raw_file.parent / 'raw.spill'))}")
        connection.execute(f"set memory_limit = {literal(memory_limit())}")
        connection.execute(f"attach {literal(str(raw_file))} as raw_store")
        connection.execute("use raw_store")
        create_tables(connection)
    except duckdb.IOException as error:
        connection.close()
        if "lock" in str(error):
            holder = re.search(r"PID (\d+)", str(error))
            by = f" by process {holder[1]}" if holder else ""
            raise IngestError(f"{raw_file} is in use{by}; only one run at a time can load data") from None
        raise IngestError(f"{raw_file} cannot be opened: {first_line(error)}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _create_file(connection: duckdb.DuckDBPyConnection, raw_file: Path) -> None:
    """An empty raw.duckdb, created atomically: half of one, left by a kill, could never be opened again."""
    unfinished = raw_file.with_name(f"{raw_file.name}.new")
    unfinished.unlink(missing_ok=True)
    connection.execute(f"attach {literal(str(unfinished))} as created")
    connection.execute("detach created")
    os.replace(unfinished, raw_file)


def first_line(error: Exception) -> str:
    """An error's text without DuckDB's advice."""
    return " ".join(str(error).split("\n")[0].split())


def _layout() -> str:
    """A hash over all tables and their columns."""
    contracts = [(one.dataset, one.raw_columns, one.history_columns) for one in CONTRACTS.values()]
    return hashlib.sha256(f"{_BOOKKEEPING} {CREATE} {contracts}".encode()).hexdigest()[:16]


def _is_complete(connection: duckdb.DuckDBPyConnection) -> bool:
    if not has_table(connection, "layout", schema="raw"):
        return False
    return connection.execute("select layout from raw.layout").fetchall() == [(_layout(),)]


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create what does not exist yet, in one transaction; what exists is asked once, of all tables. Of a file that has
    all that this version knows (`raw.layout` says so) nothing is asked, for which DuckDB would read its whole catalog.
    """
    if _is_complete(connection):
        create_identity(connection)
        return
    connection.execute("begin")
    connection.execute("create schema if not exists raw")
    connection.execute(_BOOKKEEPING)
    create_identity(connection)
    exist: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "select table_name, column_name from duckdb_columns()"
        " where database_name = current_database() and schema_name = 'raw'"
    ).fetchall():
        exist.setdefault(table, set()).add(column)
    for contract in CONTRACTS.values():
        ids = {name for name in (*contract.key, *contract.customer_columns) if contract.column(name).kind == "text"}
        for table, columns in (
            (contract.dataset, contract.raw_columns),
            (f"{contract.dataset}_history", contract.history_columns),
        ):
            if table not in exist:
                listed = ", ".join(
                    f"{quoted(name)} {kind}{' using compression uncompressed' if name in ids else ''}"
                    for name, kind in columns
                )
                connection.execute(f"create table raw.{table} ({listed})")
                continue
            for name, kind in columns:
                if name not in exist[table]:  # a column that the contract did not have when the table was made
                    connection.execute(f"alter table raw.{table} add column {quoted(name)} {kind}")
    connection.execute(f"create or replace table raw.layout as select {literal(_layout())} as layout")
    connection.execute("commit")
