"""What a KPI declaration is: the words in which the modules of this package declare their KPIs.

No KPI stands here, and no SQL statement: a `Kpi` holds expressions over the columns of its family's cells (one cell per
grain, period, basis and segment; see cells.py), and figures.py turns all declarations into one statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class LookBack(Enum):
    """How far a figure looks back; the value is the cell column that says whether `data_start` cuts that."""

    OPENING = "opening_is_cut"  # the state at the opening, or which span, order or movement was the first
    CLOSE = "close_is_cut"  # the state at the close
    TWELVE_MONTHS = "opening_12m_is_cut"  # the state twelve calendar months before the close
    YEAR_OF_ORDERS = "opening_365d_is_cut"  # the orders of the 365 days before the close
    TRAILING_MONTHS = "trailing_is_cut"  # the openings of the six calendar months behind the trailing monthly churn


@dataclass(frozen=True)
class Family:
    """A set of KPIs whose rows are the cells of one period table.

    `measures` are the columns of the period table that KPIs may name; `rows` filters the table (empty = every row);
    `datasets`: at least one of them must be connected, else the family is absent from the results.
    """

    name: str
    label: str
    period_table: str
    bases: tuple[str, ...]
    datasets: tuple[str, ...]
    measures: tuple[str, ...]
    first_row: str
    rows: str = ""


@dataclass(frozen=True)
class Kpi:
    """One KPI. Every text but `label` and `definition` is a SQL expression over the columns of the family's cells.

    A count, sum or percentile declares `value`; a ratio declares `numerator`, `denominator` and `n` instead, and its
    value is numerator * factor_numerator / (denominator * factor_denominator), divided in one place for all KPIs
    (figures.py). `immature_when` makes the value NULL (`immature`), `sample` below the setting `min_n` makes it NULL
    (`small_n`). `settings` are the business settings that move the figure, beside those that move every figure
    (timezone, week_start, fiscal_year_start, data_start).
    """

    id: str
    label: str
    definition: str
    family: Family
    unit: str
    value: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    n: str | None = None
    factor_numerator: str = "1"
    factor_denominator: str = "1"
    valid_range: tuple[float | None, float | None] = (0.0, None)
    is_proportion: bool = False
    look_back: tuple[LookBack, ...] = ()
    horizon_days: int | None = None
    immature_when: str | None = None
    sample: str | None = None
    segments_only: bool = False
    settings: tuple[str, ...] = ()
    version: int = 1

    @property
    def is_ratio(self) -> bool:
        """Whether the value is a division; else it is a count, a sum or a percentile."""
        return self.numerator is not None

    def __post_init__(self) -> None:
        given = (self.value is not None, self.numerator is not None, self.denominator is not None)
        if given not in {(True, False, False), (False, True, True)}:
            raise ValueError(f"{self.id}: declare either value, or numerator and denominator")
        if self.is_ratio and self.n is None:
            raise ValueError(f"{self.id}: a ratio declares n, the number of units behind its denominator")
        if self.is_proportion and (not self.is_ratio or self.valid_range != (0.0, 1.0)):
            raise ValueError(f"{self.id}: a proportion is a ratio within 0 and 1")
        if self.unit not in UNITS:
            raise ValueError(f"{self.id}: unit {self.unit!r} is none of {', '.join(UNITS)}")


UNITS = ("ratio", "money", "count", "days", "hours", "minutes", "score", "years", "per_100")
BASES = ("subscription", "order", "any", "all")
SHARE = (0.0, 1.0)
NOT_NEGATIVE = (0.0, None)
ANY_NUMBER = (None, None)


def proportion(
    id: str, label: str, definition: str, family: Family, numerator: str, denominator: str, **more: Any
) -> Kpi:
    """A share of counted units: within 0 and 1, n = denominator, with a Wilson interval."""
    fields: dict[str, Any] = {"n": denominator, "valid_range": SHARE, "is_proportion": True, "unit": "ratio"} | more
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
