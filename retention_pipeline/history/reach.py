"""Which datasets are behind a figure, and until which day their rows count for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from retention_pipeline.freshness.figures import datasets_of, datasets_of_kpi, horizon_days
from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.registry import BY_ID, FAMILIES
from retention_pipeline.kpis.rules import date_literal
from retention_pipeline.read.members import JOINED, columns_in
from retention_pipeline.settings import Settings
from retention_pipeline.transform.arguments import DIMENSION_DATASETS
from retention_pipeline.warehouse import sql_text


@dataclass(frozen=True)
class Reach:
    """The days from which on no row counts for what changed: `end` of all periods, and later ones of datasets that a
    KPI reads behind its periods.
    """

    end: date
    of_datasets: dict[str, date] = field(default_factory=dict)

    def of(self, dataset: str) -> date:
        """The day from which on no row of a dataset counts."""
        return self.of_datasets.get(dataset, self.end)

    @property
    def is_within(self) -> str:
        """SQL over dataset and first_day: whether a row may count."""
        days = " ".join(f"when {sql_text(name)} then {date_literal(day)}" for name, day in self.of_datasets.items())
        before = f"case dataset {days} else {date_literal(self.end)} end" if days else date_literal(self.end)
        return f"(first_day is null or first_day < {before})"


def reach(figures: Iterable[tuple[str, str, str, date]], settings: Settings) -> Reach:
    """How far rows count for figures: (kpi, basis, segment dimension, end of the last period)."""
    figures = list(figures)
    end, of_datasets = max(one[-1] for one in figures), dict[str, date]()
    for name, basis, dimension, period_end in figures:
        horizon = horizon_days(BY_ID[name], settings) if name in BY_ID else 0
        if horizon:
            for dataset in datasets_behind(BY_ID[name], basis) | datasets_of_dimension(dimension):
                of_datasets[dataset] = max(of_datasets.get(dataset, end), period_end + timedelta(days=horizon))
    return Reach(end, of_datasets)


def datasets_of_dimension(dimension: str) -> set[str]:
    """What says the values of a dimension."""
    return {DIMENSION_DATASETS.get(dimension, "customers")} if dimension != "all" else set()


def datasets_behind(kpi: Kpi, basis: str) -> frozenset[str]:
    """What a KPI needs; who joined is asked of the customers, whatever the costs' own dataset is."""
    needed = datasets_of_kpi(kpi, basis)
    joined = kpi.family.name == "acquisition" and set(JOINED) & set().union(*map(columns_in, kpi.expressions))
    return needed | datasets_of(next(one for one in FAMILIES if one.name == "customers"), "any") if joined else needed
