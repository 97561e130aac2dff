"""Refunds that come as negative rows of orders; each belongs to the order that it names (docs/sources.md)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from oracle.business_days import moment

Row = dict[str, Any]


def is_test(row: Row) -> bool:
    return str(row.get("is_test") or "").lower() == "true"


def with_refund_rows(rows: list[Row], zone: ZoneInfo, source_zone: ZoneInfo) -> list[Row]:
    """The orders without the rows that are refunds; `refund_rows` of an order are its refunds as (day, amount), in
    order of day and id, together at most what the order cost.
    """
    orders = {row["order_id"]: row for row in rows if Decimal(row["amount"]) >= 0}
    refunds: dict[str, list[tuple[date, str, Decimal]]] = defaultdict(list)
    for row in rows:
        order = orders.get(row.get("refund_of") or "")
        is_booked = row["status"] in ("paid", "refunded") and not is_test(row)
        if Decimal(row["amount"]) < 0 and is_booked and order and order["currency"] == row["currency"]:
            found = moment(row["ordered_at"], zone, source_zone)
            assert found is not None
            refunds[order["order_id"]].append((found.day, row["order_id"], -Decimal(row["amount"])))
    booked = {refund_id for of_order in refunds.values() for _, refund_id, _ in of_order}
    return [row | {"refund_rows": parts(row, refunds)} for row in rows if row["order_id"] not in booked]


def parts(row: Row, refunds: dict[str, list[tuple[date, str, Decimal]]]) -> list[tuple[date, Decimal]]:
    left, found = Decimal(row["amount"]), []
    for day, _, amount in sorted(refunds.get(row["order_id"], [])):
        part = min(amount, left)
        left -= part
        if part > 0:
            found.append((day, part))
    return found
