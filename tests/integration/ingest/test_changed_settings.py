"""When the settings by which a source is read change, what was loaded is read again by the new ones."""

from __future__ import annotations

from datetime import datetime

import pytest
from support.delivering import SUBSCRIPTION_HEADER, Company, order, orders_csv

from retention_pipeline.ingest import file_loader

VERSIONED = "order_id,customer_id,ordered_at,amount,currency,status,updated_at"


def test_rows_that_were_refused_load_when_the_settings_learn_about_them(company: Company) -> None:
    content = orders_csv(order("a"), order("b").replace("paid", "complete"))
    company.load("orders", content)
    assert company.query("select count(*) from raw.quarantine where resolved_by is null") == [(1,)]
    company.source("orders", values={"status": {"paid": ["complete"]}})
    said: list[str] = []
    [load, lying_there] = company.run(progress=said.append).loads
    assert said == ["orders: its settings have changed, 1 files are read again"]
    assert (load.status, load.new, load.unchanged, lying_there.status) == ("loaded", 1, 1, "already_loaded")
    assert company.query("select order_id, _load_id from raw.orders order by 1") == [("a", 1), ("b", 2)]
    assert company.query("select load_id, resolved_by from raw.quarantine") == [(1, 2)]
    assert [load.status for load in company.run().loads] == ["already_loaded"]


@pytest.mark.parametrize("zones", [("America/New_York", "Asia/Tokyo"), ("Asia/Tokyo", "America/New_York")])
def test_instants_move_with_the_time_zone_whatever_their_versions(company: Company, zones: tuple[str, str]) -> None:
    files = {
        "1.csv": [order("a", "1.00", "2024-03-01T10:00:00Z", at="2024-01-01 12:00:00"),
                  order("b", "1.00", "2024-03-01T10:00:00Z", at="2024-01-01 12:00:00")],
        "2.csv": [order("a", "2.00", "2024-03-02T10:00:00Z", at="2024-01-02 12:00:00")],
    }  # fmt: skip
    for zone in zones:
        company.source("orders", timezone=zone)
        for name, rows in files.items():
            company.deliver("orders", name, orders_csv(*rows, header=VERSIONED))
        company.run()
    fresh = Company(company.home.root / "fresh")
    fresh.source("orders", timezone=zones[1])
    for name, rows in files.items():
        fresh.load("orders", orders_csv(*rows, header=VERSIONED), name)
    assert company.contents() == fresh.contents()
    company.assert_balanced()


def test_files_are_read_again_from_the_archive_and_in_the_order_in_which_they_came(company: Company) -> None:
    for number in range(3):
        path = company.deliver("orders", "always the same name.csv", orders_csv(order("a", f"{number}.00", "web"),
                               header="order_id,customer_id,ordered_at,amount,currency,status,shop"))  # fmt: skip
        company.run()
    path.unlink()
    company.source("orders", columns={"channel": "shop"})
    company.run()
    assert company.query("select amount::varchar, channel from raw.orders") == [("2.00", "web")]


def test_what_is_read_again_stays_behind_what_another_source_has_said_since(company: Company) -> None:
    company.source("orders")
    company.sources["corrections"] = {"type": "files", "path": "landing/corrections/*", "dataset": "orders"}
    company.deliver("orders", "1.csv", orders_csv(order("a", "1.00"), order("b", "1.00")))
    company.run()
    company.deliver("corrections", "1.csv", orders_csv(order("a", "2.00"), order("b", "2.00")))
    company.run()
    company.deliver("orders", "2.csv", orders_csv(order("b", "3.00")))
    company.run()
    company.source("orders", timezone="UTC")
    company.run()
    assert company.query("select order_id, amount::varchar from raw.orders order by 1") == [
        ("a", "2.00"),
        ("b", "3.00"),
    ]
    company.sources["corrections"]["timezone"] = "Asia/Tokyo"
    company.run()
    assert company.query("select order_id, amount::varchar from raw.orders order by 1") == [
        ("a", "2.00"),
        ("b", "3.00"),
    ]


