"""What a rule between KPIs of one cell is (same grain, period, basis, segment). The modules of the families declare
them, contract.py checks them.

`value(kpi)` and `numerator(kpi)` stand for that KPI's column; a rule that names an absent or NULL figure says nothing.
Bridges of the period tables themselves are not KPI rules: the audit proves them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """A sentence and the SQL condition that says the same."""

    sentence: str
    condition: str


TOLERANCE = "1e-9"


def equal(left: str, right: str, size: str | None = None) -> str:
    """SQL: two doubles are equal to 1e-9, relative where they are large; `size`: what large terms add up to that nearly
    cancel out."""
    return f"abs(({left}) - ({right})) <= {TOLERANCE} * greatest(1, abs({size or left}))"
