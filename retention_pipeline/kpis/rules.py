"""What settings and the run say to the KPI statements: numbers and dates that become literals in SQL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any

from retention_pipeline.kpis.registry import registry_fingerprint


@dataclass(frozen=True)
class Rules:
    """The business settings and the day that KPI rows depend on beyond the period tables."""

    as_of: date
    data_start: date | None
    activity_window_days: int
    min_n: int
    gross_margin: float
    reporting_currency: str
    orders_connected: bool

    @property
    def fingerprint(self) -> str:
        """Changes when KPI rows may change although their cells do not (what `as_of` moves is in the cells)."""
        parts = (registry_fingerprint(), self.min_n, repr(float(self.gross_margin)), self.reporting_currency)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def rules_from(settings: Any, *, as_of: date, connected_datasets: list[str]) -> Rules:
    """The rules of this run; `settings` is the typed Settings of the home."""
    business = settings.business
    return Rules(
        as_of=as_of,
        data_start=business.data_start,
        activity_window_days=business.activity_window_days,
        min_n=business.min_n,
        gross_margin=float(business.gross_margin),
        reporting_currency=business.reporting_currency,
        orders_connected="orders" in connected_datasets,
    )


def date_literal(day: date) -> str:
    """A SQL date."""
    return f"cast('{day.isoformat()}' as date)"


def text_literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"
