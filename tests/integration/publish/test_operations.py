"""What an operator can do beside runs: restore a generation, check, backfill, ask for the status."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
from support import tiny_warehouse as tiny
from support.plain_run import BackfillResult, backfill
from support.tiny_runs import LATE, broken_copy, later, night

from retention_pipeline.publish import generations
from retention_pipeline.publish.recovery import NoSuchGeneration
from retention_pipeline.run import operations
from retention_pipeline.run.records import all_records
from retention_pipeline.settings import Home
from retention_pipeline.transform import BuildError


def test_a_restored_generation_is_current_and_the_next_run_catches_up(home: Home, project: Path) -> None:
    night(home, project)
    before = tiny.figures(home.current)
    tiny.deliver(home, "2.csv", LATE)
    night(home, project)
    after = tiny.figures(home.current)
    restored = operations.restore(home)
    assert restored.number == 1
    assert tiny.figures(home.current) == before
    assert operations.status(home).waiting_loads == 1
    result = night(home, project)
    assert result.generation == 3
    assert tiny.figures(home.current) == after
    assert [generation.number for generation in generations.generations(home)] == [1, 2, 3]


def test_a_generation_that_is_not_kept_cannot_be_restored(home: Home, project: Path) -> None:
    with pytest.raises(NoSuchGeneration, match="nothing has been published"):
        operations.restore(home)
    night(home, project)
    with pytest.raises(NoSuchGeneration, match="generation 7 is not kept; those kept are 1"):
        operations.restore(home, 7)


def test_a_check_finds_a_key_that_stands_twice(home: Home, project: Path) -> None:
    night(home, project)
    assert operations.check(home, tiny.settings(), assembly=tiny.assembly(project)).violations == []
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.raw_file}' as raw_store")
        connection.execute("insert into raw_store.raw.orders from raw_store.raw.orders where order_id = '2'")
    (violation,) = operations.check(home, tiny.settings(), assembly=tiny.assembly(project)).violations
    assert (violation.rule, violation.cells) == ("raw_orders_unique", 1)
    assert violation.examples == [{"order_id": "2", "rows_of_key": 2}]


def test_a_check_finds_what_is_missing_in_raw(home: Home, project: Path) -> None:
    night(home, project)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.raw_file}' as raw_store")
        connection.execute("update raw_store.raw.orders set ordered_at = null where order_id = '2'")
        connection.execute("update raw_store.raw.orders set _customer_key = null where order_id = '3'")
    (violation,) = operations.check(home, tiny.settings(), assembly=tiny.assembly(project)).violations
    assert (violation.rule, violation.cells) == ("raw_orders_complete", 2)
    assert {example["order_id"] for example in violation.examples} == {"2", "3"}


def backfilled(home: Home, project: Path, first: date, last: date) -> BackfillResult:
    assembly = tiny.assembly(project)
    return backfill(home, tiny.settings(), first, last, now=later(), assembly=assembly, builder=tiny.build)


def test_a_backfill_without_a_cause_changes_nothing(home: Home, project: Path) -> None:
    night(home, project)
    result = backfilled(home, project, date(2024, 1, 1), date(2024, 3, 1))
    assert result.differences == []
    assert result.run.generation == 2
    assert all_records(home)[-1]["command"] == "backfill"


def test_a_backfill_repairs_a_damaged_table_and_says_so(home: Home, project: Path) -> None:
    path = night(home, project).path
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        connection.execute("update period_customers set customers_end = 99 where period_start = '2024-02-01'")
        connection.execute("update retention_kpis set value = 99 where period_start = '2024-02-01'")
    result = backfilled(home, project, date(2024, 2, 1), date(2024, 2, 1))
    assert [(found.table, found.in_range, found.outside) for found in result.differences] == [
        ("period_customers", 1, 0),
        ("retention_kpis", 1, 0),
    ]
    assert result.differences[0].examples[0]["period_start"] == date(2024, 2, 1)
    assert dict(tiny.figures(home.current))[date(2024, 2, 1)] == 1.0


def test_the_status_names_the_run_that_failed(home: Home, project: Path, tmp_path: Path) -> None:
    night(home, project)
    broken = broken_copy(project, tmp_path / "broken", "models/periods.sql", "select * from nowhere")
    with pytest.raises(BuildError):
        night(home, broken, by_dbt=True)
    status = operations.status(home)
    assert status.state is not None and status.state.generation == 1
    assert status.last_failure is not None and "nowhere" in status.last_failure["error"]
    night(home, project)
    assert operations.status(home).last_failure is None
