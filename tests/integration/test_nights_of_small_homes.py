"""Small homes in which a night once ended elsewhere than a full refresh, or a run did not end at all: on compiled
models, and through the product where its mode is asked, or what it finds in raw.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from nights.compiled_models import compile_models
from nights.test_nights import differences as differences_on_compiled_models
from nights.test_nights_through_the_pipeline import differences
from nights.warehouse_in_memory import Warehouse
from support.plain_run import backfill
from support.published_cells import run_home

from retention_pipeline.ingest import ingest
from retention_pipeline.kpis import compute_kpis
from retention_pipeline.run.steps import begin_run, ingest_step
from retention_pipeline.settings import Home, Settings, load_settings
from retention_pipeline.transform.delivered_segments import with_delivered_segments
from retention_pipeline.warehouse import attach

ORDERS = "order_id,customer_id,ordered_at,amount,currency,status"
PHASES = "subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at,cancel_requested_at"
RATES = "date,currency,rate_to_reporting"


def make_home(root: Path, *datasets: str, timezone: str = "Europe/Amsterdam", **more: Any) -> Path:
    source = {"type": "files", "timezone": "UTC", "placeholder_dates": "accept"}
    sources = {name: source | {"path": f"landing/{name}/*.csv"} for name in datasets}
    business = {"timezone": timezone, "reporting_currency": "EUR", "min_n": 0}
    settings = {"business": business, "sources": sources, "exchange_from_rows": 0, **more}
    root.mkdir()
    (root / "settings.yaml").write_text(yaml.safe_dump(settings))
    return root


def deliver(root: Path, name: str, *lines: str) -> None:
    path = root / "landing" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def asked(root: Path, question: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        return connection.execute(question).fetchall()


def assert_as_a_full_refresh(root: Path, as_of: date) -> None:
    again = root.with_name(f"{root.name} again")
    shutil.copytree(root, again, symlinks=True)
    run_home(again, as_of, full_refresh=True)
    assert not differences(Home(root).current.resolve(), Home(again).current.resolve())


@pytest.fixture(scope="module")
def after_a_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Subscriptions of two customers, one of whom is merged; a term that another customer renews in a currency whose
    rate is corrected; ids that no touched row carries; segment values called like our own; the first accepted instant.
    """
    first, second = date(2024, 4, 10), date(2024, 4, 12)
    root = make_home(
        tmp_path_factory.mktemp("small") / "home",
        *("orders", "subscriptions", "customers", "customer_aliases", "fx_rates", "tickets"),
        timezone="America/New_York",
        segments=["country"],
        grains=["month", "year"],
        max_segment_values=1,
    )
    deliver(root, "customer_aliases/1", "alias_id,customer_id", "old,zed")
    deliver(
        root,
        "subscriptions/1",
        PHASES,
        "s9,zed2,basic,10,EUR,month,active,2024-01-01T12:00:00,,",
        "s1,ada,basic,10,EUR,month,active,2024-01-01T12:00:00,2024-02-01T12:00:00,2024-03-05T12:00:00",
        "s1,bob,basic,10,EUR,month,active,2024-02-01T12:00:00,,2024-03-05T12:00:00",
        "s2,cy,basic,120,EUR,year,active,2023-01-01T12:00:00,2024-01-01T12:00:00,",
        "s2,dan,basic,120,USD,year,active,2024-01-01T12:00:00,,",
        "s3,eve,basic,10,EUR,month,active,1900-01-01T00:00:00,2024-02-01T12:00:00,",
    )
    days = [date(2023, 12, 1) + timedelta(days=number) for number in range(150)]
    deliver(root, "fx_rates/1", RATES, *(f"{day},USD,0.5" for day in days))
    deliver(
        root,
        "orders/1",
        ORDERS,
        "o1,ada,2024-01-10T12:00:00,30.00,EUR,paid",
        "o2,bob,2024-02-10T12:00:00,30.00,EUR,paid",
        "o3,cy,2024-02-10T12:00:00,30.00,EUR,paid",
        "o4,eve,1900-01-01T00:00:00,30.00,EUR,paid",
    )
    deliver(root, "customers/1", "customer_id,country", "ada,(unknown)", "bob,NL", "cy,(other)", "zed2,DE", "dan,NL")
    deliver(root, "tickets/1", "ticket_id,customer_id,opened_at", "t1,ada,2024-01-11T12:00:00")
    applied, settings = loaded(root, first)
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'; set threads = 1")
    attach(connection, Home(root).raw_file, "raw_store")
    warehouse = Warehouse(connection, compile_models(settings, root / "compiled"))
    warehouse.full_refresh(first)
    connection.execute("detach raw_store")
    deliver(root, "customer_aliases/2", "alias_id,customer_id", "ada,zed2")
    deliver(root, "fx_rates/2", RATES, "2023-12-31,USD,0.8")
    deliver(root, "tickets/2", "ticket_id,customer_id,opened_at", "t2,only in tickets,2024-01-12T12:00:00")
    deliver(root, "orders/2", ORDERS, "o5,replaced at once,2024-01-12T12:00:00,5.00,EUR,paid")
    deliver(root, "orders/3", ORDERS, "o5,fay,2024-01-12T12:00:00,5.00,EUR,paid")
    loaded(root, second)
    attach(connection, Home(root).raw_file, "raw_store")
    warehouse.night(second, first, applied)
    compute_kpis(
        connection,
        settings,
        as_of=second,
        run_id="night",
        computed_at=datetime(2024, 4, 12, 2),
        connected_datasets=settings.connected_datasets,
    )
    yield warehouse
    connection.close()


