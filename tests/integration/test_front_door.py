"""Exports that look right and are not: each home goes in by its settings alone, or says why not.

Each test is one small home, loaded or run from its files to published figures.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.plain_run import run
from support.quick_build import build_anew

from retention_pipeline.ingest import ingest, landing
from retention_pipeline.ingest.result import IngestError
from retention_pipeline.settings import Home, Settings, load_settings
from retention_pipeline.warehouse import opened

ORDERS = "order_id,customer_id,ordered_at,amount,currency,status"
NOW = datetime(2025, 4, 1, 3)


class Door:
    """A home with files of CSV lines; `run` makes the figures as of 1 April 2025."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.sources: dict[str, dict[str, Any]] = {}
        self.business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}

    def deliver(self, dataset: str, *lines: str, name: str = "1.csv", **settings: Any) -> None:
        given = {"type": "files", "path": f"landing/{dataset}/*", "timezone": "UTC"}
        self.sources[dataset] = {**given, **self.sources.get(dataset, {}), **settings}
        path = self.home.root / "landing" / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]))

    def run(self, **arguments: Any) -> Any:
        return run(self.home, self.settings(), date(2025, 4, 1), now=NOW, builder=build_anew, **arguments)

    def load(self) -> list[Any]:
        """The loads of a run that ends there."""
        return list(ingest(self.home, self.settings(), now=NOW).loads)

    def settings(self) -> Settings:
        content = {"business": self.business, "sources": self.sources, "grains": ["month"]}
        self.home.settings_file.write_text(yaml.safe_dump(content))
        return load_settings(self.home)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with opened(self.home.current.resolve(), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def figure(self, kpi: str, month: str, basis: str = "order") -> Any:
        rows = self.query(
            f"select value from retention_kpis where kpi = '{kpi}' and grain = 'month' and period_start = '{month}-01'"
            f" and segment_dimension = 'all' and basis in ('{basis}', 'all')"
        )
        return rows[0][0] if rows else None


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_dimensions_without_any_value_are_left_out_until_one_comes(door: Door) -> None:
    door.deliver("orders", ORDERS, "d1,C1,2025-01-05,10.00,EUR,paid", "d2,C2,2025-01-06,10.00,EUR,paid")
    door.deliver("customers", "customer_id,country", "C1,NL", "C2,DE")
    door.run()
    dimensions = "select distinct segment_dimension from retention_kpis order by 1"
    assert door.query(dimensions) == [("all",), ("country",)]
    door.deliver("orders", f"{ORDERS},channel", "d3,C1,2025-01-07,10.00,EUR,paid,web", name="2.csv")
    assert door.run().mode.full_refresh
    assert door.query(dimensions) == [("all",), ("country",), ("first_order_channel",)]


def test_a_first_run_whose_only_source_loads_nothing_publishes_nothing(door: Door) -> None:
    door.deliver("orders", "Order;Customer;Date;Total", "1;c1;2025-01-05;10,00")
    with pytest.raises(IngestError, match=r"no source has brought a row(.|\n)*1\.csv: required columns are missing"):
        door.run()
    assert not door.home.current.exists()
    door.deliver("orders", ORDERS, "a1,c1,2025-01-05,10.00,EUR,paid")
    door.run()
    assert door.figure("customers_new", "2025-01") == 1


def test_a_first_run_without_a_file_publishes_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "OPEN_LINE_SECONDS", 60.0)
    door.deliver("orders", ORDERS, "a1,c1,2025-01-05,10.00,EUR,paid", path="landing/ordres/*.csv")
    with pytest.raises(IngestError, match=r"no source has brought a row(.|\n)*landing/ordres/\*\.csv: no file\n"):
        door.run()
    unfinished = door.home.root / "landing" / "orders" / "1.csv"
    unfinished.write_text(unfinished.read_text().rstrip("\n"))
    door.sources["orders"]["path"] = "landing/orders/*.csv"
    with pytest.raises(IngestError, match=r"1\.csv: it changed less than 60 s ago and its last line has no end"):
        door.run()
    assert not door.home.current.exists()


def test_a_snapshot_of_subscriptions_is_told_and_read_rightly(door: Door) -> None:
    header = "subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at"
    rows = [
        "s1,a,pro,30,EUR,month,active,2024-11-03,",
        "s2,b,pro,30,EUR,month,canceled,2024-11-10,2025-02-14",
        "s3,c,pro,30,EUR,month,canceled,2024-12-01,2025-01-20",
    ]
    names = {"status": {"cancelled": ["canceled"]}}
    door.deliver("subscriptions", header, *rows, values=names)
    [load] = door.load()
    assert "2 of 3 phases never count: status cancelled with an end" in load.hints[0]
    door.deliver("subscriptions", header, *rows, values=names, shape="snapshot")
    [load, _] = door.run().loads
    assert load.hints == []
    assert [door.figure("customers_lost", month, "subscription") for month in ("2025-01", "2025-02")] == [1, 1]
    assert door.query("select mrr_end from period_mrr where grain = 'month' and period_start = '2024-12-01'")[0] == (
        90,
    )


