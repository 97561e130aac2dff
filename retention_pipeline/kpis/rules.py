"""What settings and the run say to the KPI statements: numbers and dates that become literals in SQL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from retention_pipeline.kpis.declaration import settings_named
from retention_pipeline.kpis.registry import KPIS, registry_fingerprint


@dataclass(frozen=True)
class Rules:
    """The business settings and the day that KPI rows depend on beyond the period tables. `business` is the typed
    Business of the settings.
    """

    as_of: date
    business: Any
    orders_connected: bool

    def rendered(self, text: str) -> str:
        """An expression with `{name}` replaced by the number that the setting has."""
        return text.format(**{name: number_literal(getattr(self.business, name)) for name in settings_named((text,))})

    @cached_property
    def fingerprint(self) -> str:
        """Changes when KPI rows may change although their cells do not (what `as_of` moves is in the cells)."""
        named = sorted({name for kpi in KPIS for name in settings_named(kpi.expressions)})
        values = [(name, number_literal(getattr(self.business, name))) for name in ("min_n", *named)]
        parts = (registry_fingerprint(), values, self.business.reporting_currency)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def rules_from(settings: Any, *, as_of: date, connected_datasets: list[str]) -> Rules:
    """The rules of this run; `settings` is the typed Settings of the home."""
    return Rules(as_of, settings.business, orders_connected="orders" in connected_datasets)


def number_literal(number: float) -> str:
    """A SQL number; a float is a double."""
    written = repr(number)
    return written if isinstance(number, int) or "e" in written else f"{written}e0"


def date_literal(day: date) -> str:
    """A SQL date."""
    return f"cast('{day.isoformat()}' as date)"


def text_literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"