def loaded(root: Path, as_of: date) -> tuple[int, Settings]:
    """The last load, and the settings with the segments that were delivered, after ingest in the night of a day."""
    home = Home(root)
    settings = load_settings(home)
    result = ingest(home, settings, now=datetime.combine(as_of, time(2)))
    assert not result.refused and sum(load.bad for load in result.loads) == 0
    return result.max_load_id, with_delivered_segments(home, settings)


def rows_of(warehouse: Warehouse, question: str) -> list[tuple[Any, ...]]:
    return warehouse.connection.execute(question).fetchall()


def test_such_a_night_ends_where_a_full_refresh_does(after_a_night: Warehouse) -> None:
    assert differences_on_compiled_models(after_a_night, date(2024, 4, 12)) == []


def test_a_cancel_request_of_two_customers_survives_the_merge_of_one(after_a_night: Warehouse) -> None:
    assert rows_of(after_a_night, "select subscription_id, request_date from int_cancel_requests") == [
        ("s1", date(2024, 3, 5))
    ]


def test_a_renewal_by_another_customer_is_valued_at_the_corrected_rate(after_a_night: Warehouse) -> None:
    found = rows_of(
        after_a_night,
        "select numerator, denominator, value from retention_kpis where kpi = 'renewal_rate_value' and grain = 'year'"
        " and segment_dimension = 'all' and period_start = date '2024-01-01'",
    )
    assert found == [(8, 10, 0.8)]  # 120 USD a year at 0.8 are 8 EUR a month, of 10


def test_every_id_is_a_customer(after_a_night: Warehouse) -> None:
    known = {name for (name,) in rows_of(after_a_night, "select customer_id from int_customers")}
    assert {"only in tickets", "replaced at once", "fay"} <= known


def test_values_called_like_our_own_are_those(after_a_night: Warehouse) -> None:
    question = "select distinct segment_value from retention_kpis where segment_dimension = 'country'"
    found = rows_of(after_a_night, question)
    assert sorted(found) == [("(other)",), ("(unknown)",), ("NL",)]


def test_what_began_at_the_first_accepted_instant_counts(after_a_night: Warehouse) -> None:
    (found,) = rows_of(
        after_a_night,
        "select customers_end from period_customers where grain = 'year' and basis = 'subscription'"
        " and segment_dimension = 'all' and period_start = date '2023-01-01'",
    )
    assert found == (2,)  # eve since 1899 there, and cy; the others came in 2024


