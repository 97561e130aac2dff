"""DuckDB and SQLite files as sources: whole tables, nothing written to them, clear errors."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from subprocess import PIPE
from typing import Any

import duckdb
import pytest
from support.delivering import Company

from retention_pipeline.cli.check import check_sources
from retention_pipeline.ingest import pull_loader
from retention_pipeline.ingest.archive import Keeper
from retention_pipeline.ingest.databases import open_pull
from retention_pipeline.ingest.pulls import SourceError
from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.settings import DatabaseSource, parse_settings

TABLE = (
    "create table orders (order_id integer, customer_id varchar, ordered_at varchar, amount decimal(18, 4), currency"
    " varchar, status varchar, channel varchar)"
)
KINDS = pytest.mark.parametrize("kind", ["duckdb", "sqlite"])


def write(kind: str, path: Path, *statements: str) -> None:
    connect: Callable[..., Any] = duckdb.connect if kind == "duckdb" else sqlite3.connect
    connection = connect(str(path))
    for statement in statements:
        connection.execute(statement)
    if kind == "sqlite":
        connection.commit()
    connection.close()


def add(number: int, amount: str = "10.5", channel: str = "'web'") -> str:
    at = f"2024-03-0{number % 9 + 1} 12:00:00"
    return f"insert into orders values ({number}, 'anna', '{at}', {amount}, 'EUR', 'paid', {channel})"


def source(company: Company, kind: str, **settings: object) -> Path:
    company.sources["orders"] = {
        "type": kind, "path": f"shop.{kind}", "table": "orders", "timezone": "UTC", **settings,
    }  # fmt: skip
    return company.home.root / f"shop.{kind}"


@KINDS
def test_rows_come_as_they_are_and_a_second_night_changes_nothing(company: Company, kind: str) -> None:
    path = source(company, kind)
    text = 'a "quoted", value\r\nover\r lines'
    write(kind, path, TABLE, add(1, channel=f"'{text}'"), add(2, channel="null"), add(3, "0.125"))
    before = path.read_bytes()
    [load] = company.run().loads
    assert (load.status, load.good, load.bad, load.new, load.is_pull) == ("loaded", 2, 1, 2, True)
    assert company.query("select order_id, ordered_at, amount, channel from raw.orders order by order_id") == [
        ("1", datetime(2024, 3, 2, 12), Decimal("10.50"), text),
        ("2", datetime(2024, 3, 3, 12), Decimal("10.50"), None),
    ]
    assert company.run().loads[0].status == "already_loaded"
    assert path.read_bytes() == before
    company.assert_balanced()


@KINDS
def test_a_query_and_keys_that_are_gone(company: Company, kind: str) -> None:
    path = source(
        company, kind, deletes="compare_keys", table=None, query="select * from orders where amount > 1 -- it"
    )
    write(kind, path, TABLE, add(1), add(2), add(3, "0.5"))
    assert company.run().loads[0].new == 2
    write(kind, path, "delete from orders where order_id = 1", add(4))
    assert company.run().loads[0].new == 1
    assert company.query("select order_id from raw.orders order by order_id") == [("2",), ("4",)]


def test_types_of_duckdb_arrive(company: Company) -> None:
    path = source(company, "duckdb", table=None, query="""
        select 1::ubigint as order_id, 'k' as customer_id, timestamptz '2024-03-01 12:00:00+02' as ordered_at,
            12.5::decimal(12, 4) as amount, 'EUR' as currency, 'paid' as status, true as is_test,
            {'a': [1, 2]} as nested""")  # fmt: skip
    write("duckdb", path, "create table t (a int)")
    company.run()
    assert company.query("select order_id, ordered_at, amount, is_test, _extra from raw.orders") == [
        ("1", datetime(2024, 3, 1, 10), Decimal("12.50"), True, '{"nested":"{\'a\': [1, 2]}"}')
    ]


def test_values_of_sqlite_arrive_whatever_their_column_says(company: Company) -> None:
    path = source(company, "sqlite")
    no_utf_8 = "insert into orders values ('a', cast(x'fe' as text), '2024-03-01 10:00:00', 1, 'EUR', 'paid', null)"
    write("sqlite", path, TABLE, add(1, "'x'"), add(2, "12"), add(3, "1e2"), add(4, channel="x'00ff'"), no_utf_8)
    [load] = company.run().loads
    assert (load.good, load.bad) == (3, 2)
    assert company.query("select amount, channel from raw.orders order by order_id") == [
        (Decimal("12.00"), "web"), (Decimal("100.00"), "web"), (Decimal("10.50"), r"\x00ff"),
    ]  # fmt: skip
    assert sorted(reason for _, reason in company.reasons()) == [
        "amount: 'x' is not a number with at most 2 decimals",
        "the line is not valid UTF-8",
    ]


@KINDS
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"path": "none.db"}, "there is no file none.db"),
        ({"table": "ordres"}, "ordres"),
        ({"table": None, "query": "select * from"}, "syntax error"),
        ({"columns": {"amount": "total"}}, "required columns are missing: amount (from total)"),
        ({"path": "text.db"}, "not a"),
    ],
)
def test_what_is_wrong_is_one_line_in_a_run_and_in_check(
    company: Company, kind: str, change: dict[str, object], error: str
) -> None:
    (company.home.root / "text.db").write_bytes(b"no database at all" * 300)
    path = source(company, kind)
    write(kind, path, TABLE, add(1))
    source(company, kind, **change)
    [load] = company.run().loads
    assert load.status == "failed" and error in (load.error or "").replace("not valid", "not a valid")
    assert "\n" not in (load.error or "")
    settings = parse_settings({"business": company.business, "sources": company.sources})
    [(_, is_good, _)] = check_sources(company.home, settings)
    assert not is_good


@KINDS
def test_check_shows_rows_and_leaves_nothing(company: Company, kind: str) -> None:
    write(kind, source(company, kind), TABLE, add(1), add(2, "0.125"))
    settings = parse_settings({"business": company.business, "sources": company.sources})
    [(_, is_good, text)] = check_sources(company.home, settings)
    assert not is_good and "of its first 2 rows 1 would be refused" in text
    assert "order_id 1, customer_id anna, ordered_at 2024-03-02 12:00:00, amount 10.50" in text
    assert not company.home.raw_file.exists() and not company.home.archive.exists()


def test_a_file_that_is_open_for_writing_is_tried_again(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_loader, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    path = source(company, "sqlite")
    write("sqlite", path, TABLE, add(1))
    writer = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
    writer.execute("begin exclusive")
    threading.Timer(0.3, lambda: writer.execute("rollback")).start()
    assert company.run().loads[0].new == 1
    writer.close()


@KINDS
def test_a_query_that_takes_too_long_has_failed(company: Company, kind: str) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as m from n"
    path = source(company, kind, table=None, max_read_time="1m", query=endless)
    write(kind, path, TABLE)
    given = parse_settings({"business": company.business, "sources": company.sources}).sources["orders"]
    assert isinstance(given, DatabaseSource)
    short = given.model_copy(update={"max_read_time": given.max_read_time / 120})
    began = time.monotonic()
    with pytest.raises(SourceError, match="max_read_time"), open_pull(short, company.home) as pull:
        pull.copy_rows(None, Keeper(company.home.root / "a", company.home.root / "b", ".csv", "csv"))
    assert time.monotonic() - began < 10


@KINDS
def test_raw_can_be_made_again_from_the_archive_of_pulls(company: Company, kind: str) -> None:
    path = source(company, kind)
    write(kind, path, TABLE, add(1), add(2, channel="'over\r\ntwo lines'"))
    company.run()
    write(kind, path, "update orders set amount = 99 where order_id = 1")
    company.run()
    tables = ("raw.orders", "raw.orders_history")
    before = [company.query(f"from {table} order by all") for table in tables]
    path.unlink()
    rebuild_raw(company.home, parse_settings({"business": company.business, "sources": company.sources}))
    assert [company.query(f"from {table} order by all") for table in tables] == before


def test_a_duckdb_file_that_another_process_writes_is_told(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_loader, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    path = source(company, "duckdb")
    write("duckdb", path, TABLE, add(1))
    script = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "open\n"
        [load] = company.run().loads
        writer.communicate("\n")
    assert (load.status, load.error) == ("failed", "shop.duckdb is open for writing elsewhere")
    assert company.run().loads[0].new == 1


@pytest.mark.parametrize(
    ("step", "reason"),
    [("stage_file", "what was pulled cannot be read"), ("remove_missing", "its rows cannot be loaded")],
)
def test_keys_that_break_the_database_fail_their_source_alone(
    company: Company, monkeypatch: pytest.MonkeyPatch, step: str, reason: str
) -> None:
    path = source(company, "sqlite", deletes="compare_keys")
    write("sqlite", path, TABLE, add(1))
    company.deliver("customers", "a.csv", b"customer_id,country\nanna,NL\n")
    real = getattr(pull_loader, step)

    def broken(connection: duckdb.DuckDBPyConnection, *_: object, **__: object) -> None:
        connection.close()  # it answers nothing any more
        raise duckdb.InternalException("INTERNAL Error: information loss")

    monkeypatch.setattr(pull_loader, step, broken)
    pulled, delivered = company.run().loads
    assert (pulled.status, pulled.load_id) == ("failed", None)
    assert pulled.error == f"{reason}: INTERNAL Error: information loss"
    assert (delivered.dataset, delivered.status) == ("customers", "loaded")
    monkeypatch.setattr(pull_loader, step, real)
    assert [load.status for load in company.run().loads] == ["loaded", "already_loaded"]
    assert company.query("select order_id from raw.orders") == [("1",)]
