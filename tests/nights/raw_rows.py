"""Raw tables from rows as text, with load ids, histories and customer keys, as ingest keeps them.

A stand-in for ingest, which has tests of its own: the rows in force after a night are given, and what changed against
the night before gets the night's load id.
"""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
from oracle.companies import Rows
from oracle.nights import KEYS
from oracle.source_forms import CORRECTIONS

from retention_pipeline.ingest.schema import create_tables

NOBODYS = ("fx_rates", "acquisition_costs", "kpi_targets", "kpi_benchmarks")
OWNED = tuple(dataset for dataset in KEYS if dataset not in NOBODYS)


def open_raw_in_memory() -> duckdb.DuckDBPyConnection:
    """A connection with empty raw tables in database raw_store, instants in UTC."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set threads = 1")
    connection.execute("attach ':memory:' as raw_store")
    connection.execute("use raw_store")
    create_tables(connection)
    return connection


def put_in_force(
    connection: duckdb.DuckDBPyConnection, rows: Rows, zones: dict[str, str], load: int, now: datetime
) -> None:
    """Make these the current rows of every dataset. zones: of timestamps without one, per dataset; now: naive UTC."""
    connection.execute("use raw_store")
    for dataset in (dataset for dataset in KEYS if dataset != CORRECTIONS):
        given = json.dumps({"given": sorted({column for row in rows.get(dataset, []) for column in row})})
        connection.execute(
            """insert into raw.ledger (load_id, dataset, source, sha256, status, drift, mapping, finished_at)
            values ($1, $2, $2, $3, 'loaded', $4, 'the settings', $5)""",
            [load, dataset, f"{load} {dataset}", given, now],
        )
        _typed(connection, dataset, rows.get(dataset, []), zones.get(dataset, "UTC"))
        _register(connection, dataset)
        table = f"raw.{dataset}"
        columns = [name for (name, *_) in connection.execute(f"select * from {table} limit 0").description]
        own = [c for c in columns if c not in ("_load_id", "_loaded_at", "_customer_key", "_alias_key")]
        listed = ", ".join(f'"{column}"' for column in own)
        keys = _keys(dataset)
        owner = ", k.customer_key as _customer_key" if dataset in OWNED else ""
        alias = ", a.customer_key as _alias_key" if dataset == "customer_aliases" else ""
        join_alias = "left join raw.customer_keys a on a.customer_id = t.alias_id" if alias else ""
        join = "left join raw.customer_keys k on k.customer_id = t.customer_id" if dataset in OWNED else ""
        connection.execute(
            f"""create or replace temp table come as select t.*{owner}{alias}
            from (select {listed} from typed except select {listed} from {table}) t {join} {join_alias}"""
        )
        gone = f"select {keys} from (select {listed} from {table} except select {listed} from typed)"
        history = ", ".join(f'"{column}"' for column in columns)
        connection.execute(
            f"""insert into {table}_history ({history}, _superseded_by, _superseded_at)
            select {history}, {load}, timestamp '{now}' from {table} where {keys} in ({gone})"""
        )
        connection.execute(f"delete from {table} where {keys} in ({gone})")
        connection.execute(
            f"insert into {table} by name select *, {load} as _load_id, timestamp '{now}' as _loaded_at from come"
        )


def _keys(dataset: str) -> str:
    columns = ", ".join(f"coalesce(cast(\"{column}\" as varchar), '')" for column in KEYS[dataset])
    return f"concat_ws('|', {columns})"


def _typed(connection: duckdb.DuckDBPyConnection, dataset: str, rows: list[dict[str, str]], zone: str) -> None:
    given = sorted({column for row in rows for column in row})
    listed = ", ".join(f'"{column}" varchar' for column in given) or "nothing varchar"
    connection.execute(f"create or replace temp table given ({listed})")
    if rows:
        values = [[row.get(column) or None for column in given] for row in rows]
        marks = ", ".join("?" for _ in given)
        connection.executemany(f"insert into given values ({marks})", values)
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'raw_store' and table_name = ?",
        [dataset],
    ).fetchall()
    types = dict(columns)
    further = [column for column in given if column not in types]
    selected = []
    for name, kind in columns:
        if name.startswith("_") and name != "_extra":
            continue
        if name == "_extra" and further:
            pairs = ", ".join(f"'{column}', \"{column}\"" for column in further)
            selected.append(f"cast(json_object({pairs}) as {kind}) as _extra")
        elif name.endswith("_is_date"):
            source = name.removesuffix("_is_date")
            selected.append(
                f'case when "{source}" is not null then length("{source}") = 10 end as "{name}"'
                if source in given
                else f'null::boolean as "{name}"'
            )
        elif name not in given:
            default = {"quantity": "1", "interval_count": "1", "recurring_discount": "0"}.get(name, "null")
            selected.append(f'cast({default} as {kind}) as "{name}"')
        elif kind == "TIMESTAMP":
            selected.append(
                f"""case when length("{name}") = 10 and {f"{name}_is_date" in types} then cast("{name}" as timestamp)
                when regexp_matches("{name}", '([+-][0-9][0-9]:?[0-9]*|Z)$') and length("{name}") > 10
                    then timezone('UTC', cast("{name}" as timestamptz))
                else timezone('UTC', timezone('{zone}', cast("{name}" as timestamp))) end as "{name}" """
            )
        else:
            selected.append(f'cast("{name}" as {kind}) as "{name}"')
    connection.execute(f"create or replace temp table typed as select {', '.join(selected)} from given")


def _register(connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
    if dataset not in OWNED:
        return
    ids = "select customer_id from typed" + (
        " union select alias_id from typed" if dataset == "customer_aliases" else ""
    )
    connection.execute(
        f"""
        insert into raw.customer_keys
        select
            customer_id,
            (select coalesce(max(customer_key), 0) from raw.customer_keys) + row_number() over (order by customer_id)
        from (select distinct customer_id from ({ids}))
        where customer_id is not null
            and customer_id not in (select customer_id from raw.customer_keys)
        """
    )
