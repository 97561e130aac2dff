"""Why a value was refused, and what would help: a hint that is wrong is worse than none."""

from __future__ import annotations

import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.formatting import few_of_each
from retention_pipeline.settings import SettingsError, parse_settings


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("1.234", "(it has more; round_amounts: true would round)"),
        ("$12.00", "(it has a currency sign or letters)"),
        ("12.00 EUR", "(it has a currency sign or letters)"),
        ("(5.00)", "(it is in brackets; a negative number has a minus sign)"),
        ("1e2", "(it has an exponent)"),
        ('"1,234.50"', "(it has separators between thousands)"),
        ('"12,50"', "(the setting decimal of the source is '.')"),
        ("12345678901234567", "(it is too large)"),
        ("ten", ""),
    ],
)
def test_an_amount_is_told_what_is_wrong_with_it(company: Company, given: str, hint: str) -> None:
    company.load("orders", orders_csv(order("a", given)))
    [(_, reason)] = company.reasons()
    shown = given.strip('"')
    assert reason == f"amount: '{shown}' is not a number with at most 2 decimals {hint}".strip()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("20240105", "(it has no dashes)"),
        ("1714551753", "(it looks like a Unix timestamp)"),
        ("05/01/2024", "(which comes first, day or month, is not known)"),
        ("2024-01-05 9:56", "(the hour has one digit)"),
        ("yesterday", ""),
    ],
)
def test_a_time_is_told_what_is_wrong_with_it(company: Company, given: str, hint: str) -> None:
    company.source("orders", timezone="UTC")
    company.load("orders", orders_csv(order("a", at=given)))
    [(_, reason)] = company.reasons()
    expected = f"ordered_at: '{given}' is not a timestamp or date such as 2024-01-31 or 2024-01-31T12:00:00Z {hint}"
    assert reason == expected.strip()


def test_a_column_called_no_is_to_be_quoted() -> None:
    source = {"type": "files", "path": "x", "columns": {"order_id": False}}
    with pytest.raises(SettingsError) as caught:
        parse_settings({"business": {"timezone": "UTC", "reporting_currency": "EUR"}, "sources": {"orders": source}})
    assert str(caught.value) == (
        "sources.orders.columns.order_id: put the name in quotes:"
        " YAML takes yes, no, on, off, true and false for truth values"
    )


def test_a_value_called_no_is_found_however_yaml_reads_it(company: Company) -> None:
    company.source("orders", values={"channel": {"none": [False], "some": [True]}})
    rows = [order(name, "1", name) for name in ("no", "yes", "off", "false", "web")]
    company.load("orders", orders_csv(*rows, header="order_id,customer_id,ordered_at,amount,currency,status,channel"))
    assert company.query("select order_id, channel from raw.orders order by 1") == [
        ("false", "none"), ("no", "none"), ("off", "none"), ("web", "web"), ("yes", "some")
    ]  # fmt: skip


def test_of_many_refused_files_a_few_are_shown_per_source_and_kind() -> None:
    found = [("orders", f"{number}.csv", f"line {number}: amount: 'x{number}' is wrong") for number in range(238)]
    found += [("orders", "1.csv", "line 1: amount: 'x1' is wrong"), ("rates", "r.csv", "the file is empty")]
    assert few_of_each(found) == [
        ("0.csv", "line 0: amount: 'x0' is wrong"),
        ("1.csv", "line 1: amount: 'x1' is wrong"),
        ("2.csv", "line 2: amount: 'x2' is wrong (and 235 more)"),
        ("r.csv", "the file is empty"),
    ]
