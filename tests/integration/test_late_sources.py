"""Sources that are late, from the run's steps to what the commands say: told, marked, blocked, and mended.

The clock is the runs' own: nights are played with another time.
"""

import json
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.command import retention
from support.plain_run import RunResult, run
from support.quick_build import build_anew, build_quickly, models_made_quickly
from support.small_shop import AS_OF, LATE_ORDER, deliver, open_shop

from retention_pipeline.freshness.sources import NotFresh
from retention_pipeline.ingest import pull_loader
from retention_pipeline.read.headline import as_markdown, read_headline
from retention_pipeline.read.published import open_published, rows_of
from retention_pipeline.run.records import all_records
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform import BuildResult

JUNE = date(2024, 6, 3)
ORDERS = "orders: {type: files, path: landing/orders/*.csv, timezone: Europe/Amsterdam"


def settings_of(home: Home, **orders: str) -> None:
    """Rewrite the settings of the source `orders`."""
    lines = home.settings_file.read_text().splitlines()
    changed = f"  {ORDERS}{''.join(f', {name}: {value}' for name, value in orders.items())}}}"
    kept = [changed if line.startswith(f"  {ORDERS}") else line for line in lines]
    home.settings_file.write_text("\n".join(kept) + "\n")


def night(
    home: Home, day: date, said: list[str] | None = None, builder: Callable[..., BuildResult] = build_anew
) -> RunResult:
    """The night before `day`, at one o'clock (UTC)."""
    now = datetime(day.year, day.month, day.day, 1)
    progress = (said if said is not None else []).append
    return run(home, load_settings(home), day, now=now, progress=progress, builder=builder)


def asked(home: Home, sql: str) -> list[dict[str, Any]]:
    with open_published(home) as connection:
        return rows_of(connection, sql)


def figures(home: Home) -> list[dict[str, Any]]:
    return asked(home, "select * exclude (as_of, computed_at, run_id) from retention_kpis order by all")


def shop_of_may(root: Path) -> Home:
    """A shop after its night of 10 May; a limit of 36 hours for its orders, which have come."""
    home = open_shop(root / "home", months_alone=True)
    settings_of(home, max_age="36h")
    night(home, AS_OF)
    return home


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any], list[str]]:
    """The shop after the night of 3 June, and nothing has come; with that run's record and what it said. Dbt makes this
    night, and it is compared with a full refresh.
    """
    home = shop_of_may(tmp_path_factory.mktemp("june"))
    said: list[str] = []
    night(home, JUNE, said, build_quickly)
    return home, all_records(home)[-1], said


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_of_may(tmp_path_factory.mktemp("may")).root


