"""Rounding and rates of exchange."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

CENT = Decimal("0.01")
MICRO = Decimal("0.000001")


def rounded(amount: Decimal, unit: Decimal) -> Decimal:
    """Half away from zero."""
    return amount.quantize(unit, ROUND_HALF_UP)


class Rates:
    """Rate of a day = the latest row dated on or before it, at most `max_age` days old."""

    def __init__(self, rows: list[dict[str, Any]], reporting_currency: str, max_age: int) -> None:
        self.reporting_currency = reporting_currency
        self.max_age = max_age
        self.rates = {
            (row["currency"], date.fromisoformat(row["date"])): Decimal(row["rate_to_reporting"]) for row in rows
        }

    def rate(self, currency: str, day: date) -> Decimal:
        if currency == self.reporting_currency:
            return Decimal(1)
        for age in range(self.max_age + 1):
            found = self.rates.get((currency, day - timedelta(days=age)))
            if found is not None:
                return found
        raise LookupError(f"no rate for {currency} on {day}")

    def reporting(self, amount: Decimal, currency: str, day: date, unit: Decimal) -> Decimal:
        """An amount in the reporting currency at the rate of a day."""
        return rounded(amount * self.rate(currency, day), unit)
