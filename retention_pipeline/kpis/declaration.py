"""What a KPI declaration is: the words in which the modules of this package declare their KPIs.

No KPI stands here, and no SQL statement: a `Kpi` holds expressions over the columns of its family's cells (one cell per
grain, period, basis and segment; see cells.py), and figures.py turns all declarations into one statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from retention_pipeline.contracts.grains import GRAINS
from retention_pipeline.kpis.inputs import Borrowed, BorrowedFigure, Histogram, TrailingMonths
from retention_pipeline.kpis.look_backs import LookBack
from retention_pipeline.kpis.measures import Measure

BASES = ("subscription", "order", "any", "all")
UNITS = ("ratio", "money", "count", "days", "hours", "minutes", "score", "years", "per_100")
DIRECTIONS = ("higher", "lower", "neither")
INTERVALS = ("wilson", "nps", "none")
# How a figure is shown where its declaration does not say it, by unit. `percent` multiplies by 100, `points` has one
# decimal and changes by a difference, `decimals` has two and changes by a percentage.
FORMATS = {
    "ratio": "percent",
    "score": "points",
    "per_100": "decimals",
    **{unit: unit for unit in ("money", "count", "days", "hours", "minutes", "years")},
}
SHARE = (0.0, 1.0)
NOT_NEGATIVE = (0.0, None)
ANY_NUMBER = (None, None)


@dataclass(frozen=True)
class Family:
    """A set of KPIs whose rows are the cells of one period table.

    `measures` are the columns of the period table that KPIs may name, `further_measures` the others; `rows` filters the
    table (empty = every row); `datasets`: at least one of them must be connected, else the family is absent from the
    results. `borrowed`,
    `borrowed_figures`, `trailing` and `histograms` (inputs.py) are columns that its cells have beside. `months_table`:
    where the family's month rows stand without the cut of `history_start`, for trailing months; default the period
    table.
    """

    name: str
    label: str
    period_table: str
    bases: tuple[str, ...]
    datasets: tuple[str, ...]
    measures: tuple[Measure, ...]
    first_row: str
    further_measures: tuple[Measure, ...] = ()
    rows: str = ""
    borrowed: tuple[Borrowed, ...] = ()
    borrowed_figures: tuple[BorrowedFigure, ...] = ()
    trailing: tuple[TrailingMonths, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    months_table: str = ""

    def __post_init__(self) -> None:
        columns = self.cell_columns
        twice = {name for name in columns if columns.count(name) > 1}
        if twice:
            raise ValueError(f"family {self.name}: {', '.join(sorted(twice))} stands twice in its cells")

    @property
    def measure_names(self) -> tuple[str, ...]:
        """The columns of the period table that KPIs may name."""
        return tuple(measure.name for measure in self.measures)

    @property
    def cell_columns(self) -> tuple[str, ...]:
        """What KPIs may name, but for what their own look-backs and horizons add."""
        return (
            *self.measure_names,
            *(name for borrowed in self.borrowed for name in borrowed.measures),
            *(name for figure in self.borrowed_figures for name in figure.columns),
            *(name for months in self.trailing for name in (*months.columns, months.is_short)),
            *(name for histogram in self.histograms for name in histogram.names),
        )


@dataclass(frozen=True)
class Headline:
    """A place in the headline: the heading, the order among all places, and for which bases (default: the family's).

    A basis `any` stands for the one basis that there is, where orders and subscriptions are not both connected.
    """

    section: str
    order: int
    bases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kpi:
    """One KPI. Every text that is not a label is a SQL expression over the columns of the family's cells; `{name}` in
    it stands for the value of a business setting.

    A count, sum or percentile declares `value`; a ratio declares `numerator`, `denominator` and `n` instead, and its
    value is numerator * factor_numerator / (denominator * factor_denominator), divided in one place for all KPIs
    (figures.py). What is not part of the numerator as published (×100, a margin) is a factor.

    NULL with a reason, the first that applies: `look_back` cut by `data_start` (`left_truncated`); less than
    `horizon_days` (a number, or the setting that has it) since the period's end, or `immature_when` (`immature`);
    `inherited_reason` (a null reason or NULL, of the figure that this one builds on); `sample` below the setting
    `min_n` (`small_n`); nothing to divide by (`zero_denominator`), which for `can_be_unreached`, a point that a curve
    may not come to, means n = 0, else it is `not_reached`.

    `interval`: `wilson` for a share of counted units, `nps` for a mean of scores -1, 0, 1 (`sum_of_squares`: of the
    scores), times factor_numerator. `grains`, `bases`, `dimensions` restrict the rows to some of
    the family's, `known_where` (a condition on measures) to cells of which the figure can be known at all.
    `settings` are the business settings that move the figure, beside those that move every figure (timezone,
    week_start, fiscal_year_start, data_start).
    """

    id: str
    label: str
    definition: str
    family: Family
    unit: str
    better: str
    value: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    n: str | None = None
    factor_numerator: str = "1"
    factor_denominator: str = "1"
    valid_range: tuple[float | None, float | None] = (0.0, None)
    interval: str = "none"
    sum_of_squares: str | None = None
    look_back: tuple[LookBack, ...] = ()
    horizon_days: int | str | None = None
    immature_when: str | None = None
    inherited_reason: str | None = None
    sample: str | None = None
    can_be_unreached: bool = False
    segments_only: bool = False
    grains: tuple[str, ...] = GRAINS
    bases: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    known_where: str = ""
    settings: tuple[str, ...] = ()
    format: str = ""
    headline: Headline | None = None
    version: int = 1

    @property
    def is_ratio(self) -> bool:
        """Whether the value is a division; else it is a count, a sum or a percentile."""
        return self.numerator is not None

    @property
    def is_proportion(self) -> bool:
        """Whether the numerator counts a subset of what the denominator counts."""
        return self.interval == "wilson"

    @property
    def shown_as(self) -> str:
        """Its format: as declared, else by unit."""
        return self.format or FORMATS[self.unit]

    @property
    def expressions(self) -> tuple[str, ...]:
        """Everything of the declaration that names columns of cells."""
        parts = (self.value, self.numerator, self.denominator, self.n, self.factor_numerator, self.factor_denominator)
        others = (self.sum_of_squares, self.immature_when, self.inherited_reason, self.sample)
        return tuple(text for text in (*parts, *others) if text)

    @property
    def rows(self) -> str:
        """SQL: which of the family's cells have a row; empty: all."""
        return " and ".join(part for part in (self.places, self.known_where) if part)

    @property
    def places(self) -> str:
        """SQL over the key of a row or a cell: where the KPI has rows; empty: everywhere."""
        conditions = ["segment_dimension <> 'all'"] if self.segments_only else []
        for column, chosen in (("grain", self.grains if self.grains != GRAINS else ()), ("basis", self.bases)):
            if chosen:
                conditions.append(f"{column} in ({', '.join(map(repr, chosen))})")
        if self.dimensions:
            conditions.append(f"segment_dimension in ({', '.join(map(repr, ('all', *self.dimensions)))})")
        return " and ".join(conditions)

    def __post_init__(self) -> None:
        given = (self.value is not None, self.numerator is not None, self.denominator is not None)
        problems = {
            "declare either value, or numerator and denominator": given
            not in {(True, False, False), (False, True, True)},
            "a ratio declares n, the number of units behind its denominator": self.is_ratio and self.n is None,
            "a proportion is a ratio within 0 and 1": self.is_proportion
            and (not self.is_ratio or self.valid_range != SHARE),
            "an interval of kind nps needs a ratio with sum_of_squares, and is within the valid range": (
                self.interval == "nps"
            )
            != (self.sum_of_squares is not None)
            or (self.interval == "nps" and (not self.is_ratio or None in self.valid_range)),
            "what can be unreached is a value over n units": self.can_be_unreached
            and (self.value is None or self.n is None),
            f"unit {self.unit!r} is not one of {', '.join(UNITS)}": self.unit not in UNITS,
            f"better {self.better!r} is not one of {', '.join(DIRECTIONS)}": self.better not in DIRECTIONS,
            f"interval {self.interval!r} is not one of {', '.join(INTERVALS)}": self.interval not in INTERVALS,
            f"format {self.format!r} is not one of {', '.join(FORMATS.values())}": self.format
            not in {"", *FORMATS.values()},
            "grains, and bases of the family": not set(self.grains) <= set(GRAINS)
            or not set(self.bases) <= set(self.family.bases),
        }
        wrong = [sentence for sentence, is_wrong in problems.items() if is_wrong]
        if wrong:
            raise ValueError(f"{self.id}: {'; '.join(wrong)}")


def settings_named(texts: tuple[str, ...]) -> set[str]:
    """The settings that stand as `{name}` in expressions."""
    return {name for text in texts for name in re.findall(r"\{(\w+)\}", text)}


def proportion(
    id: str, label: str, definition: str, family: Family, numerator: str, denominator: str, **more: Any
) -> Kpi:
    """A share of counted units: within 0 and 1, n = denominator, with a Wilson interval."""
    fields: dict[str, Any] = {"n": denominator, "valid_range": SHARE, "interval": "wilson", "unit": "ratio"} | more
    return Kpi(id, label, definition, family, numerator=numerator, denominator=denominator, **fields)


def ratio(
    id: str, label: str, definition: str, family: Family, numerator: str, denominator: str, n: str, **more: Any
) -> Kpi:
    """A ratio without an interval; by default a pure number that is not negative."""
    fields: dict[str, Any] = {"unit": "ratio"} | more
    return Kpi(id, label, definition, family, numerator=numerator, denominator=denominator, n=n, **fields)


def count(id: str, label: str, definition: str, family: Family, value: str | None = None, **more: Any) -> Kpi:
    """A number of things; by default the measure that bears the KPI's name."""
    return Kpi(id, label, definition, family, unit="count", value=value or id, **more)


def money(id: str, label: str, definition: str, family: Family, value: str | None = None, **more: Any) -> Kpi:
    """A sum in the reporting currency; by default the measure that bears the KPI's name."""
    return Kpi(id, label, definition, family, unit="money", value=value or id, **more)
