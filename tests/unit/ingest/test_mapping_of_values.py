"""How columns and values of a source become those of the contract, as its settings say."""

from __future__ import annotations

import pytest
from support.delivering import SUBSCRIPTION_HEADER, Company, order, orders_csv


def test_columns_values_and_constants_are_mapped(company: Company) -> None:
    company.source(
        "orders",
        columns={
            "order_id": "InvoiceNo", "customer_id": "CustomerID", "ordered_at": "InvoiceDate", "amount": "Total",
            "currency": {"constant": "GBP"}, "status": "State", "is_test": {"constant": False},
        },
        values={"status": {"paid": ["Complete", "shipped"], "cancelled": "void"}, "customer_id": {"": ["guest"]}},
    )  # fmt: skip
    load = company.load(
        "orders",
        b"InvoiceNo,CustomerID,InvoiceDate,Total,State,Shop\n"
        b"1,anna,2024-03-01,10, complete ,Ghent\n2,guest,2024-03-01,10,void,\n3,bert,2024-03-01,10,PAID,\n",
    )
    assert load.bad == 0
    assert load.drift.added == ("Shop",)
    assert company.query(
        "select order_id, customer_id, currency, status, is_test, _extra from raw.orders order by 1"
    ) == [
        ("1", "anna", "GBP", "paid", False, '{"Shop":"Ghent"}'),
        ("2", None, "GBP", "cancelled", False, None),
        ("3", "bert", "GBP", "paid", False, None),
    ]


@pytest.mark.parametrize(
    ("given", "timezone", "instant", "is_date"),
    [
        ("2024-03-01", None, "2024-03-01 00:00:00", True),
        ("2024-03-01", "America/New_York", "2024-03-01 00:00:00", True),
        ("2024-03-01T12:00:00Z", None, "2024-03-01 12:00:00", False),
        ("2024-03-01T12:00Z", "America/New_York", "2024-03-01 12:00:00", False),
        ("2024-03-01 12:00:00.123456+02:00", None, "2024-03-01 10:00:00.123456", False),
        ("2024-03-01 12:00:00 -0500", None, "2024-03-01 17:00:00", False),
        ("2024-03-01 12:00:00 UTC", None, "2024-03-01 12:00:00", False),
        ("2024-03-01T12:00:00+03", None, "2024-03-01 09:00:00", False),
        ("2024-03-01 12:00:00", "UTC", "2024-03-01 12:00:00", False),
        ("2024-03-01 12:00:00", "America/New_York", "2024-03-01 17:00:00", False),
        ("2024-07-01 12:00:00", "America/New_York", "2024-07-01 16:00:00", False),
        ("2024-03-01 00:00:00", "Europe/Amsterdam", "2024-02-29 23:00:00", False),
    ],
)
def test_instants_are_utc_and_bare_dates_stay_days(
    company: Company, given: str, timezone: str | None, instant: str, is_date: bool
) -> None:
    company.source("orders", timezone=timezone)
    assert company.load("orders", orders_csv(order("a", at=given))).bad == 0
    assert company.query("select ordered_at::varchar, ordered_at_is_date from raw.orders") == [(instant, is_date)]


def test_an_updated_at_without_a_time_is_the_start_of_the_day_in_the_zone_of_the_source(company: Company) -> None:
    company.source("orders", timezone="America/New_York")
    header = "order_id,customer_id,ordered_at,amount,currency,status,updated_at"
    company.load("orders", orders_csv(order("a", "10.00", "2024-03-01"), header=header))
    assert company.query("select updated_at::varchar from raw.orders") == [("2024-03-01 05:00:00",)]


@pytest.mark.parametrize(
    ("given", "stored"),
    [("10", "10.00"), ("10.5", "10.50"), ("10.5000", "10.50"), (".5", "0.50"), ("+7", "7.00"), (" -7.10 ", "-7.10")],
)
def test_forms_of_amounts_that_are_fine(company: Company, given: str, stored: str) -> None:
    company.load("orders", orders_csv(order("a", given)))
    assert company.query("select amount::varchar from raw.orders") == [(stored,)]


def test_a_decimal_comma_is_read_where_the_settings_say_so(company: Company) -> None:
    company.source("orders", decimal=",", delimiter=";")
    rows = [order("a", "10|50"), order("b", "1.234|50"), order("c", "10.50")]
    load = company.load("orders", orders_csv(*rows).replace(b",", b";").replace(b"|", b","))
    assert (load.good, load.bad) == (1, 2)
    assert company.query("select amount::varchar from raw.orders") == [("10.50",)]


