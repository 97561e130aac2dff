"""What made a figure of everyone change, by segment: how far its segments changed, and how far their shares did.

A ratio is Σ numerators / Σ denominators of a dimension's values. With w the share of a value in the denominator, r its
own ratio and R that of everyone, each averaged over both periods where no period is named: r₁ − r₀ times w is *within*
the value, w₁ − w₀ times r − R is *mix*. A value without a denominator in one of the periods has no r there; all that it
does is mix, unless it has a numerator without a denominator. Counts, sums and means over days have no shares: the step
of each value is within it. What a factor (×100, a lifespan) does is kept apart. Within, mix and factor of a dimension
add up to the change, but for rows that are absent (`rest`).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.members import ALL, Cell, parts_of

EXACT = 1e-12


@dataclass(frozen=True)
class SegmentEffect:
    """What one segment value did to the figure, in the figure's unit."""

    value: str
    within: float
    mix: float


@dataclass(frozen=True)
class DimensionEffect:
    """A dimension's effects: within + mix + factor + rest is the change of the figure."""

    dimension: str
    within: float
    mix: float
    factor: float
    rest: float
    segments: list[SegmentEffect]


@dataclass(frozen=True)
class Side:
    """A figure of one period: its parts, or for what has no shares its value and 1."""

    numerator: float
    denominator: float
    value: float

    @property
    def ratio(self) -> float:
        return self.numerator / self.denominator if self.denominator else 0.0


def effects_by_dimension(
    connection: duckdb.DuckDBPyConnection, kpi: Kpi, now: Cell, before: Cell
) -> list[DimensionEffect]:
    """The effects of every dimension; none where one of the two figures is not given, or values do not add up."""
    parts = parts_of(kpi)
    has_shares = {"numerator", "denominator"} <= set(parts)
    if not parts or kpi.can_be_unreached:
        return []
    found: dict[str, dict[str, list[Side | None]]] = {}
    for place, cell in enumerate((before, now)):
        rows = connection.execute(
            f"select segment_dimension, segment_value, numerator, denominator, value from retention_kpis "
            f"where kpi = {text_literal(kpi.id)} and grain = {text_literal(cell.grain)} "
            f"and period_start = {date_literal(cell.period_start)} and basis = {text_literal(cell.basis)}"
        ).fetchall()
        for dimension, segment, numerator, denominator, value in rows:
            given = (numerator is not None) if has_shares else (value is not None)
            if given:
                side = Side(numerator, denominator, value or 0.0) if has_shares else Side(value, 1.0, value)
                found.setdefault(dimension, {}).setdefault(segment, [None, None])[place] = side
    whole = found.pop(ALL, {}).get(ALL, [None, None])
    first, last = whole
    if first is None or last is None or not first.denominator or not last.denominator:
        return []
    return [of_dimension(dimension, found[dimension], first, last, has_shares) for dimension in sorted(found)]


def of_dimension(
    dimension: str, values: dict[str, list[Side | None]], first: Side, last: Side, has_shares: bool
) -> DimensionEffect:
    """The effects of one dimension between two figures of everyone."""
    scales = scale_of(first), scale_of(last)
    known = [scale for scale in scales if scale is not None] or [1.0]
    before, after = scales[0] or known[0], scales[1] or known[-1]
    nothing = Side(0.0, 0.0, 0.0)
    segments = []
    for value in sorted(values):
        old, new = (side or nothing for side in values[value])
        within, mix = (
            split(old, new, first, last)
            if has_shares
            else (
                new.numerator - old.numerator,
                0.0,
            )
        )
        middle = (before + after) / 2
        segments.append(SegmentEffect(value, within * middle, mix * middle))
    by_factor = (first.ratio + last.ratio) / 2 * (after - before)
    within, mix = sum(one.within for one in segments), sum(one.mix for one in segments)
    rest = last.ratio * after - first.ratio * before - within - mix - by_factor
    small = EXACT * max(1.0, abs(last.value), abs(first.value)) * (1 + len(segments))
    return DimensionEffect(dimension, within, mix, by_factor, 0.0 if abs(rest) < small else rest, segments)


def scale_of(side: Side) -> float | None:
    """What the ratio of the parts was multiplied with; None where that cannot be seen."""
    return side.value / side.ratio if side.ratio and side.value else None


def split(old: Side, new: Side, first: Side, last: Side) -> tuple[float, float]:
    """(within, mix) of one value between two figures of everyone, in units of the ratio."""
    share_before, share_now = old.denominator / first.denominator, new.denominator / last.denominator
    shifted = (share_now - share_before) * (first.ratio + last.ratio) / 2
    step = new.numerator / last.denominator - old.numerator / first.denominator - shifted
    if (not old.denominator and old.numerator) or (not new.denominator and new.numerator):
        return step, 0.0
    if not old.denominator or not new.denominator:
        return 0.0, step
    within = (share_before + share_now) / 2 * (new.ratio - old.ratio)
    return within, step - within
