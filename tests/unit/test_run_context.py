import errno
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import duckdb
import pytest

from retention_pipeline.orchestration import run_context
from retention_pipeline.orchestration.assets.figures import further_months
from retention_pipeline.orchestration.run_context import (
    RunContext,
    asked_months,
    asks_for_the_past,
    is_transient,
    night_resource,
)
from retention_pipeline.orchestration.schedules import month_partitions
from retention_pipeline.orchestration.workspace import find_workspace
from retention_pipeline.run.deadline import Deadline
from retention_pipeline.run.frame import PRODUCTION
from retention_pipeline.run.lock import HomeIsBusy
from retention_pipeline.run.machine import machine_error
from retention_pipeline.run.records import read_record, recorded
from retention_pipeline.run.steps import begin_run
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.transform import BuildError

TODAY = date(2024, 5, 10)
BUSINESS = {"business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}}
NOW = datetime(2024, 4, 30, 23, tzinfo=UTC)  # 1 May in Amsterdam
RANGE = {"dagster/asset_partition_range_start": "2024-01", "dagster/asset_partition_range_end": "2024-03"}


class OperationalError(Exception):
    """As psycopg's, by module and name."""


OperationalError.__module__ = "psycopg.errors"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        OSError(errno.EIO, "disk does not answer"),
        OSError(errno.ENETUNREACH, "no network"),
        duckdb.IOException("Could not set lock on file"),
        OperationalError("server closed the connection"),
    ],
)
def test_what_can_pass_by_itself_is_tried_again(error: Exception) -> None:
    assert is_transient(error)
    wrapped = RuntimeError("while loading")
    wrapped.__cause__ = error
    assert is_transient(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad data"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "not allowed"),
        OSError(errno.ENOSPC, "disk is full"),
        duckdb.IOException("No space left on device"),
        duckdb.ConversionException("no number"),
        HomeIsBusy("somebody writes"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    assert not is_transient(error)


def test_a_disk_that_fills_up_while_models_are_built_is_one_line(tmp_path: Path) -> None:
    told = machine_error(
        Home(tmp_path), BuildError("dbt: 2 of 59 steps failed\n  model a: No space left on device\n  Log")
    )
    assert str(told).startswith(f"{tmp_path}: no space left on device. What is published stays as it is.")
    assert "\n" not in str(told)
    assert machine_error(Home(tmp_path), BuildError("dbt: 1 of 59 steps failed\n  model a: no such column")) is None


def test_the_months_of_a_run_are_its_range_or_its_one_partition() -> None:
    assert asked_months(RANGE) == ["2024-01", "2024-03"]
    assert asked_months({"dagster/partition": "2024-02"}) == ["2024-02"]
    assert asked_months({}) == []


def test_a_run_is_a_backfill_if_it_was_started_as_one_or_for_months_other_than_this_one() -> None:
    assert asks_for_the_past(RANGE, None, TODAY)
    assert asks_for_the_past({"dagster/partition": "2024-04"}, None, TODAY)
    assert asks_for_the_past({"dagster/partition": "2024-05", "retention/command": "backfill"}, "2024-05-10", TODAY)
    assert not asks_for_the_past({"dagster/partition": "2024-05"}, None, TODAY)
    assert not asks_for_the_past({}, None, TODAY)
    assert not asks_for_the_past({"dagster/partition": "2024-04"}, "2024-04-20", TODAY)


def test_months_that_changed_are_logged_once_and_only_where_there_is_a_partition() -> None:
    settings = parse_settings({"business": {"timezone": "UTC", "reporting_currency": "EUR"}})
    months = month_partitions(settings, date(2024, 1, 1))
    changed = [date(2023, 12, 1), date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 1), date(2024, 4, 1)]
    assert further_months(changed, ["2024-03"], months) == ["2024-01", "2024-04"]
    assert further_months(changed, ["2024-02", "2024-04"], months) == ["2024-01"]
    assert further_months(changed, [], months) == ["2024-01", "2024-03", "2024-04"]


def test_every_field_of_the_launchpads_form_is_explained(tmp_path: Path) -> None:
    work = find_workspace(tmp_path, parse_settings(BUSINESS))
    night = night_resource(work, frozenset(), assembly=PRODUCTION, progress=None, clock=lambda: NOW)
    fields = {name: one.description for name, one in type(night).model_fields.items()}
    assert list(fields) == ["as_of", "allow_future", "full_refresh", "backfill", "reload", "restate"]
    assert all(fields.values())


def test_a_run_that_is_said_to_be_a_backfill_is_one_where_something_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = SimpleNamespace(as_of=date(2024, 4, 20))
    for state, expected in ((published, (True, date(2024, 4, 20))), (None, (False, date(2024, 5, 1)))):
        monkeypatch.setattr(run_context, "_published", lambda home, state=state: state)
        work = find_workspace(tmp_path, parse_settings(BUSINESS))
        night = night_resource(work, frozenset(), assembly=PRODUCTION, progress=None, clock=lambda: NOW)
        asked = night.model_copy(update={"backfill": True})
        with asked.yield_for_execution(SimpleNamespace(run=SimpleNamespace(tags={}))) as context:  # type: ignore[arg-type]
            assert (context.is_backfill, context.as_of) == expected


@pytest.mark.parametrize(
    ("is_late", "why"), [(True, "The run was ended after 30 min (max_run_time)"), (False, "Stopped by Ctrl-C")]
)
def test_the_record_of_a_run_that_was_interrupted_says_by_what(is_late: bool, why: str, tmp_path: Path) -> None:
    context = RunContext.__new__(RunContext)
    context.home, context.deadline = Home(tmp_path), Deadline(timedelta(minutes=30))
    context.run = run = begin_run(context.home, TODAY, now=datetime(2024, 5, 10))
    context.deadline.has_passed = is_late
    with pytest.raises(dg.DagsterExecutionInterruptedError), context.step(dg.build_asset_context()):  # noqa: SIM117
        with recorded(context.home, run, "ingest orders"):
            raise dg.DagsterExecutionInterruptedError
    record = read_record(context.home, run)
    assert record["failed_step"] == "ingest orders" and record["error"].startswith(why)
