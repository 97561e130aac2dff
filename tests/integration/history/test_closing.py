"""A change in a closed period is held back until it is let in; what rules hold of is what was computed."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.made_publications import MadeHome, figure

from retention_pipeline.history.closing import pending_periods, shadow
from retention_pipeline.settings import Settings, parse_settings

JANUARY, FEBRUARY = ("month", date(2026, 1, 1)), ("month", date(2026, 2, 1))


def settings(closed_periods: str = "hold", days: int | None = 20) -> Settings:
    business = {"timezone": "UTC", "reporting_currency": "EUR"}
    return parse_settings({"business": business, "close_after_days": days, "closed_periods": closed_periods})


@pytest.fixture
def made(tmp_path: Path) -> MadeHome:
    """January is closed on 5 March (20 days after 1 February), February is not."""
    made = MadeHome(tmp_path / "home")
    publish(made, 5, [figure(1, 5), figure(2, 7)])
    return made


def publish(made: MadeHome, day: int, figures: list[dict[str, Any]], **more: Any) -> None:
    more = {"settings": settings()} | more
    made.publish(figures, as_of=date(2026, 3, day), at=datetime(2026, 3, day, 2), **more)


def values(made: MadeHome, table: str = "retention_kpis") -> list[tuple[Any, ...]]:
    return made.rows(f"select month(period_start), segment_value, value from {table} order by all")


def test_a_change_in_a_closed_month_is_held_and_one_in_an_open_month_published(made: MadeHome) -> None:
    publish(made, 6, [figure(1, 6), figure(2, 8)])
    assert values(made) == [(1, "all", 5), (2, "all", 8)]
    assert values(made, "pending_restatements") == [(1, "all", 6)]
    assert made.history() == [(1, "all", 5, 5, None), (2, "all", 7, 5, 6), (2, "all", 8, 6, None)]


def test_what_is_held_stays_held_through_quiet_nights_and_full_refreshes(made: MadeHome) -> None:
    for day, full_refresh in ((6, False), (7, False), (8, True)):
        publish(made, day, [figure(1, 6), figure(2, 7)], full_refresh=full_refresh)
        assert values(made)[0] == (1, "all", 5)
        assert values(made, "pending_restatements") == [(1, "all", 6)]
    assert made.rows("select held_since from pending_restatements") == [(datetime(2026, 3, 6, 2),)]


def test_a_figure_that_goes_back_is_pending_no_more(made: MadeHome) -> None:
    publish(made, 6, [figure(1, 6), figure(2, 7)])
    publish(made, 7, [figure(1, 5), figure(2, 7)])
    assert values(made, "pending_restatements") == []
    assert made.history() == [(1, "all", 5, 5, None), (2, "all", 7, 5, None)]


def test_a_month_that_is_let_in_is_published_and_its_history_goes_on(made: MadeHome) -> None:
    publish(made, 6, [figure(1, 6), figure(2, 7)])
    publish(made, 7, [figure(1, 6), figure(2, 7)], released=(FEBRUARY,))
    assert values(made, "pending_restatements") == [(1, "all", 6)]
    publish(made, 8, [figure(1, 6), figure(2, 7)], released=(JANUARY,))
    assert values(made) == [(1, "all", 6), (2, "all", 7)]
    assert values(made, "pending_restatements") == []
    assert made.history()[:2] == [(1, "all", 5, 5, 8), (1, "all", 6, 8, None)]


def test_without_hold_everything_is_published_also_what_was_held(made: MadeHome) -> None:
    publish(made, 6, [figure(1, 6), figure(2, 7)])
    publish(made, 7, [figure(1, 6), figure(2, 7)], settings=settings("tell"))
    assert values(made) == [(1, "all", 6), (2, "all", 7)]
    publish(made, 8, [figure(1, 7), figure(2, 7)], settings=settings("tell"))
    assert values(made, "pending_restatements") == []
    publish(made, 9, [figure(1, 8), figure(2, 7)], settings=settings("hold", None))
    assert values(made)[0] == (1, "all", 8)


def test_rows_that_come_and_go_in_a_closed_month_are_held_too(made: MadeHome) -> None:
    country = [figure(1, 2, "country=NL"), figure(2, 2, "country=NL")]
    publish(made, 6, [figure(1, 5), figure(2, 7), *country])  # a dimension that had no figures before
    assert (1, "NL", 2) in values(made)
    publish(made, 7, [figure(1, 5), figure(2, 7), country[1], figure(1, 3, "country=DE")])
    assert values(made) == [(1, "NL", 2), (1, "all", 5), (2, "NL", 2), (2, "all", 7)]
    rows = made.rows("select segment_value, value, is_gone from pending_restatements order by 1")
    assert rows == [("DE", 3, False), ("NL", None, True)]
    publish(made, 8, [figure(1, 5), figure(2, 7), country[1], figure(1, 3, "country=DE")], released=(JANUARY,))
    assert values(made) == [(1, "DE", 3), (1, "all", 5), (2, "NL", 2), (2, "all", 7)]


def test_a_figure_that_matures_is_not_held(made: MadeHome) -> None:
    publish(made, 6, [figure(1, 5), figure(2, 7), figure(1, None, basis="any")])
    publish(made, 7, [figure(1, 5), figure(2, 7), figure(1, 4, basis="any")])
    assert (1, "all", 4) in values(made)
    assert values(made, "pending_restatements") == []


def test_rules_are_asked_of_what_was_computed(made: MadeHome) -> None:
    publish(made, 6, [figure(1, 6), figure(2, 7)])
    with duckdb.connect(str(made.home.current), read_only=True) as connection:
        assert pending_periods(connection) == {JANUARY: 1}
        shadow(connection)
        rows = connection.execute("select month(period_start), value from retention_kpis order by 1").fetchall()
    assert rows == [(1, 6), (2, 7)]