def test_an_alias_of_itself_is_told_and_ignored(door: Door) -> None:
    door.deliver("orders", ORDERS, "o1,a,2025-01-03,10.00,EUR,paid")
    door.deliver("customer_aliases", "alias_id,customer_id", "a,a")
    loads = door.run().loads
    assert [hint for load in loads for hint in load.hints] == [
        "1 row makes an id an alias of itself, such as a: ignored"
    ]
    assert door.figure("customers_new", "2025-01") == 1


def test_amounts_in_cents_are_told_and_read_by_currency(door: Door) -> None:
    header = "subscription_id,customer_id,plan,amount,currency,interval,status,started_at"
    rows = ["s1,a,pro,2990,EUR,month,active,2025-01-03", "s2,b,pro,49900,EUR,year,active,2025-01-10"]
    door.deliver("subscriptions", header, *rows)
    [load] = door.load()
    assert load.hints == ["all 2 amounts are whole and at least 2,990: are they in cents? (minor_units: true)"]
    door.deliver("subscriptions", header, *rows, minor_units=True)
    door.run()
    assert str(door.figure("mrr_end", "2025-01", "subscription"))[:9] == "71.483333"


def test_words_for_nothing_are_guests_and_spreadsheet_ids_are_one(door: Door) -> None:
    ids = ["null", "None", r"\N", "null", "42", "42.0", '"=""42"""', "'42"]
    lines = [f"n{number},{one},2025-01-{number + 5:02},10.00,EUR,paid" for number, one in enumerate(ids)]
    door.deliver("orders", ORDERS, *lines)
    door.run()
    assert door.figure("customers_new", "2025-01") == 1
    assert door.query("select sum(orders) from order_exclusions where grain = 'month'") == [(4,)]


def test_placeholder_dates_are_refused_unless_the_settings_say_otherwise(door: Door) -> None:
    rows = [
        "z0,c2,2025-01-05,10.00,EUR,paid",
        "z1,c1,1900-01-01 00:00:00,10.00,EUR,paid",
        "z2,c1,1970-01-01,10.00,EUR,paid",
        "z3,c1,2025-01-08,10.00,EUR,paid",
    ]
    door.deliver("orders", ORDERS, *rows, max_quarantine_rate=0.5)
    [load] = door.run().loads
    assert (load.good, load.bad) == (2, 2)
    assert door.query("select source, line, raw from quarantine order by line") == [
        ("orders", 3, rows[1]),
        ("orders", 4, rows[2]),
    ]
    assert door.query("select min(period_start) from retention_kpis where grain = 'month'")[0][0] == date(2025, 1, 1)
    door.deliver("orders", ORDERS, *rows, placeholder_dates="accept")
    assert door.load()[0].good == 4


REFUNDS = [
    ORDERS,
    "w1,W1,2025-01-10,100.00,EUR,paid",
    "w2,W2,2025-01-11,50.00,EUR,paid",
    "w1r,W1,2025-02-03,-100.00,EUR,paid",
    "w2r,W2,2025-02-03,-20.00,EUR,paid",
]


def test_negative_rows_are_told_and_booked_as_refunds_of_the_orders_that_they_name(door: Door) -> None:
    door.deliver("orders", *REFUNDS)
    run = door.run()
    told = [{"reason": "negative", "orders": 2, "amount": "-120.00 EUR"}]
    assert json.loads((door.home.runs / f"{run.run_id}.json").read_text())["excluded_orders"] == told
    assert door.figure("order_revenue", "2025-01") == 150
    door.deliver("orders", *REFUNDS, refund_of={"expression": "left(order_id, length(order_id) - 1)"})
    run = door.run()
    assert json.loads((door.home.runs / f"{run.run_id}.json").read_text())["excluded_orders"] == [
        {"reason": "fully_refunded", "orders": 1, "amount": "100.00 EUR"}
    ]
    assert door.figure("order_revenue", "2025-01") == 30
    assert door.figure("refunds_by_refund_date", "2025-02") == 120


def test_a_renamed_customer_column_refuses_its_file(door: Door) -> None:
    mapped = {"customer_id": "Klantnummer"}
    header = ORDERS.replace("customer_id", "Klantnummer")
    door.deliver("orders", header, "r1,k1,2025-01-05,10.00,EUR,paid", columns=mapped)
    door.deliver("orders", ORDERS, "r2,k1,2025-02-05,10.00,EUR,paid", name="2.csv")
    loads = {load.file_name[-5:]: load for load in door.load()}
    assert loads["1.csv"].status == "loaded"
    assert loads["2.csv"].status == "refused"
    assert "columns that the settings name are missing: Klantnummer (for customer_id)" in (loads["2.csv"].error or "")
