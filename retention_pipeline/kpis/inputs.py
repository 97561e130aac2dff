"""What a family's cells hold beside the measures of its own table: measures and figures of other families, sums over
trailing months, percentiles of a histogram. Declarations only; cells.py makes the SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retention_pipeline.kpis.look_backs import OWN_BASIS, LookBack

if TYPE_CHECKING:
    from retention_pipeline.kpis.declaration import Family

MONTHS_BEHIND = 6


@dataclass(frozen=True)
class Borrowed:
    """Measures of another family's cells of one basis, same grain, period and segment. A row that is not there reads
    as 0, and so does a table that is not there because its datasets are not connected.
    """

    family: Family
    basis: str
    measures: tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = set(self.measures) - set(self.family.measure_names)
        if unknown or self.basis not in self.family.bases:
            raise ValueError(f"{self.family.name} has no {', '.join(sorted(unknown)) or f'basis {self.basis}'}")


@dataclass(frozen=True)
class BorrowedFigure:
    """Another family's KPI of one basis, same grain, period and segment, as the columns `<kpi>_value`,
    `<kpi>_null_reason` and `<kpi>_has_row`. A family that borrows figures is computed after those that do not.
    """

    kpi: str
    basis: str

    @property
    def columns(self) -> tuple[str, str, str]:
        """The cell columns, in the order in which they are described."""
        return f"{self.kpi}_value", f"{self.kpi}_null_reason", f"{self.kpi}_has_row"


@dataclass(frozen=True)
class TrailingMonths:
    """Sums over the last six calendar months with period_end ≤ close, from the month rows of the same segment value.

    Columns of the cell: `<name>_<measure>` for each measure, `<name>_first_<measure>` for `of_first` (the first of
    the six months alone), and `<name>_is_short`: there are fewer than six months since the first one in `all`.
    `family` None: the months of the family itself. Months are read from the family's `months_table`.
    """

    name: str
    measures: tuple[str, ...]
    family: Family | None = None
    basis: str = OWN_BASIS
    of_first: tuple[str, ...] = ()
    kind: str = "bigint"  # SQL type of the sums

    @property
    def columns(self) -> tuple[str, ...]:
        """The sums among the cell's columns."""
        return (
            *(f"{self.name}_{measure}" for measure in self.measures),
            *(f"{self.name}_first_{measure}" for measure in self.of_first),
        )

    @property
    def is_short(self) -> str:
        """The cell's column that says whether there are fewer than six months."""
        return f"{self.name}_is_short"

    @property
    def look_back(self) -> LookBack:
        """The openings of those of the six months that come after the family's first month."""
        first = f"{self.name}_first_month"
        earliest = f"case when {first} < months_end then greatest({first}, six_months_start) end"
        return LookBack(f"{self.name}_months", earliest, self.basis)


@dataclass(frozen=True)
class Histogram:
    """Percentiles (type 7) of values that a table counts: one row per cell and `value`, `count` of them.

    `quantiles` pairs a column of the cell with its fraction: ("gap_days_median", "0.5").
    """

    table: str
    value: str
    count: str
    quantiles: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The cell columns of the percentiles."""
        return tuple(name for name, _ in self.quantiles)

    @property
    def mark(self) -> str:
        """The cell column that changes with the histogram."""
        return f"{self.table}_mark"