@pytest.fixture
def shop(delivered: Path, tmp_path: Path) -> Home:
    """A copy of the shop as in May: its files look written anew, so a night counts them as delivered."""
    shutil.copytree(delivered, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def test_a_late_source_is_told_in_the_run_and_kept_in_its_record(late: tuple[Home, dict[str, Any], list[str]]) -> None:
    home, record, said = late
    warning = "orders stale: last delivery 10 May 2024 01:00 UTC, 24 days ago (max_age 36 h)"
    assert f"warning: {warning}" in said
    assert (record["status"], record["warnings"]) == ("succeeded", [warning])
    states = {state["source"]: state for state in record["sources"]}
    assert (states["orders"]["state"], states["orders"]["fresh_until"]) == ("stale", "2024-05-10")
    assert (states["subscriptions"]["state"], states["subscriptions"]["max_age_hours"]) == ("fresh", None)
    told = asked(home, "select warnings from pipeline_runs order by started_at")
    assert [row["warnings"] for row in told] == [None, warning]


def test_data_quality_has_a_row_per_source_and_one_for_what_is_late(
    late: tuple[Home, dict[str, Any], list[str]],
) -> None:
    home, _, _ = late
    rows = asked(
        home,
        "select dataset, measure, detail, value, moment from data_quality "
        "where measure in ('last_delivery', 'stale', 'failed', 'shrunken') order by measure, dataset",
    )
    moment = datetime(2024, 5, 10, 1)
    assert [tuple(row.values()) for row in rows] == [
        ("orders", "last_delivery", "orders", None, moment),
        ("subscriptions", "last_delivery", "subscriptions", None, moment),
        ("orders", "stale", "orders", 24.0, moment),
    ]


def test_a_period_that_the_data_do_not_reach_is_complete_but_not_fresh(
    late: tuple[Home, dict[str, Any], list[str]],
) -> None:
    home, _, _ = late
    rows = asked(
        home,
        "select kpi, basis, month(period_start) as month, is_complete, is_fresh from retention_kpis_marked "
        "where grain = 'month' and segment_dimension = 'all' and period_start >= '2024-04-01' "
        "and (kpi in ('orders', 'mrr_end') or kpi = 'customers_end' and basis = 'any')",
    )
    fresh = {(row["kpi"], row["month"]): (row["is_complete"], row["is_fresh"]) for row in rows}
    assert fresh["orders", 4] == (True, True)
    assert fresh["orders", 5] == (True, False)
    assert fresh["orders", 6] == (False, False)
    assert fresh["customers_end", 5] == (True, False)
    assert fresh["mrr_end", 5] == (True, True)


def test_the_last_month_is_shown_with_marks_and_the_reason(late: tuple[Home, dict[str, Any], list[str]]) -> None:
    home, _, _ = late
    with open_published(home) as connection:
        headline = read_headline(connection, as_of=JUNE)
    assert headline is not None
    marked = {(line.kpi, line.basis) for line in headline.lines if line.mark}
    assert ("order_revenue", "order") in marked and ("mrr_end", "subscription") not in marked
    assert headline.marked == {"order", "any"}
    assert len(headline.footnotes) == 1
    text = as_markdown(headline)
    assert "data are missing" in text and headline.footnotes[0] in text
    shown = retention(home, "kpis").stdout
    assert "data are missing *" in shown and f"* {headline.footnotes[0]}" in shown
    one = retention(home, "kpis", "orders").stdout
    assert "0 *" in one and "* orders stale" in one
    rows = json.loads(retention(home, "kpis", "orders", "--last", "3", "--json").stdout)
    assert [row["is_fresh"] for row in rows] == [True, False, False]


def test_status_says_it_also_when_no_run_happened_since(shop: Home) -> None:
    home = shop
    assert asked(home, "from figure_marks") == []
    status = retention(home, "status")
    assert status.returncode == 0, status.stderr
    assert "Late sources" in status.stdout and "orders  stale: last delivery 10 May 2024" in status.stdout
    states = json.loads(retention(home, "status", "--json").stdout)["sources"]
    assert [(state["source"], state["state"]) for state in states] == [("orders", "stale"), ("subscriptions", "fresh")]


def test_lateness_is_in_no_row_of_the_figures_and_a_delivery_ends_it(
    late: tuple[Home, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    """Nights with a late source end where a full refresh without any limit of lateness does."""
    home = Home(tmp_path / "home")
    shutil.copytree(late[0].root, home.root, symlinks=True)
    marked = figures(home)
    assert asked(home, "select count(*) > 0 as some from retention_kpis_marked where not is_fresh") == [{"some": True}]
    other = open_shop(tmp_path / "other", months_alone=True)
    night(other, JUNE)
    assert figures(other) == marked
    deliver(home, "orders", "late.csv", LATE_ORDER)
    night(home, JUNE)
    assert asked(home, "from figure_marks") == []
    assert asked(home, "select count(*) as n from retention_kpis_marked where not is_fresh") == [{"n": 0}]
    assert figures(home) != marked


def test_a_replaced_file_that_fell_is_told_and_blocks_until_it_is_whole_again(shop: Home) -> None:
    home = shop
    settings_of(home, max_shrink="0.2", on_stale="block")
    whole = (home.root / "landing/orders/orders.csv").read_text()
    deliver(home, "orders", "orders.csv", "".join(whole.splitlines(keepends=True)[:4]))
    with pytest.raises(NotFresh, match=r"orders shrunken: .* has 3 rows, 62% fewer than the usual 8"):
        night(home, date(2024, 5, 11))
    deliver(home, "orders", "orders.csv", whole + "10,stays,2024-05-10 10:00:00,20.00,EUR,paid\n")
    night(home, date(2024, 5, 12))
    assert asked(home, "select warnings from pipeline_runs where status = 'succeeded' and warnings <> ''") == []


def test_a_database_that_does_not_answer_marks_its_figures_and_the_other_sources_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is asked of today, long after the orders' last day; it says which day to try."""
    monkeypatch.setattr(pull_loader, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    home = open_shop(tmp_path / "home", months_alone=True)
    line = "  subscriptions: {type: files, path: landing/subscriptions/*.csv, timezone: Europe/Amsterdam}\n"
    pulled = "  subscriptions: {type: postgres, dsn: {env: SHOP_DATABASE}, table: public.subscriptions}\n"
    text = home.settings_file.read_text()
    assert line in text
    home.settings_file.write_text(text.replace(line, pulled))
    with models_made_quickly():
        done = retention(home, "run", SHOP_DATABASE="postgresql://shop:hunter2@127.0.0.1:1/shop")
    assert done.returncode == 0, done.stderr
    assert "Late sources" in done.stdout and "figures that need it are marked *" in done.stdout
    assert "The newest row of orders is of 2024-04-30" in done.stdout and "--as-of 2024-05-01\n" in done.stdout
    (record,) = all_records(home)
    assert (record["rows_new"], record["files_refused"]) == (8, 1)
    (warning,) = record["warnings"]
    assert warning.startswith("subscriptions failed: not loaded: public.subscriptions:")
    assert "nothing was ever delivered" in warning and "hunter2" not in done.stdout + done.stderr
    marks = {(row["figure"], row["basis"]) for row in asked(home, "from figure_marks where segment_dimension = 'all'")}
    assert ("customers_end", "any") in marks and ("mrr_end", "subscription") in marks
    assert ("orders", "order") not in marks


def test_generations_of_before_there_were_marks_are_read_without(late: tuple[Home, dict[str, Any], list[str]]) -> None:
    home, _, _ = late
    copy = home.root / "older"
    (copy / "published").mkdir(parents=True)
    older = Home(copy)
    older.current.write_bytes(home.current.read_bytes())
    with duckdb.connect(str(older.current)) as connection:
        connection.execute("drop view retention_kpis_marked")
        connection.execute("drop table figure_marks")
    with open_published(older) as connection:
        headline = read_headline(connection, as_of=JUNE)
    assert headline is not None and headline.footnotes == []
    rows = json.loads(retention(older, "kpis", "orders", "--json").stdout)
    assert {row["is_fresh"] for row in rows} == {True}


def test_a_source_that_blocks_fails_the_run_in_one_line_and_leaves_the_figures(
    late: tuple[Home, dict[str, Any], list[str]],
) -> None:
    """The last word on the home of `late`: a copy's files would count as delivered."""
    home, _, _ = late
    settings_of(home, max_age="36h", on_stale="block")
    before, bytes_before = home.current.resolve(), home.current.read_bytes()
    blocked = retention(home, "run", "--as-of", JUNE.isoformat(), "--json")
    assert blocked.returncode == 1 and "Traceback" not in blocked.stderr
    told = json.loads(blocked.stdout)
    assert told["error"] == "NotFresh" and "\n" not in told["message"]
    assert told["message"].startswith("orders stale: last delivery 10 May 2024 01:00 UTC")
    assert (home.current.resolve(), home.current.read_bytes()) == (before, bytes_before)
    assert not home.next_file.exists()
    status = json.loads(retention(home, "status", "--json").stdout)
    assert (status["runs"][0]["status"], status["runs"][0]["failed_step"]) == ("failed", "sources")
    assert status["sources"][0]["blocks"]
    deliver(home, "orders", "late.csv", LATE_ORDER)
    assert night(home, JUNE).generation == 3
