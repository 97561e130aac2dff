"""Generations as files: what is copied, carried, swept, kept and pointed to."""

import errno
import os
from pathlib import Path

import duckdb
import pytest

from retention_pipeline.publish import generations
from retention_pipeline.publish.recovery import restore
from retention_pipeline.run.lock import lock_file, lock_holder, writer_lock
from retention_pipeline.run.machine import machine_error
from retention_pipeline.settings import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.published.mkdir()
    made.warehouse.mkdir()
    return made


def fill(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


def publish(home: Home, number: int, *statements: str, keep: int = 3) -> Path:
    """A generation made of statements."""
    generations.begin(home, full_refresh=True)
    fill(home.next_file, *statements)
    return generations.publish(home, number, keep=keep)


def tables(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return sorted(name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall())


def test_a_night_starts_from_a_writable_copy_of_the_current_generation(home: Home) -> None:
    published = publish(home, 1, "create table t as select 1 as x")
    generations.begin(home, full_refresh=False)
    fill(home.next_file, "insert into t values (2)")
    with duckdb.connect(str(published), read_only=True) as connection:
        assert connection.execute("select x from t").fetchall() == [(1,)]


@pytest.mark.parametrize("by_same_code", [False, True])
def test_a_full_refresh_starts_empty_but_for_what_goes_from_generation_to_generation(
    home: Home, *, by_same_code: bool
) -> None:
    publish(
        home,
        1,
        "create table int_days as select 1 as x",
        "create view days as from int_days",
        "create table retention_kpis (kpi varchar not null, value double)",
        "insert into retention_kpis values ('clv', 2.5)",
        "create table kpi_cells_customers as select 1 as x",
    )
    generations.begin(home, full_refresh=True, by_same_code=by_same_code)
    assert tables(home.next_file) == ["kpi_cells_customers", "retention_kpis"]
    with duckdb.connect(str(home.next_file)) as connection:
        assert connection.execute("select view_name from duckdb_views() where not internal").fetchall() == []
        assert connection.execute("select * from retention_kpis").fetchall() == [("clv", 2.5)]
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("insert into retention_kpis values (null, 1)")


def test_a_copy_is_the_same_bytes(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 17)
    (tmp_path / "a").write_bytes(content)
    generations.copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content


def test_a_copy_for_which_there_is_no_room_names_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    home.raw_file.write_bytes(b"full")
    monkeypatch.setattr(os, "sendfile", full)
    with pytest.raises(OSError) as raised:
        generations.copy_file(home.raw_file, home.next_file)
    told = str(machine_error(home, raised.value))
    assert told.startswith(f"{home.next_file}: no space left on device.")
    assert told.endswith(f"Free some space, then: retention run --home {home.root}")


def test_beginning_sweeps_what_a_killed_run_left(home: Home) -> None:
    publish(home, 1, "create table t as select 1 as x")
    left = [
        home.next_file,
        home.warehouse / "next.duckdb.wal",
        home.published / ".current",
        home.published / "g2.duckdb",
    ]
    for path in left:
        path.write_text("left")
    (home.warehouse / "next.duckdb.tmp").mkdir()
    generations.sweep(home)
    assert not any(path.exists() for path in [*left, home.warehouse / "next.duckdb.tmp"])
    assert [generation.number for generation in generations.generations(home)] == [1]


def test_after_going_back_the_newer_generations_stay_until_they_are_pruned(home: Home) -> None:
    for number in (1, 2, 3):
        publish(home, number, f"create table t as select {number} as x")
    restore(home, 1)
    generations.sweep(home)
    assert [generation.number for generation in generations.generations(home)] == [1, 2, 3]
    assert generations.next_number(home) == 4
    publish(home, 4, "create table t as select 4 as x")
    assert [generation.number for generation in generations.generations(home)] == [2, 3, 4]
    (home.published / "g5.duckdb").write_text("left")
    generations.sweep(home)
    assert [generation.number for generation in generations.generations(home)] == [2, 3, 4]


def test_the_current_generation_is_never_pruned(home: Home) -> None:
    for number in (1, 2, 3):
        publish(home, number, f"create table t as select {number} as x")
    restore(home, 1)
    generations.prune(home, 1)
    assert [(one.number, one.is_current) for one in generations.generations(home)] == [(1, True), (3, False)]


def test_what_reads_raw_is_not_published(home: Home) -> None:
    path = publish(
        home, 1, "create schema staging", "create view staging.stg as select 1 as x", "create table t as select 1 as x"
    )
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select view_name from duckdb_views() where not internal").fetchall() == []


def test_the_lock_counts_within_a_process_and_is_free_afterwards(home: Home) -> None:
    with writer_lock(home), writer_lock(home):
        holder = lock_holder(home)
        assert holder is not None and holder["pid"] == str(os.getpid())
    assert lock_holder(home) is None
    assert lock_file(home).read_text() == ""


def test_the_lock_is_free_after_an_error(home: Home) -> None:
    with pytest.raises(RuntimeError), writer_lock(home):
        raise RuntimeError
    assert lock_holder(home) is None


def test_numbers_go_on_where_only_the_archive_remembers_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.archive / "history").mkdir(parents=True)
    (home.archive / "history" / "20260301T020000.000000-g7.parquet").touch()
    assert generations.next_number(home) == 8
