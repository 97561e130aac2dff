"""What a run makes of the alerts that were open before it."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from retention_pipeline.alerts import before_publication, load, save
from retention_pipeline.alerts.incidents import OPERATIONS, Finding, Incident
from retention_pipeline.freshness.sources import SourceState
from retention_pipeline.settings import Home, Settings, parse_settings

BEFORE, NOW = datetime(2024, 4, 2), datetime(2024, 4, 3)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse without a figure."""
    with duckdb.connect() as connection:
        connection.execute(
            "create table kpi_definitions (kpi varchar, bases varchar, label varchar, format varchar);"
            "create table retention_kpis (segment_dimension varchar)"
        )
        yield connection


def settings(*rules: dict[str, Any]) -> Settings:
    return parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "alerts": {"channels": {"team": {"env": "TEAM"}}, "rules": list(rules)},
        }
    )


def told(rule: str, subject: str, *, cause: str = "") -> Incident:
    return Incident(1, Finding(rule, subject, "something is wrong", cause=cause), BEFORE, BEFORE, told=["team"])


def late(error: str) -> SourceState:
    return SourceState(
        source="orders",
        dataset="orders",
        state="failed",
        last_delivery=None,
        max_age=None,
        fell_by=None,
        fresh_until=None,
        lacks=True,
        may_block=False,
        why=f"not loaded: {error}; last delivery 2 Apr 2024",
        error=error,
    )


def after_night(
    warehouse: duckdb.DuckDBPyConnection,
    home: Home,
    asked: Settings,
    *states: SourceState,
    refused: tuple[tuple[str, str, str], ...] = (),
) -> list[Incident]:
    incidents, _ = before_publication(
        warehouse, home, asked, states=states, refused=refused, as_of=date(2024, 4, 3), now=NOW
    )
    return incidents


def test_a_rule_that_cannot_be_asked_says_no_all_clear(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    home = Home(tmp_path)
    save(home, [told("churn", "all")])
    rule = {"name": "churn", "when": {"kpi": "gone", "above": 1}, "then": [{"notify": "team"}]}
    assert after_night(warehouse, home, settings(rule)) == load(home)


def test_what_a_removed_rule_left_open_is_over(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    home = Home(tmp_path)
    save(home, [told("churn", "all")])
    [one] = after_night(warehouse, home, settings())
    assert one.resolved_at == NOW and one.waiting == []


def test_a_publication_ends_every_failure_with_an_all_clear(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    save(home, [told(OPERATIONS, "run", cause=cause) for cause in ("no rights", "no space")])
    ended = after_night(warehouse, home, settings())
    assert [(one.is_all_clear, one.waiting) for one in ended] == [(True, ["team"])] * 2


def test_a_source_that_fails_for_another_reason_is_told_anew(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    first = after_night(warehouse, home, settings(), late("a-2024-04-02.csv: no header"))
    save(home, first)
    [same] = after_night(warehouse, home, settings(), late("a-2024-04-03.csv: no header"))
    assert same.alert_id == 1
    assert [one.is_open for one in after_night(warehouse, home, settings(), late("no rights"))] == [False, True]


def test_files_that_are_refused_for_one_reason_are_one_incident(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    refused = (
        ("orders", "1.csv", "no header"),
        ("orders", "2.csv", "no header"),
        ("orders", "3.csv", "it is encrypted"),
    )
    incidents = after_night(warehouse, Home(tmp_path), settings(), refused=refused)
    assert [one.finding.message for one in incidents] == [
        "orders: 1 file not loaded: 3.csv: it is encrypted",
        "orders: 2 files not loaded: 1.csv: no header (and 1 more)",
    ]
