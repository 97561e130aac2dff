import errno
from datetime import date

import duckdb
import pytest

from retention_pipeline.orchestration.assets.figures import further_months
from retention_pipeline.orchestration.run_context import asked_months, asks_for_the_past, is_transient
from retention_pipeline.orchestration.schedules import month_partitions
from retention_pipeline.run.lock import HomeIsBusy
from retention_pipeline.settings import parse_settings

TODAY = date(2024, 5, 10)
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
