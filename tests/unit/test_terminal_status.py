"""What `retention status` prints fits a console of 80 columns, and says why something was refused."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from retention_pipeline.cli.print_status import print_status
from retention_pipeline.settings import Home

LOADED = datetime(2026, 11, 28, 3, 38)


def quality(dataset: str, measure: str, value: float | None = None, **more: Any) -> dict[str, Any]:
    return {"dataset": dataset, "measure": measure, "detail": "", "value": value, "moment": None, "note": None} | more


def printed(rows: list[dict[str, Any]], **more: Any) -> list[str]:
    answer: dict[str, Any] = {
        "published": None,
        "writer": None,
        "waiting_loads": 0,
        "problems": [],
        "raw_is_another": None,
        "marked_because": [],
        "alerts": [],
        "sources": [],
        "runs": [],
        "schedule": "0 2 * * * Europe/Amsterdam",
        "next_run": "2026-11-29T02:00:00+01:00",
        "starts_by_itself": "on",
    }
    console = Console(record=True, width=80)
    print_status(console, Home(Path("shop")), answer | {"quality": rows} | more, datetime(2026, 11, 29, tzinfo=UTC))
    return [line.rstrip() for line in console.export_text().splitlines()]


def source(name: str, dataset: str, state: str = "fresh", hours: float | None = 36.0) -> dict[str, Any]:
    lateness = {"state": state, "why": None, "max_age_hours": hours, "figures_lack_data": False, "blocks": False}
    return {"source": name, "dataset": dataset, "last_delivery": LOADED.isoformat(), **lateness}


def test_rows_and_moments_are_shown_in_full() -> None:
    rows = [
        quality("customer_aliases", "rows", 100_000_000),
        quality("customer_aliases", "latest_fact", moment=LOADED),
        quality("customer_aliases", "last_load", moment=LOADED),
    ]
    assert ["customer_aliases", "100,000,000", "2026-11-28", "20.4", "h", "ago", "0"] in [
        line.split() for line in printed(rows)
    ]


def test_refused_rows_are_counted_by_reason_with_an_example() -> None:
    rows = [
        quality("orders", "rows", 10),
        quality("orders", "quarantined", 2, detail="a", note="for example o.csv line 3: amount: 'x' is not a number"),
        quality("orders", "quarantined", 1, detail="b", note="for example o.csv line 9: too few values"),
    ]
    lines = printed(rows)
    assert "  orders  2 rows refused: for example o.csv line 3: amount: 'x' is not a number" in lines
    assert "  orders  1 row refused: for example o.csv line 9: too few values" in lines
    assert '  all refused rows: retention query "from quarantine" --home shop' in lines
    assert any(line.split() == ["orders", "10", "3"] for line in lines)


def test_a_refused_file_is_named_also_where_nothing_was_loaded() -> None:
    rows = [quality("orders", "refused_file", 1, detail="landing/o.csv", note="required columns are missing: currency")]
    assert "  orders  not loaded: landing/o.csv: required columns are missing: currency" in printed(rows)


def test_nothing_refused_is_not_mentioned() -> None:
    assert not any("refused:" in line or "quarantine" in line for line in printed([quality("orders", "rows", 10)]))


def test_the_reason_of_a_refused_file_is_told_once() -> None:
    why = "required columns are missing: currency"
    late = source("orders", "orders", "failed", None) | {
        "why": f"not loaded: landing/o.csv: {why}; last delivery 1 Nov",
        "figures_lack_data": True,
        "last_delivery": None,
    }
    alert = {"alert_id": 1, "acknowledged_at": None, "rule": "operations", "message": f"orders failed: {late['why']}"}
    marked = {"marked_because": [alert["message"]], "sources": [late], "alerts": [alert]}
    lines = printed([quality("orders", "refused_file", 1, detail="landing/o.csv", note=why)], **marked)
    assert "\n".join(lines).count(why) == 1
    assert sum("not loaded: landing/o.csv; last delivery 1 Nov" in line for line in lines) == 3
    assert "\n".join(printed([], **marked)).count(why) == 3  # where nothing else tells it


def test_a_dataset_and_its_source_are_one_line_and_several_sources_stand_below() -> None:
    states = [source("orders", "orders"), source("british", "customers", hours=None), source("dutch", "customers")]
    lines = printed([quality("orders", "rows", 10), quality("customers", "rows", 5)], sources=states)
    assert [line.split() for line in lines if "ago" in line or "customers" in line] == [
        ["orders", "10", "20.4", "h", "ago", "0", "fresh"],
        ["customers", "5", "0"],
        ["british", "20.4", "h", "ago"],
        ["dutch", "20.4", "h", "ago", "fresh"],
    ]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("on", "  next run 29 Nov 2026 02:00 Europe/Amsterdam, in 1 h"),
        ("off", "  next run 29 Nov 2026 02:00 Europe/Amsterdam, but the schedule is switched off"),
        ("no daemon", "  next run 29 Nov 2026 02:00 Europe/Amsterdam, but no daemon is up to start it"),
    ],
)
def test_the_moment_of_the_next_run_is_told_and_whether_anything_starts_it(state: str, said: str) -> None:
    assert said in printed([], starts_by_itself=state)


def test_the_whole_status_of_a_company_with_all_datasets_fits_one_screen() -> None:
    names = [
        "customers", "customer_aliases", "orders", "subscriptions", "fx_rates", "payments", "events", "surveys",
        "emails", "tickets", "memberships", "acquisition_costs", "kpi_targets", "kpi_benchmarks",
    ]  # fmt: skip
    rows = [quality(name, "rows", 1_234_567) for name in names]
    run = {"run_id": "20261128T033800-0a1b2c3d", "command": "schedule", "as_of": "2026-11-28", "wall_seconds": 1234.5}
    runs = [run | {"status": "succeeded", "failed_step": None, "error": None, "warnings": ""}] * 5
    lines = printed(rows, sources=[source(name, name) for name in names], runs=runs)
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 80


def test_each_failed_run_has_its_whole_cause_and_the_same_cause_is_told_once() -> None:
    run = {"command": "run", "as_of": "2026-11-28", "wall_seconds": 1.5, "status": "failed", "warnings": ""}
    runs = [
        run | {"run_id": "third", "failed_step": "ingest", "error": "too many bad rows\norders: o.csv: 3 of 4"},
        run | {"run_id": "second", "failed_step": "audit", "error": "a bridge is open"},
        run | {"run_id": "first", "failed_step": "audit", "error": "a bridge is open"},
    ]
    lines = printed([], runs=runs)
    start = lines.index("  third failed in ingest:")
    assert lines[start : start + 5] == [
        "  third failed in ingest:",
        "    too many bad rows",
        "    orders: o.csv: 3 of 4",
        "  second and first failed in audit:",
        "    a bridge is open",
    ]
