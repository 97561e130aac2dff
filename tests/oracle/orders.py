"""Orders: which count, what they are worth, and what was refunded when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from oracle.business_days import moment
from oracle.money import CENT, Rates
from oracle.refund_rows import is_test
from oracle.rules import Rules


class Order(NamedTuple):
    """One counted order: a customer bought on a day, for a net amount in the reporting currency."""

    order_id: str
    customer: str
    day: date
    instant: datetime
    revenue: Decimal
    channel: str | None


class Refund(NamedTuple):
    """Money that went back on a day, of any order but a test; customer None where the order has none."""

    customer: str | None
    day: date
    amount: Decimal


def refunded_amount(row: dict[str, Any]) -> Decimal:
    """`refunded` without an amount means all of it; an explicit 0 does not; a negative order has no refund. Refunds
    that are rows are parts of it.
    """
    amount = Decimal(row["amount"])
    if amount < 0:
        return Decimal(0)
    whole = amount if row["status"] == "refunded" else Decimal(0)
    if row.get("refunded_amount"):
        whole = Decimal(row["refunded_amount"])
    return max(whole, refunded_by_rows(row))


def refunded_by_rows(row: dict[str, Any]) -> Decimal:
    return sum((part for _, part in row["refund_rows"]), Decimal(0))


def exclusion(row: dict[str, Any], customer: str | None, count_zero_value: bool) -> str | None:
    """The first reason for which the order does not count, None if it does."""
    amount, refunded = Decimal(row["amount"]), refunded_amount(row)
    if is_test(row):
        return "test"
    if row["status"] in ("cancelled", "pending"):
        return str(row["status"])
    if customer is None:
        return "unattributed"
    if amount < 0:
        return "negative"
    if amount == 0 and not count_zero_value:
        return "zero_value"
    if refunded >= amount and not (amount == 0 and row["status"] == "paid"):
        return "fully_refunded"
    return None


def read_orders(
    rows: list[dict[str, Any]], survivor: Callable[..., Any], rates: Rates, rules: Rules, as_of: date
) -> tuple[list[Order], list[Refund]]:
    """Counted orders and refunds dated in [data_start, as_of), orders in the order of their instants. `rows` know their
    `refund_rows`.
    """
    orders, refunds = [], []
    source_zone = rules.source_zones.get("orders", rules.zone)
    first = rules.data_start or date.min
    for row in rows:
        customer = survivor(row["customer_id"])
        ordered = moment(row["ordered_at"], rules.zone, source_zone)
        assert ordered is not None
        amount, refunded = Decimal(row["amount"]), refunded_amount(row)
        if exclusion(row, customer, rules.count_zero_value) is None and first <= ordered.day < as_of:
            revenue = rates.reporting(amount - refunded, row["currency"], ordered.day, CENT)
            channel = row.get("channel") or None
            orders.append(Order(row["order_id"], customer, ordered.day, ordered.instant, revenue, channel))
        # A refund counts by its own day, also against data_start; its rate is still that of the order's day.
        rest_day = (moment(row.get("refunded_at"), rules.zone, source_zone) or ordered).day
        for day, part in [*row["refund_rows"], (rest_day, refunded - refunded_by_rows(row))]:
            if part != 0 and not is_test(row) and first <= day < as_of:
                refunds.append(Refund(customer, day, rates.reporting(part, row["currency"], ordered.day, CENT)))
    return sorted(orders, key=lambda order: (order.instant, order.order_id)), refunds
