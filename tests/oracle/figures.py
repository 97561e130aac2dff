"""A figure with what stands behind it; the division and the reasons for giving none."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple


class Figure(NamedTuple):
    """value, and for ratios the numerator, denominator and number of units behind the denominator."""

    value: float | None
    numerator: float | None = None
    denominator: float | None = None
    n: float | None = None
    null_reason: str | None = None


def count(value: float | Decimal) -> Figure:
    """Counts and sums: nothing stands behind them but themselves."""
    return Figure(float(value))


def missing(reason: str) -> Figure:
    """`left_truncated` and `immature`: nothing to show at all."""
    return Figure(None, null_reason=reason)


def ratio(
    numerator: float | Decimal, denominator: float | Decimal, n: float | None = None, factor: float = 1.0
) -> Figure:
    """numerator / denominator x factor; n is the denominator itself where it counts the units."""
    parts = (float(numerator), float(denominator), float(denominator if n is None else n))
    if denominator == 0:
        return Figure(None, *parts, "zero_denominator")
    return Figure(float(numerator) / float(denominator) * factor, *parts)


def percentile(values: Iterable[float], share: float) -> Figure:
    """Linear interpolation between the closest ranks (type 7)."""
    ordered = sorted(float(value) for value in values)
    if not ordered:
        # Without values the reason is that of a ratio, and n says 0.
        return Figure(None, n=0.0, null_reason="zero_denominator")
    position = (len(ordered) - 1) * share
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    value = ordered[low] + (ordered[high] - ordered[low]) * (position - low)
    return Figure(value, n=float(len(ordered)))


def nulled(figures: dict[str, Figure], kpis: Iterable[str], reason: str) -> None:
    """Take away what cannot be given, for a reason that leaves no parts."""
    for kpi in kpis:
        if kpi in figures:
            figures[kpi] = missing(reason)
