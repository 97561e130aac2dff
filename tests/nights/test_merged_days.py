"""Events that come, change, go and change hands, night by night: a night merges them into the days of its customers and
ends where a full refresh would, and what it exchanges are the days that differ and not their customers.

2024, days in UTC, `mau_days` 28; `ada` logs in every other day from January on, so that each window holds days. With
the dimension `engagement_group` profiles change; without, each customer has one for life.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from nights.compiled_models import compile_models
from nights.raw_rows import open_raw_in_memory, put_in_force
from nights.test_nights import differences
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.settings import Settings

ZONES = {"events": "UTC", "customer_aliases": "UTC"}
FIRST = date(2024, 3, 1)


def event(number: str, customer: str, day: str, seconds: int | None = None) -> tuple[str, dict[str, str]]:
    row = {"event_id": number, "customer_id": customer, "occurred_at": f"{day}T09:00:00", "event": "login"}
    return number, row | {"duration_seconds": "" if seconds is None else str(seconds)}


BEGINNING = dict(
    [event(f"a{n}", "ada", str(date(2024, 1, 1) + timedelta(days=n)), 60 if n % 2 else None) for n in range(0, 50, 2)]
    + [event("b1", "bob", "2024-01-20", 30), event("b2", "bob", "2024-02-25", 30), event("c1", "cyd", "2024-02-01")]
)
ALIAS = {"alias_id": "bob", "customer_id": "ada"}
# What each night does to the rows in force, and as of when: rows by event_id, None takes one out.
STEPS: list[tuple[str, str, dict[str, dict[str, str] | None], list[dict[str, str]]]] = [
    ("a day after the last, one before the first, a late one between, an event of a day that is known, somebody new",
     "2024-03-06",
     dict([event("a90", "ada", "2024-03-01", 60), event("b4", "bob", "2023-12-30"),
           event("a91", "ada", "2024-01-08", 60), event("b3", "bob", "2024-02-25", 30),
           event("d1", "dan", "2024-03-05"), event("b5", "bob", "2024-03-20", 5)]),
     []),
    ("a corrected day, one of two events of a day gone, the only event of a day gone and a new one", "2024-03-09",
     {**dict([event("a4", "ada", "2024-01-06"), event("a92", "ada", "2024-03-08")]), "b3": None, "a0": None}, []),
    ("somebody was somebody else", "2024-03-11", {}, [ALIAS]),
    ("who logs in under both ids", "2024-03-22",
     dict([event("b6", "bob", "2024-03-21"), event("a93", "ada", "2024-03-21")]), [ALIAS]),
    ("and is not after all; a year passes; all events of another gone", "2025-02-01", {"c1": None}, []),
]  # fmt: skip


def test_a_night_ends_where_a_full_refresh_would(tmp_path: Path) -> None:
    warehouse, connection = home(["engagement_group"], tmp_path)
    rows: dict[str, dict[str, str]] = dict(BEGINNING)
    deliver(connection, rows, [], FIRST, 1)
    warehouse.full_refresh(FIRST)
    before = FIRST
    for load, (what, day, changes, aliases) in enumerate(STEPS, start=2):
        as_of = date.fromisoformat(day)
        rows = {key: row for key, row in {**rows, **changes}.items() if row is not None}
        deliver(connection, rows, aliases, as_of, load)
        warehouse.night(as_of, before, load - 1)
        assert differences(warehouse, as_of) == [], what
        before = as_of


def test_a_night_exchanges_days_that_differ_and_not_their_customers(tmp_path: Path) -> None:
    warehouse, connection = home([], tmp_path)
    deliver(connection, BEGINNING, [], FIRST, 1)
    warehouse.full_refresh(FIRST)
    deliver(connection, BEGINNING | dict([event("a90", "ada", "2024-03-01", 60)]), [], FIRST, 2)
    warehouse.night(date(2024, 3, 2), FIRST, 1)
    now, then = (f"select active_date from {schema}.int_active_days" for schema in ("differing", "differing_before"))
    days = [day for (day,) in connection.execute(f"select * from ({now} union {then}) order by 1").fetchall()]
    # Of ada's 26 days the new one and those whose window of 28 days it lies in, 3 February and later.
    assert days == [date(2024, 2, 4) + timedelta(days=n) for n in range(0, 15, 2)] + [date(2024, 3, 1)]
    read = connection.execute("select count(*) from differing.int_session_lengths").fetchone()
    assert read == (1,)
    assert differences(warehouse, date(2024, 3, 2)) == []


def home(segments: list[str], folder: Path) -> tuple[Warehouse, Any]:
    settings = Settings.model_validate(
        {
            "business": {"reporting_currency": "EUR", "timezone": "UTC", "mau_days": 28},
            "segments": segments,
            "grains": ["week", "month"],
            "sources": {
                name: {"type": "files", "path": f"landing/{name}.csv", "timezone": "UTC"}
                for name in ("events", "customer_aliases")
            },
        }
    )
    connection = open_raw_in_memory()
    return Warehouse(connection, compile_models(settings, folder)), connection


def deliver(connection: Any, rows: dict[str, Any], aliases: list[dict[str, str]], as_of: date, load: int) -> None:
    given = {"events": list(rows.values()), "customer_aliases": aliases}
    put_in_force(connection, given, ZONES, load, datetime.combine(as_of, datetime.min.time()))
