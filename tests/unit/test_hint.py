"""The hint for data that end long before the last complete month."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from support.published_sample import AS_OF, make_published

from retention_pipeline.read.headline import Headline, read_headline
from retention_pipeline.read.hint import hint_for_old_data


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The sample, whose last complete month is February 2024, open for changes."""
    home = make_published(tmp_path / "home")
    with duckdb.connect(str(home.current.resolve())) as connection:
        yield connection


def hint(connection: duckdb.DuckDBPyConnection, timezone: str = "UTC", **rows: str) -> str | None:
    for dataset, moment in rows.items():
        connection.execute("insert into data_quality values (?, 'latest_fact', '', null, ?, null)", [dataset, moment])
    return hint_for_old_data(connection, read_headline(connection, as_of=AS_OF), timezone)


def without_subscribers(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("delete from retention_kpis where basis = 'subscription'")


def test_the_newest_row_and_the_day_after_it_are_named(warehouse: duckdb.DuckDBPyConnection) -> None:
    without_subscribers(warehouse)
    said = hint(warehouse, orders="2011-12-09 12:50:00") or ""
    assert "The newest row of orders is of 2011-12-09" in said and "nothing in Feb 2024" in said
    assert said.endswith("--as-of 2011-12-10")


@pytest.mark.parametrize(
    ("timezone", "moment", "day"),
    [
        ("Europe/Amsterdam", "2011-12-09 23:30:00", "2011-12-11"),  # the 10th there
        ("America/New_York", "2011-12-09 00:00:00", "2011-12-10"),  # a bare day stays
    ],
)
def test_the_day_to_try_is_after_the_business_day_of_the_newest_row(
    warehouse: duckdb.DuckDBPyConnection, timezone: str, moment: str, day: str
) -> None:
    without_subscribers(warehouse)
    assert (hint(warehouse, timezone, orders=moment) or "").endswith(day)


def test_rows_in_the_month_shown_need_no_hint(warehouse: duckdb.DuckDBPyConnection) -> None:
    without_subscribers(warehouse)
    assert hint(warehouse, orders="2024-02-01 00:00:00") is None
    assert hint(warehouse, subscriptions="2020-01-01 00:00:00") is None  # the orders are newer


def test_old_subscriptions_that_still_run_need_no_hint(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert hint(warehouse, subscriptions="2020-01-01 00:00:00") is None


def test_without_figures_or_rows_there_is_nothing_to_say(warehouse: duckdb.DuckDBPyConnection) -> None:
    without_subscribers(warehouse)
    assert hint(warehouse) is None
    assert hint_for_old_data(warehouse, None, "UTC") is None


def test_the_hint_is_about_the_period_of_the_headline(warehouse: duckdb.DuckDBPyConnection) -> None:
    without_subscribers(warehouse)
    headline = read_headline(warehouse, as_of=AS_OF)
    assert headline is not None
    earlier: Headline = replace(headline, period_start=date(2023, 5, 1))
    warehouse.execute("insert into data_quality values ('orders', 'latest_fact', '', null, '2023-05-03', null)")
    assert hint_for_old_data(warehouse, headline, "UTC") is not None
    assert hint_for_old_data(warehouse, earlier, "UTC") is None
