"""A shop of few nights: a run that is killed while it writes history, a merge with a day, more rows than are kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import duckdb
import pytest
from support import told_nights
from support.told_nights import ToldHome, parts_that_do_not_add_up, unexplained

from retention_pipeline import formatting
from retention_pipeline.history import rows
from retention_pipeline.history.restatement_tables import NOT_LISTED
from retention_pipeline.history.write import write_history
from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.warehouse import tables_in

SETTINGS = {
    "business": {"timezone": "UTC", "reporting_currency": "EUR", "activity_window_days": 30, "min_n": 1},
    "history_start": "2026-01-01",
    "exchange_from_rows": 0,
    "grains": ["week", "month"],
    "sources": {
        name: {"type": "files", "path": f"landing/{name}/*.csv", "timezone": "UTC"}
        for name in ("orders", "customer_aliases")
    },
}
ORDER = "order_id,customer_id,ordered_at,amount,currency,status\n"
KILLED_AT = 9  # so many places
TABLES = ("retention_kpi_history", "restatements", "restatement_rows", "publications", "kpi_definition_history")


class Killed(BaseException):
    """What stands for SIGKILL: nothing of the program handles it."""


class Counted:
    """A connection that ends at its n-th statement (0: never); committed: how many came before the commit."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, last: int = 0) -> None:
        self.connection, self.last, self.statements, self.committed = connection, last, 0, 0

    def execute(self, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self.statements += 1
        if self.statements == self.last:
            raise Killed
        return self.connection.execute(*arguments)

    def commit(self) -> None:
        self.committed = self.statements
        self.connection.commit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def contents(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    there = tables_in(connection)
    return {name: connection.execute(f"from {name} order by all").fetchall() for name in TABLES if name in there}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToldHome]:
    folder = tmp_path_factory.mktemp("shop")
    told = ToldHome(folder / "home", SETTINGS, folder / "compiled")
    told.deliver("orders", "1.csv", f"{ORDER}1,anna,2026-01-10,20,EUR,paid\n2,ben,2026-02-20,30,EUR,paid\n")
    told.deliver("customer_aliases", "1.csv", "alias_id,customer_id,valid_from\nben,anna,2026-03-05\n")
    told.night(date(2026, 3, 2))
    yield told


def test_killed_at_any_statement_of_the_history_the_step_done_again_writes_the_same(
    told: ToldHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: Any = write_history
    told.deliver("orders", "2.csv", f"{ORDER}3,ben,2026-02-05,15,EUR,paid\n1,anna,2026-01-10,25,EUR,paid\n")

    def played(connection: duckdb.DuckDBPyConnection, *said: Any, **more: Any) -> Any:
        before = contents(connection)
        home = said[0]
        trial = home.root / "trial.duckdb"
        connection.execute("checkpoint")
        trial.write_bytes(home.next_file.read_bytes())
        with duckdb.connect(str(trial)) as undisturbed:
            counted = Counted(undisturbed)
            written(counted, *said, **more)
            expected = contents(undisturbed)
        assert expected["restatements"] and expected["restatement_rows"]
        for number in range(1, KILLED_AT + 1):
            with pytest.raises(Killed):
                written(Counted(connection, 3 + number * (counted.committed - 3) // KILLED_AT), *said, **more)
            assert contents(connection) in (before, expected), "half of it is there"
        result = written(connection, *said, **more)
        again = contents(connection)
        assert {name: set(again[name]) ^ set(expected[name]) for name in expected} == {key: set() for key in expected}
        return result

    monkeypatch.setattr(told_nights, "write_history", played)
    told.night(date(2026, 3, 3))
    assert unexplained(told) == []
    files = sorted(path.name for path in (told.home.archive / "history").glob("*.parquet"))
    assert [name.split("-")[-1] for name in files] == ["g1.parquet", "g2.parquet"]


def test_a_merge_that_begins_on_a_day_is_a_merge(told: ToldHome) -> None:
    told.night(date(2026, 3, 5))
    assert told.night(date(2026, 3, 6)).by_cause.keys() == {"merge"}
    found = told.rows("select distinct customer_id, dataset, row_key from restatement_rows where cause = 'merge'")
    assert sorted(found) == [("anna", "customer_aliases", "ben"), ("ben", "customer_aliases", "ben")]
    assert unexplained(told) == []


@pytest.mark.parametrize("at_most", [0, 8])
def test_figures_without_a_list_of_rows_have_one_line_with_all_of_the_part(told: ToldHome, at_most: int) -> None:
    """One limit to all rows: of figures that are split, and of medians, whose line has no part."""
    told.rows_at_most = at_most
    told.deliver(
        "orders",
        f"3_{at_most}.csv",
        f"{ORDER}4{at_most},ben,2026-01-12,7,EUR,paid\n5,dora,2026-02-02,{8 + at_most},EUR,paid\n",
    )
    restated = told.night(date(2026, 3, 7), datetime(2026, 3, 7, 3, at_most))
    told.rows_at_most = rows.ROWS_AT_MOST
    of_last = "generation = (select max(generation) from restatement_rows)"
    listed, lines, without = told.rows(
        f"""
        select sum(rows - lines), sum(lines), count(*) filter (rows = lines)
        from (
            select count(*) as rows, count(*) filter (customer_id = '{NOT_LISTED}') as lines
            from restatement_rows where {of_last}
            group by kpi, grain, period_start, basis, segment_dimension, segment_value
        )"""
    )[0]
    assert listed <= at_most and (listed > 0) == (at_most > 0)
    assert f"({formatting.counted(without, 'figure')} without a list of rows)" in restated.lines[2]
    assert lines > 10 and parts_that_do_not_add_up(told) == []
    if at_most == 0:
        medians = f"from restatement_rows where {of_last} and kpi = 'time_between_purchases_median'"
        assert told.rows(f"select distinct customer_id, numerator_delta {medians}") == [(NOT_LISTED, None)]


def test_after_the_loss_of_all_generations_only_what_came_since_is_behind_changes(told: ToldHome) -> None:
    for file in [*told.home.published.glob("*.duckdb")]:
        file.unlink()
    told.deliver("orders", "4.csv", f"{ORDER}5,dora,2026-02-02,9,EUR,paid\n")
    assert told.night(date(2026, 3, 8)).by_cause.keys() == {"corrected"}
    found = told.rows(
        "select distinct customer_id, row_key from restatement_rows "
        f"where generation = (select max(generation) from restatement_rows) and customer_id <> '{NOT_LISTED}'"
    )
    assert found == [("dora", "5")]


def test_rows_that_count_after_all_that_changed_are_no_cause_of_it(told: ToldHome) -> None:
    """Anna's order of 20 March and dora's of 21 March are still to come: what becomes of them moved nothing."""
    told.deliver("orders", "5.csv", f"{ORDER}6,anna,2026-03-20,5,EUR,paid\n")
    told.night(date(2026, 3, 9))
    told.deliver(
        "orders",
        "6.csv",
        f"{ORDER}6,anna,2026-03-20,6,EUR,paid\n7,anna,2026-02-12,11,EUR,paid\n"
        "5,dora,2026-02-02,10,EUR,paid\n8,dora,2026-03-21,4,EUR,paid\n",
    )
    told.night(date(2026, 3, 10))
    of_february = (
        "where kpi = 'order_revenue' and grain = 'month' and period_start = date '2026-02-01' "
        "and segment_dimension = 'all' and generation = (select max(generation) from restatements)"
    )
    found = told.rows(f"select cause, delta from restatements {of_february} order by cause")
    assert found == [("corrected", 1), ("late", 11)]
    behind = told.rows(f"select cause, customer_id, row_key from restatement_rows {of_february} order by cause")
    assert behind == [("corrected", "dora", "5"), ("late", "anna", "7")]


def test_the_archive_alone_makes_raw_and_the_history_again(told: ToldHome) -> None:
    def said() -> dict[str, list[tuple[Any, ...]]]:
        loads = "select dataset, file_name, sha256, rows, loaded_at from pipeline_loads order by all"
        return {name: told.rows(f"from {name} order by all") for name in TABLES if name != "publications"} | {
            "loads": told.rows(loads)
        }

    before, published = said(), told.rows("from publications order by all")
    for lost in (told.home.published, told.home.warehouse, told.home.root / "landing"):
        shutil.rmtree(lost)
    rebuild_raw(told.home, told.settings)
    assert told.night(date(2026, 3, 10), datetime(2026, 3, 11)).figures == 0
    assert said() == before
    assert told.rows("from publications order by all")[:-1] == published
