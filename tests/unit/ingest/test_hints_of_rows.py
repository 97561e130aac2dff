"""What looks wrong about rows that are right one by one is told when they come."""

from __future__ import annotations

import pytest
from support.delivering import SUBSCRIPTION_HEADER, Company, orders_csv


def test_who_is_past_due_in_a_snapshot_was_active_and_who_is_paused_is_told(company: Company) -> None:
    company.source("subscriptions", shape="snapshot")
    states = ("active", "past_due", "paused", "unpaid", "trialing")
    rows = [f"{state},a,pro,30,EUR,month,{state},2024-01-01," for state in states]
    load = company.load("subscriptions", orders_csv(*rows, header=SUBSCRIPTION_HEADER))
    assert company.query("select subscription_id from raw.subscriptions where status = 'active' order by 1") == [
        ("active",),
        ("past_due",),
    ]
    assert [hint.split(":")[0] for hint in load.hints] == ["2 subscriptions are paused or unpaid today, of 5"]


@pytest.mark.parametrize(
    ("ended", "running", "is_told"),
    [((0, 0, 30), (30, 0, 30), True), ((0, 30, 30), (30, 30), False), ((0, 0), (0, 0, 30), False)],
)
def test_subscriptions_whose_amount_was_cleared_when_they_ended_are_told(
    company: Company, ended: tuple[int, ...], running: tuple[int, ...], is_told: bool
) -> None:
    company.source("subscriptions", shape="snapshot")
    rows = [f"e{n},a{n},pro,{amount},EUR,month,cancelled,2024-01-01,2024-02-01" for n, amount in enumerate(ended)]
    rows += [f"r{n},b{n},pro,{amount},EUR,month,active,2024-01-01," for n, amount in enumerate(running)]
    load = company.load("subscriptions", orders_csv(*rows, header=SUBSCRIPTION_HEADER))
    assert [hint for hint in load.hints if "have amount 0, unlike those that run" in hint] == load.hints
    assert bool(load.hints) == is_told


@pytest.mark.parametrize("lower", [False, True])
def test_ids_that_a_spreadsheet_has_shortened_are_told_once(company: Company, lower: bool) -> None:
    """Of 31612345678 and 31612349999 it leaves 3.16123E+10; 1E+05 is 100000. Phone numbers and e-mail are whole."""
    company.source("orders", ids={"lower": lower})
    ids = ("3.16123E+10", "3.16123E+10", "1E+05", "+31612345678", "a+1@b.example", "E+", "12E+05", "1.5E-07")
    rows = [f"{number},{one},2024-01-31,1.00,EUR,paid" for number, one in enumerate(ids)]
    [hint] = company.load("orders", orders_csv(*rows)).hints
    assert hint.startswith("2 customers' ids are numbers that a spreadsheet has shortened, such as 1")
    assert not company.load("orders", orders_csv("9,1E+05,2024-01-31,1.00,EUR,paid")).hints


def test_discounts_that_are_written_with_a_minus_are_told(company: Company) -> None:
    """30 - (-5) = 35 is more than the list price."""
    header = SUBSCRIPTION_HEADER + ",recurring_discount"
    rows = [f"s{number},a,pro,30,EUR,month,active,2024-01-01,,{off}" for number, off in enumerate(("5", "", "-5"))]
    [hint] = company.load("subscriptions", orders_csv(*rows, header=header)).hints
    assert hint.startswith("1 phase has a negative recurring_discount, of 3: more is paid than amount × quantity.")


def test_a_quantity_that_is_no_whole_number_is_not_called_too_large_as_well(company: Company) -> None:
    company.max_quarantine_rate = 1.0
    company.load(
        "subscriptions",
        orders_csv("s,a,pro,30,EUR,month,active,2024-01-01,,1.5", header=SUBSCRIPTION_HEADER + ",quantity"),
    )
    assert company.query("select reason from raw.quarantine") == [("quantity: '1.5' is not a whole number",)]
