"""Rows whose source has another form than the contract: amounts in cents, ends that are last days, subscriptions as
they are today, and corrections of attributes in a source of their own (docs/sources.md).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from oracle.business_days import DAY, moment
from oracle.rules import Rules

Row = dict[str, Any]
Rows = dict[str, list[Row]]
MONEY = ("amount", "refunded_amount", "recurring_discount")
CORRECTIONS = "corrections"  # a second source of customers, whose rows say from which day on they hold
NO_CENTS = ("JPY",)


def unit(currency: str | None) -> Decimal:
    """What the smallest coin is worth."""
    return Decimal(1) if currency in NO_CENTS else Decimal("0.01")


def plain_rows(rows: Rows, sources: dict[str, dict[str, Any]], rules: Rules) -> Rows:
    """The rows as the contract has them."""
    found = {dataset: [plain(row, sources.get(dataset, {}), rules) for row in rows[dataset]] for dataset in rows}
    corrections = found.pop(CORRECTIONS, [])
    if corrections:
        found["customers"] = corrected(found.get("customers", []), corrections, list(sources))
    return found


def plain(row: Row, source: dict[str, Any], rules: Rules) -> Row:
    found = dict(row)
    if source.get("minor_units"):
        found |= {name: str(Decimal(row[name]) * unit(row.get("currency"))) for name in MONEY if row.get(name)}
    if source.get("ended_at_is_last_day"):
        last = moment(row.get("ended_at"), rules.zone, rules.source_zones["subscriptions"])
        found["ended_at"] = (last.day + DAY).isoformat() if last else ""
    if source.get("shape") == "snapshot":
        was_paid = row["status"] == "past_due" or (row["status"] == "cancelled" and row.get("ended_at"))
        found["status"] = "active" if was_paid else row["status"]
    return found


def corrected(customers: list[Row], corrections: list[Row], sources: list[str]) -> list[Row]:
    """Both sources as one. Of what both say from the beginning the later source stands, where all came in one night;
    else each row is a version that knows when it was delivered, in order.
    """
    if any("delivered_at" in row for row in corrections + customers):
        first, second = sorted(
            (("customers", customers), (CORRECTIONS, corrections)), key=lambda one: sources.index(one[0])
        )
        return sorted([*first[1], *second[1]], key=lambda row: row.get("delivered_at", ""))
    both = (
        [corrections, customers]
        if sources.index(CORRECTIONS) < sources.index("customers")
        else [customers, corrections]
    )
    told = {row["customer_id"] for row in both[1] if not row.get("valid_from")}
    return [row for row in both[0] if row.get("valid_from") or row["customer_id"] not in told] + both[1]