def test_a_backfill_brings_in_what_waits_in_raw_for_all_months(tmp_path: Path) -> None:
    root = make_home(tmp_path / "home", "orders", "customers", segments=["country"], grains=["month", "year"])
    deliver(
        root,
        "orders/1",
        ORDERS,
        "o1,ada,2022-01-10T12:00:00,30.00,EUR,paid",
        "o2,ada,2022-03-10T12:00:00,30.00,EUR,paid",
    )
    deliver(root, "customers/1", "customer_id,valid_from,country", "ada,,NL")
    run_home(root, date(2024, 4, 10))
    deliver(root, "customers/2", "customer_id,valid_from,country", "ada,2022-02-15,DE")
    home = Home(root)
    settings = load_settings(home)
    died = begin_run(home, date(2024, 4, 11), now=datetime(2024, 4, 11, 2))
    ingest_step(home, settings, died)  # a run that was killed after ingest leaves this behind
    month = date(2024, 1, 1)
    filled = backfill(home, settings, month, month, now=datetime(2024, 4, 11, 9))
    assert "loads wait" in filled.run.mode.reason
    assert_as_a_full_refresh(root, date(2024, 4, 10))


def changed_settings(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    settings = yaml.safe_load((root / "settings.yaml").read_text())
    change(settings)
    (root / "settings.yaml").write_text(yaml.safe_dump(settings))


def test_settings_of_kpis_and_datasets_of_their_own_leave_a_night_a_night(tmp_path: Path) -> None:
    root = make_home(tmp_path / "home", "orders", "customers", segments=["country"], grains=["month", "year"])
    deliver(root, "customers/1", "customer_id,country", "ada,NL", "bob,DE")
    orders = ("o1,ada,2023-07-10T12:00:00,30.00,EUR,paid", "o2,bob,2024-02-10T12:00:00,9,EUR,paid")
    deliver(root, "orders/1", ORDERS, *orders)
    run_home(root, date(2024, 4, 10))
    rows = "from retention_kpis where period_start = date '2024-02-01' and grain = 'month' and segment_value = 'all'"
    lifetime = f"select null_reason {rows} and kpi = 'customer_lifespan_years' and basis = 'order'"
    assert asked(root, lifetime) == [(None,)]
    changed_settings(root, lambda settings: settings["business"].update(min_n=30))
    source = {"type": "files", "timezone": "UTC"}
    further = {name: source | {"path": f"landing/{name}/*.csv"} for name in ("tickets", "events", "payments")}
    changed_settings(root, lambda settings: settings["sources"].update(further))
    opened = ("t1,ada,2024-01-11T12:00:00", "t2,eve,2024-02-11T12:00:00")
    deliver(root, "tickets/1", "ticket_id,customer_id,opened_at", *opened)
    deliver(root, "events/1", "event_id,customer_id,occurred_at,event", "e1,bob,2024-02-11T12:00:00,login")
    deliver(root, "payments/1", "payment_id,customer_id,attempted_at,status", "p1,ada,2024-03-11T12:00:00,failed")
    mode = run_home(root, date(2024, 4, 12)).mode
    assert (mode.name, mode.new_datasets) == ("night", ("events", "payments", "tickets"))
    assert asked(root, lifetime) == [("small_n",)]
    assert asked(root, f"select value {rows} and kpi = 'tickets_opened'") == [(1,)]
    assert_as_a_full_refresh(root, date(2024, 4, 12))


def test_a_dataset_whose_source_is_taken_out_counts_no_more(tmp_path: Path) -> None:
    root = make_home(tmp_path / "home", "orders", "subscriptions", grains=["month", "year"])
    deliver(root, "orders/1", ORDERS, "o1,ada,2024-01-10T12:00:00,30.00,EUR,paid")
    deliver(root, "subscriptions/1", PHASES, "s1,bob,basic,10,EUR,month,active,2024-01-01T12:00:00,,")
    run_home(root, date(2024, 2, 10))
    changed_settings(root, lambda settings: settings["sources"].pop("orders"))
    run_home(root, date(2024, 2, 11))
    found = asked(
        root,
        "select distinct basis, value from retention_kpis where kpi = 'customers_end' and grain = 'year'"
        " and segment_dimension = 'all' and period_start = date '2024-01-01' order by basis",
    )
    assert found == [("any", 1.0), ("subscription", 1.0)]
