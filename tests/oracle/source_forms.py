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
    rows_of = {"customers": customers, CORRECTIONS: corrections}
    earlier, later = (rows_of[source] for source in sources if source in rows_of)
    if any("delivered_at" in row for row in corrections + customers):
        return sorted(earlier + later, key=lambda row: row.get("delivered_at", ""))
    told = {row["customer_id"] for row in later if not row.get("valid_from")}
    return [row for row in earlier if row.get("valid_from") or row["customer_id"] not in told] + later