def test_further_decimals_are_rounded_half_away_from_zero_where_the_settings_say_so(company: Company) -> None:
    company.source("orders", round_amounts=True)
    company.load("orders", orders_csv(order("a", "14.21875"), order("b", "-10.555"), order("c", "1.005")))
    assert company.query("select amount::varchar from raw.orders order by order_id") == [
        ("14.22",), ("-10.56",), ("1.01",)
    ]  # fmt: skip


def test_the_last_day_becomes_the_day_after(company: Company) -> None:
    company.source("subscriptions", ended_at_is_last_day=True)
    rows = [
        f"{name},anna,pro,10,EUR,month,active,2024-03-01,{end}"
        for name, end in (("a", "2024-03-31"), ("b", "2024-03-31T21:59:59Z"), ("c", "2024-03-31T22:00:00Z"), ("d", ""))
    ]  # 22:00 UTC is 00:00 of the next day in Amsterdam
    company.load("subscriptions", "\n".join([SUBSCRIPTION_HEADER, *rows]).encode())
    assert company.query(
        "select ended_at::date::varchar, ended_at_is_date from raw.subscriptions order by subscription_id"
    ) == [("2024-04-01", True), ("2024-04-01", True), ("2024-04-02", True), (None, None)]


def test_missing_optional_columns_have_their_defaults(company: Company) -> None:
    company.load("subscriptions", f"{SUBSCRIPTION_HEADER}\ns1,anna,pro,10,EUR,month,active,2024-03-01,\n".encode())
    assert company.query("select quantity, recurring_discount::varchar, interval_count from raw.subscriptions") == [
        (1, "0.000000", 1)
    ]


HASHED = {
    "columns": {"order_id": {"row_hash": True}, "currency": {"constant": "USD"}, "status": {"constant": "paid"}},
    "round_amounts": True,
}


def hashed_csv(*rows: str) -> bytes:
    return "\n".join(["customer_id,ordered_at,amount", *rows, ""]).encode()


def test_orders_without_an_id_get_one_from_their_content_and_equal_rows_stay_apart(company: Company) -> None:
    company.source("orders", **HASHED)
    rows = ["anna,2024-03-01,15.0", "anna,2024-03-01,15.0", "bert,2024-03-01,7.5"]
    assert company.load("orders", hashed_csv(*rows), "1.csv").new == 3
    load = company.load("orders", hashed_csv(*rows[::-1], "bert,2024-03-02,8"), "2.csv")
    assert (load.new, load.unchanged, load.changed) == (1, 3, 0)
    assert company.query("select count(*), count(distinct order_id) from raw.orders") == [(4, 4)]


def test_events_without_an_id_are_the_same_event_when_all_columns_are(company: Company) -> None:
    load = company.load(
        "events",
        b"customer_id,occurred_at,event\nanna,2024-03-01,login\nanna,2024-03-01,login\nbert,2024-03-01,login\n",
    )
    assert (load.new, load.unchanged) == (2, 1)


def test_new_and_vanished_columns_are_reported_once_and_stop_nothing(company: Company) -> None:
    first = company.load("orders", orders_csv(order("a", "10.00", "web"), header="order_id,customer_id,ordered_at,"
                                              "amount,currency,status,channel"), "1.csv")  # fmt: skip
    second = company.load("orders", orders_csv(order("b", "10.00", "x"), header="order_id,customer_id,ordered_at,"
                                               "amount,currency,status,note"), "2.csv")  # fmt: skip
    third = company.load("orders", orders_csv(order("c", "10.00", "x"), header="order_id,customer_id,ordered_at,"
                                              "amount,currency,status,note"), "3.csv")  # fmt: skip
    assert (first.drift.added, first.drift.missing) == ((), ())
    assert (second.drift.added, second.drift.missing) == (("note",), ("channel",))
    assert (third.drift.added, third.drift.missing) == ((), ())


def test_a_file_without_a_column_that_the_settings_name_is_refused(company: Company) -> None:
    company.source("orders", columns={"channel": "shop"})
    load = company.load("orders", orders_csv(order("a")))
    assert (load.status, load.error) == (
        "refused",
        "columns that the settings name are missing: shop (for channel); the file has: order_id, customer_id,"
        " ordered_at, amount, currency, status",
    )
