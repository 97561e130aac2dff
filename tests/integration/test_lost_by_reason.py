"""Which reason `lost_by_reason` tells of customers who left, on companies of a few of them."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from oracle.companies import MadeCompany, write_home
from support.computed_home import compute_home

AS_OF = date(2024, 4, 1)
Phase = tuple[str, str, str, str]


def asked(root: Path, sql: str, rows: dict[str, list[dict[str, str]]], **business: Any) -> list[Any]:
    """The answer of the home's tables as of AS_OF."""
    sources = {name: {"type": "files", "path": f"landing/{name}/*.csv", "timezone": "UTC"} for name in rows}
    business |= {"timezone": "UTC", "reporting_currency": "EUR"}
    write_home(MadeCompany(rows, {"business": business, "sources": sources}, AS_OF), root)
    with duckdb.connect(str(compute_home(root, AS_OF)), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def phases(subscription: str, *found: Phase) -> list[dict[str, str]]:
    """Rows of one customer's subscription: (status, started_at, ended_at, end_reason) of each phase."""
    terms = {"plan": "basic", "amount": "30.00", "currency": "EUR", "interval": "month"}
    columns = ("status", "started_at", "ended_at", "end_reason")
    names = {"subscription_id": subscription, "customer_id": f"c{subscription}"}
    return [names | terms | dict(zip(columns, phase, strict=True)) for phase in found]


LEFT = {
    # What the source says of the active phase, and of the cancelled one after it: what the table says.
    ("", ""): ("unknown", "(none)"),
    ("moved", ""): ("unknown", "moved"),
    ("", "moved"): ("unknown", "moved"),
    ("moved", "other"): ("unknown", "moved"),
    ("moved", "competitor"): ("voluntary", "competitor"),
    ("competitor", "moved"): ("voluntary", "competitor"),
    ("", "unclear"): ("unknown", "unclear"),
}


def test_the_reason_is_that_which_has_a_class_else_the_first_that_is_given(tmp_path: Path) -> None:
    rows: list[dict[str, str]] = []
    for number, (own, following) in enumerate(LEFT):
        left = ("active", "2024-01-10", "2024-02-10", own), ("cancelled", "2024-02-10", "2024-02-20", following)
        rows += phases(str(number), *left)
    found = asked(
        tmp_path / "home",
        "select churn_class, end_reason, customers_lost from lost_by_reason"
        " where grain = 'month' and segment_dimension = 'all'",
        {"subscriptions": rows},
        churn_reason_classes={"competitor": "voluntary", "unclear": "unknown"},
    )
    assert {tuple(reason): customers for *reason, customers in found} == Counter(LEFT.values())


def test_a_reason_of_a_phase_that_starts_after_the_close_is_not_known_yet(tmp_path: Path) -> None:
    found = asked(
        tmp_path / "home",
        "select grain, end_reason from lost_by_reason where segment_dimension = 'all' order by grain",
        {
            "subscriptions": phases(
                "1",
                ("active", "2023-12-10", "2024-02-10", ""),
                ("cancelled", "2024-03-10", "2024-03-20", "moved"),
            )
        },
    )
    assert found == [("month", "(none)"), ("quarter", "moved"), ("week", "(none)"), ("year", "moved")]
