"""A file that grew for nothing is written anew, with everything that is in it."""

from pathlib import Path

import duckdb
import pytest

from retention_pipeline.publish.compaction import bytes_in_use, compact, is_bloated
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import create_database

ROWS = 1_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A working file with a table, a view, constraints and comments."""
    made = Home(tmp_path)
    made.warehouse.mkdir()
    create_database(made.next_file)
    with duckdb.connect(str(made.next_file)) as connection:
        connection.execute("create table facts (customer bigint not null, day date)")
        connection.execute(
            f"insert into facts select hash(i) >> 1, date '2024-01-01' + i::int % 900 from range({ROWS}) r(i)"
        )
        connection.execute("comment on table facts is 'One row per day'")
        connection.execute("create view days as select day, count(*) as n from facts group by day")
    return made


def execute(home: Home, *statements: str) -> None:
    with duckdb.connect(str(home.next_file)) as connection:
        for statement in statements:
            connection.execute(statement)


def leave_free_blocks(home: Home, rows: int) -> None:
    """Free blocks in the middle of the file, as DuckDB cuts off those at its end."""
    execute(home, f"create table once as from facts limit {rows}")
    execute(home, "create table last as from facts limit 100")
    execute(home, "drop table once")


def test_a_fresh_file_is_left_as_it_is(home: Home) -> None:
    size = home.next_file.stat().st_size
    assert not is_bloated(home.next_file, ROWS, size, ROWS)


def test_freed_blocks_are_given_back_and_everything_is_still_there(home: Home) -> None:
    fresh = home.next_file.stat().st_size
    leave_free_blocks(home, ROWS)
    assert is_bloated(home.next_file, ROWS, fresh, ROWS)
    assert compact(home)
    assert home.next_file.stat().st_size <= 1.1 * fresh
    assert not is_bloated(home.next_file, ROWS, fresh, ROWS)
    with duckdb.connect(str(home.next_file), read_only=True) as connection:
        assert connection.execute("select sum(n) from days").fetchall() == [(ROWS,)]
        about = connection.execute("select comment from duckdb_tables() where table_name = 'facts'").fetchall()
        assert about == [("One row per day",)]
        assert connection.execute(
            "select column_name, is_nullable from duckdb_columns() where table_name = 'facts' order by 1"
        ).fetchall() == [("customer", False), ("day", True)]
        assert connection.execute(
            "select tags['storage_version'] from duckdb_databases() where not internal"
        ).fetchall() == [("v1.0.0+",)]


def test_free_blocks_alone_are_no_reason(home: Home) -> None:
    """The next night makes its working tables there; a fresh file weighs what is in use."""
    fresh = bytes_in_use(home.next_file)
    assert fresh == pytest.approx(home.next_file.stat().st_size, rel=0.01)
    leave_free_blocks(home, ROWS // 5)
    assert home.next_file.stat().st_size > 1.15 * fresh
    assert bytes_in_use(home.next_file) <= 1.05 * fresh
    assert not is_bloated(home.next_file, ROWS, fresh, ROWS)


def test_deleted_rows_that_are_still_in_their_blocks_count_too(home: Home) -> None:
    """Exchanging a tenth of the rows leaves holes in every row group and hardly a free block."""
    fresh = home.next_file.stat().st_size
    for part in range(6):
        rows = f"select customer + 1, day from facts where customer % 7 = {part}"
        execute(
            home,
            f"create temp table new as {rows}; delete from facts where customer % 7 = {part};"
            "insert into facts from new; drop table new",
            "checkpoint",
        )
    assert home.next_file.stat().st_size > 1.2 * fresh
    assert is_bloated(home.next_file, ROWS, fresh, ROWS)
    assert compact(home)
    assert home.next_file.stat().st_size <= 1.1 * fresh


def test_a_file_that_grew_with_its_rows_is_not_bloated(home: Home) -> None:
    fresh = home.next_file.stat().st_size
    execute(home, "insert into facts select customer + 1, day from facts", "checkpoint")
    assert home.next_file.stat().st_size > 1.2 * fresh
    assert not is_bloated(home.next_file, 2 * ROWS, fresh, ROWS)