@pytest.mark.parametrize("files_at_once", [1, 500])
def test_a_late_version_stays_late_when_it_is_read_again_and_afterwards(
    company: Company, monkeypatch: pytest.MonkeyPatch, files_at_once: int
) -> None:
    monkeypatch.setattr(file_loader, "FILES_AT_ONCE", files_at_once)
    monkeypatch.setattr(file_loader, "BYTES_AT_ONCE", files_at_once)
    company.load("orders", orders_csv(order("a", "2.00", "2024-03-02"), header=VERSIONED), "1.csv")
    company.load("orders", orders_csv(order("a", "1.00", "2024-03-01"), header=VERSIONED), "2.csv")
    company.source("orders", values={"status": {"paid": ["complete"]}})
    company.run()
    assert company.query("select amount::varchar from raw.orders") == [("2.00",)]
    company.load("orders", orders_csv(order("a", "1.50", "2024-03-01"), header=VERSIONED), "3.csv")
    assert company.query("select amount::varchar from raw.orders") == [("2.00",)]


def test_phases_that_are_replaced_together_are_read_again_together(company: Company) -> None:
    company.source("subscriptions", replace_by="subscription_id")
    rows = [f"s1,anna,pro,10,EUR,month,active,2024-0{month}-01,2024-0{month}-28" for month in (1, 2)]
    company.load("subscriptions", "\n".join([SUBSCRIPTION_HEADER, *rows]).encode())
    company.source("subscriptions", replace_by="subscription_id", ended_at_is_last_day=True)
    company.run()
    assert company.query("select ended_at::date::varchar from raw.subscriptions order by 1") == [
        ("2024-01-29",),
        ("2024-02-29",),
    ]


def test_a_file_that_left_the_archive_cannot_be_read_again_and_is_named(company: Company) -> None:
    path = company.deliver("orders", "a.csv", orders_csv(order("a")))
    company.run()
    path.unlink()
    next((company.home.archive / "orders").iterdir()).unlink()
    company.source("orders", timezone="UTC")
    [load] = company.run().refused
    assert (load.file_name, load.status) == ("landing/orders/a.csv", "failed")
    assert company.query("select count(*) from raw.orders") == [(1,)]


def test_settings_that_are_put_back_give_what_they_gave_before(company: Company) -> None:
    content = orders_csv(order("a").replace("paid", "complete"))
    by_settings = {}
    for status in ("paid", "cancelled", "paid"):
        company.source("orders", values={"status": {status: ["complete"]}})
        company.deliver("orders", "a.csv", content)
        company.run()
        by_settings[status] = company.query("select status from raw.orders")
    assert by_settings == {"paid": [("paid",)], "cancelled": [("cancelled",)]}


def test_versions_of_customers_are_read_again_one_by_one(company: Company) -> None:
    for number, country in enumerate(("Holland", "BE", "Holland")):
        # With another customer, since the same bytes again would be the same file.
        company.load("customers", f"customer_id,country\nanna,{country}\nbert{number},BE\n".encode(), f"{number}.csv")
    company.source("customers", values={"country": {"NL": ["Holland"]}})
    company.run()
    tables = "(from raw.customers_history union all by name from raw.customers)"
    assert company.query(
        f"select country, _load_id from {tables} where customer_id = 'anna' and _load_id >= 3 order by _load_id"
    ) == [
        ("Holland", 3),
        ("NL", 4),
        ("BE", 5),
        ("NL", 6),
    ]


def test_rows_that_get_another_key_or_are_refused_now_leave_nothing_behind(company: Company) -> None:
    header = "number,order_id,customer_id,ordered_at,amount,currency,status"
    company.source("orders", columns={"order_id": "number"}, values={"status": {"paid": "sent"}})
    company.load("orders", orders_csv("1," + order("a"), "2," + order("b").replace("paid", "sent"), header=header))
    company.load("orders", orders_csv(order("c")).replace(b"order_id", b"number"), "other.csv")
    company.source("orders", columns={"order_id": "order_id"})
    company.run()
    # other.csv has no order_id: refused as a whole, what it had loaded stays
    assert company.query("select order_id from raw.orders order by 1") == [("a",), ("c",)]
    assert company.query("select order_id, _superseded_by from raw.orders_history order by 1") == [("1", 3), ("2", 3)]
    company.assert_balanced()


def test_phases_are_not_doubled_by_another_time_zone(company: Company) -> None:
    phase = "s1,anna,pro,10,EUR,month,active,2024-01-01 10:00:00,"
    for zone, hour in (("UTC", 10), ("Europe/Amsterdam", 9), ("UTC", 10)):
        company.source("subscriptions", timezone=zone)
        company.load("subscriptions", orders_csv(phase, header=SUBSCRIPTION_HEADER))
        assert company.query("select started_at from raw.subscriptions") == [(datetime(2024, 1, 1, hour),)]
