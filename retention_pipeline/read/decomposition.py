"""What made a figure change, by segment: how far its segments changed, and how far their shares did.

A ratio is Σ numerators / Σ denominators of a dimension's values. With w the share of a value in the denominator, r its
own ratio and R that of all, each averaged over both periods where no period is named: r₁ − r₀ times w is *within*
the value, w₁ − w₀ times r − R is *mix*. A value without a denominator in one of the periods has no r there; all that it
does is mix, unless it has a numerator without a denominator. Counts, sums and means over days have no shares: the step
of each value is within it. What a factor (×100, a lifespan) does is kept apart. Within, mix and factor of a dimension
add up to the change, but for rows that are absent (`rest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.members import ALL, Cell, is_cell, parts_of

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


Values = dict[str, dict[str, list[Side | None]]]  # dimension → value → [before, now]


def effects_by_dimension(
    connection: duckdb.DuckDBPyConnection, kpi: Kpi, now: Cell, before: Cell, kept: tuple[str, str] | None = None
) -> list[DimensionEffect]:
    """The effects of every dimension; none where one of the two figures is not given, or values do not add up.

    Of everyone the values are those of published rows. Of a segment value there are no rows by another dimension: its
    customers are asked, `kept` being the tables with the members of `before` and `now`, each with a value per period.
    """
    parts = parts_of(kpi)
    has_shares = {"numerator", "denominator"} <= set(parts)
    if not parts or kpi.can_be_unreached:
        return []
    first, last = (whole_of(connection, kpi, cell, has_shares) for cell in (before, now))
    if first is None or last is None or not first.denominator or not last.denominator:
        return []
    if now.segment_dimension == ALL:
        found = values_of_rows(connection, kpi, (before, now), has_shares)
    elif kept is not None and ("value" in parts or has_shares):
        found = values_of_members(connection, kept, (before, now), has_shares)
    else:
        return []
    return [of_dimension(name, found[name], first, last, has_shares) for name in sorted(found)]


def side_of(figure: Sequence[float | None], has_shares: bool) -> Side | None:
    """A figure from (numerator, denominator, value); None where it is not given."""
    numerator, denominator, value = figure
    if has_shares and numerator is not None and denominator is not None:
        return Side(numerator, denominator, value or 0.0)
    return None if has_shares or value is None else Side(value, 1.0, value)


def whole_of(connection: duckdb.DuckDBPyConnection, kpi: Kpi, cell: Cell, has_shares: bool) -> Side | None:
    """The figure itself."""
    rows = connection.execute(
        f"select numerator, denominator, value from retention_kpis "
        f"where kpi = {text_literal(kpi.id)} and {is_cell(cell)}"
    ).fetchall()
    return side_of(rows[0], has_shares) if rows else None


def values_of_rows(
    connection: duckdb.DuckDBPyConnection, kpi: Kpi, cells: tuple[Cell, Cell], has_shares: bool
) -> Values:
    """The published rows of every dimension's values in both periods."""
    found: Values = {}
    for place, cell in enumerate(cells):
        rows = connection.execute(
            f"select segment_dimension, segment_value, numerator, denominator, value from retention_kpis "
            f"where kpi = {text_literal(kpi.id)} and segment_dimension <> '{ALL}' "
            f"and grain = {text_literal(cell.grain)} and period_start = {date_literal(cell.period_start)} "
            f"and basis = {text_literal(cell.basis)}"
        ).fetchall()
        for dimension, segment, *figure in rows:
            if (side := side_of(figure, has_shares)) is not None:
                found.setdefault(dimension, {}).setdefault(segment, [None, None])[place] = side
    return found


def values_of_members(
    connection: duckdb.DuckDBPyConnection, kept: tuple[str, str], cells: tuple[Cell, Cell], has_shares: bool
) -> Values:
    """The members of both periods added up by their values of the other dimensions."""
    listed = "sum(numerator), sum(denominator), null" if has_shares else "null, null, sum(value)"
    found: Values = {}
    for place, (table, cell) in enumerate(zip(kept, cells, strict=True)):
        start = date_literal(cell.period_start)
        rows = connection.execute(
            f"""
            select segments.segment_dimension, segments.segment_value, {listed}
            from {table} as members
            left join int_profile_spans as profiles on members.customer_key = profiles.customer_key
                and (profiles.rule = 'any' or profiles.rule = 'period' and profiles.grain = {text_literal(cell.grain)})
                and profiles.from_period <= {start} and {start} < profiles.to_period
            inner join int_profile_values as segments on segments.profile_key = coalesce(profiles.profile_key, 0)
                and segments.segment_dimension not in ('{ALL}', {text_literal(cell.segment_dimension)})
            group by segments.segment_dimension, segments.segment_value
            """
        ).fetchall()
        for dimension, segment, *figure in rows:
            side = side_of([None if number is None else float(number) for number in figure], has_shares)
            if side is not None:
                found.setdefault(dimension, {}).setdefault(segment, [None, None])[place] = side
    return found


def of_dimension(
    dimension: str, values: dict[str, list[Side | None]], first: Side, last: Side, has_shares: bool
) -> DimensionEffect:
    """The effects of one dimension between two figures."""
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
    by_factor = (first.ratio + last.ratio) / 2 * (after - before) if abs(after - before) > EXACT * abs(before) else 0.0
    within, mix = sum(one.within for one in segments), sum(one.mix for one in segments)
    rest = last.ratio * after - first.ratio * before - within - mix - by_factor
    small = EXACT * max(1.0, abs(last.value), abs(first.value)) * (1 + len(segments))
    return DimensionEffect(dimension, within, mix, by_factor, 0.0 if abs(rest) < small else rest, segments)


def scale_of(side: Side) -> float | None:
    """What the ratio of the parts was multiplied with; None where that cannot be seen."""
    return side.value / side.ratio if side.ratio and side.value else None


def split(old: Side, new: Side, first: Side, last: Side) -> tuple[float, float]:
    """(within, mix) of one value between two figures, in units of the ratio."""
    share_before, share_now = old.denominator / first.denominator, new.denominator / last.denominator
    shifted = (share_now - share_before) * (first.ratio + last.ratio) / 2
    step = new.numerator / last.denominator - old.numerator / first.denominator - shifted
    if (not old.denominator and old.numerator) or (not new.denominator and new.numerator):
        return step, 0.0
    if not old.denominator or not new.denominator:
        return 0.0, step
    within = (share_before + share_now) / 2 * (new.ratio - old.ratio)
    return within, step - within
