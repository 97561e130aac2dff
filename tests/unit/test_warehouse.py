"""Files are opened in databases that are used again; nothing of one use is seen in the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from retention_pipeline import warehouse
from retention_pipeline.transform.manifest import PROJECT
from retention_pipeline.warehouse import LEFT_OUT, attach, connect, has_table, opened, tables_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "g1.duckdb"
    with opened(path) as connection:
        connection.execute("create table figures as select 1 as value")
    return path


def instances(monkeypatch: pytest.MonkeyPatch) -> list[duckdb.DuckDBPyConnection]:
    """Those that are made from now on."""
    made: list[duckdb.DuckDBPyConnection] = []
    monkeypatch.setattr(warehouse, "_idle", [])
    real = warehouse.connect

    def connect(*arguments: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        made.append(real(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(warehouse, "connect", connect)
    return made


def test_a_file_is_let_go_and_its_database_used_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = instances(monkeypatch)
    for _ in range(3):
        with opened(file, read_only=True) as connection:
            assert connection.execute("select current_database(), value from figures").fetchall() == [("g1", 1)]
            connection.execute("create temp table mine as select 1")
            connection.execute("set variable seen = 1")
        with opened(Path(":memory:")) as connection:
            assert tables_in(connection) == set()
            connection.execute("create table scratch as select 1")
    assert len(made) == 1
    with duckdb.connect(str(file)) as connection:  # nobody holds it
        connection.execute("insert into figures values (2)")
    assert not list(file.parent.glob("*.wal"))


def test_one_within_another_is_apart(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = instances(monkeypatch)
    with opened(tmp_path / "next.duckdb") as outer:
        outer.execute("create temp table mine as select 1")
        with opened(file, read_only=True) as inner:
            assert "mine" not in {
                name for (name,) in inner.execute("select table_name from duckdb_tables()").fetchall()
            }
            inner.execute("create temp table mine as select 2")
        assert outer.execute("from mine").fetchall() == [(1,)]
    assert len(made) == 2


@pytest.mark.parametrize("how", ["an error", "a lock", "a spill"])
def test_after_what_may_stay_the_database_is_not_used_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    made = instances(monkeypatch)
    try:
        with opened(file, read_only=True) as connection:
            if how == "an error":
                connection.execute("from nowhere")
            elif how == "a lock":
                connection.execute("set lock_configuration = true")
            else:
                Path(f"{file}.tmp").mkdir()
    except duckdb.Error:
        assert how == "an error"
    with opened(file, read_only=True) as connection:
        assert connection.execute("select value from figures").fetchall() == [(1,)]
    assert len(made) == 2


def test_a_file_whose_name_duckdb_has_for_itself_is_opened(tmp_path: Path) -> None:
    for name in ("memory", "temp", "select", "a b"):
        with opened(tmp_path / f"{name}.duckdb") as connection:
            connection.execute("create table figures as select 1 as value")
            assert tables_in(connection) == {"figures"}


def test_a_table_is_looked_for_without_an_end_to_the_transaction(file: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "next.duckdb") as connection:
        attach(connection, file, "published")
        connection.begin()
        connection.execute('create schema raw; create table raw."odd name" as select 1; create view shown as select 1')
        assert has_table(connection, "shown")
        assert has_table(connection, "odd name", schema="raw") and not has_table(connection, "odd name")
        assert has_table(connection, "figures", database="published") and not has_table(connection, "figures")
        assert not has_table(connection, "figures", database="absent")
        connection.execute("create table figures as select 2 as value")
        connection.commit()
        assert tables_in(connection) == {"figures", "shown"}


def test_none_is_left_to_a_forked_process(file: Path) -> None:
    program = f"""
import os
from pathlib import Path
from retention_pipeline import warehouse
with warehouse.opened(Path({str(file)!r}), read_only=True) as connection:
    connection.execute("select count(*) from range(1000000)").fetchall()
assert warehouse._idle
child = os.fork()
assert not warehouse._idle
with warehouse.opened(Path({str(file)!r}), read_only=True) as connection:
    found = connection.execute("select sum(range) from range(10000000)").fetchall()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)


def sums_that_are_not_nothing(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    connection.execute("create table paid as from (values (1, 10), (2, 0), (3, -5)) as paid (customer, amount)")
    connection.execute("create table plans (customer integer, kind varchar)")
    return connection.execute(
        "select paid.customer, sum(paid.amount) from paid "
        "left join (select customer from plans where kind = 'any') as planned on paid.customer = planned.customer "
        "group by paid.customer having sum(paid.amount) <> 0 order by paid.customer"
    ).fetchall()


def test_a_sum_over_an_outer_join_is_compared_as_it_is() -> None:
    """DuckDB 2.0 takes it for 0 where the other side has no rows. Once that is mended, LEFT_OUT can go."""
    with duckdb.connect() as connection:
        assert sums_that_are_not_nothing(connection) == []
    with connect() as connection:
        assert sums_that_are_not_nothing(connection) == [(1, 10), (3, -5)]
    with connect(config={"threads": 1}) as connection:
        assert sums_that_are_not_nothing(connection) == [(1, 10), (3, -5)]
    with opened(Path(":memory:")) as connection:
        assert sums_that_are_not_nothing(connection) == [(1, 10), (3, -5)]


def test_dbt_does_without_the_same_optimizer() -> None:
    profiles = yaml.safe_load((PROJECT / "profiles.yml").read_text(encoding="utf-8"))
    assert profiles["retention"]["outputs"]["duckdb"]["settings"]["disabled_optimizers"] == LEFT_OUT
