"""Which figures depend on sources that are late: the table `figure_marks` and the view `retention_kpis_marked`.

`retention_kpis` itself says nothing of it: its rows are the same whether a source was late or not, and `is_complete`
means that the period has ended. A mark is about the data of the run, so it stands beside them.

figure_marks: one row per figure (a KPI or a table of figures), basis and segment dimension that lacks data.

figure              a KPI's id, or a table's name
basis               as in retention_kpis; 'all' for tables without a basis
fresh_until         periods that end on this day or before it have all their data; null: no period has
state               stale, shrunken or failed: the gravest of its sources
datasets            the datasets that are late, of those that it needs
why                 in words, one part per source that is late
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from retention_pipeline.freshness.marks import BETWEEN_SOURCES
from retention_pipeline.freshness.sources import SourceState
from retention_pipeline.kpis.declaration import Family, Kpi
from retention_pipeline.kpis.look_backs import OWN_BASIS
from retention_pipeline.kpis.registry import BY_ID, connected_families, family_kpis
from retention_pipeline.settings import Settings
from retention_pipeline.transform.arguments import DIMENSION_DATASETS, resolved_segments
from retention_pipeline.warehouse import tables_in

TABLE, VIEW = "figure_marks", "retention_kpis_marked"
COLUMNS = {
    "figure": "varchar not null",
    "basis": "varchar not null",
    "segment_dimension": "varchar not null",
    "fresh_until": "date",
    "state": "varchar not null",
    "datasets": "varchar not null",
    "why": "varchar not null",
}
CREATE_VIEW = f"""
create or replace view {VIEW} as
select
    kpis.*,
    marks.figure is null or coalesce(kpis.period_end <= marks.fresh_until, false) as is_fresh,
    case when not is_fresh then marks.why end as why_not_fresh
from retention_kpis as kpis
left join {TABLE} as marks
    on kpis.kpi = marks.figure and kpis.basis = marks.basis and kpis.segment_dimension = marks.segment_dimension
"""
GRAVITY = ("failed", "shrunken", "stale")
ORDERS, SUBSCRIPTIONS = frozenset({"orders"}), frozenset({"subscriptions"})
EVENTS = frozenset({"events"})
OF_BASIS = {"order": ORDERS, "subscription": SUBSCRIPTIONS, "any": ORDERS | SUBSCRIPTIONS}
# Who a customer is decides every figure.
OF_ALL = frozenset({"customer_aliases"})
# A figure with this setting converts money.
MONEY_SETTING, RATES = "fx_max_age_days", frozenset({"fx_rates"})
# A case that began in the period is looked at for so many days more.
HORIZON_SETTINGS = ("renewal_grace_days", "payment_recovery_days", "email_window_days")


@dataclass(frozen=True)
class Figure:
    """A KPI or a table of figures of one basis: the datasets that it needs, and for how many days behind its period."""

    name: str
    basis: str
    datasets: frozenset[str]
    horizon_days: int = 0
    has_segments: bool = True


# Tables of figures beside the period tables of the families.
FURTHER_TABLES = (
    *(Figure("cohort_retention", basis, datasets | RATES) for basis, datasets in OF_BASIS.items()),
    *(Figure("survival_curves", basis, datasets) for basis, datasets in OF_BASIS.items()),
    *(Figure("survival_left_out", basis, datasets) for basis, datasets in OF_BASIS.items()),
    Figure("period_purchase_gaps", "order", ORDERS),
    Figure("order_value_by_rank", "all", ORDERS | RATES),
    Figure("revenue_by_tenure", "all", ORDERS | RATES),
    Figure("period_acquisition", "all", ORDERS | SUBSCRIPTIONS | frozenset({"acquisition_costs"}) | RATES),
    Figure("engagement_lness", "all", EVENTS),
    Figure("period_session_lengths", "all", EVENTS),
    Figure("lost_by_reason", "all", SUBSCRIPTIONS),
    Figure("mrr_by_currency", "all", SUBSCRIPTIONS | RATES),
    Figure("mrr_by_plan", "all", SUBSCRIPTIONS | RATES, has_segments=False),
    Figure("mrr_movements", "all", SUBSCRIPTIONS | RATES, has_segments=False),
    Figure("payment_failures", "all", frozenset({"payments"})),
    Figure("tickets_by_reason", "all", frozenset({"tickets"})),
    Figure("period_first_replies", "all", frozenset({"tickets"})),
    Figure("period_resolutions", "all", frozenset({"tickets"})),
    Figure("order_exclusions", "all", ORDERS, has_segments=False),
    Figure("customer_profiles", "all", ORDERS | SUBSCRIPTIONS | RATES, has_segments=False),
    Figure("rfm_cut_points", "all", ORDERS | RATES, has_segments=False),
    Figure(
        "at_risk",
        "all",
        ORDERS | SUBSCRIPTIONS | EVENTS | frozenset({"surveys", "tickets"}) | RATES,
        has_segments=False,
    ),
    Figure(
        "customer_actions",
        "all",
        ORDERS | SUBSCRIPTIONS | frozenset({"payments", "tickets"}),
        has_segments=False,
    ),
    Figure("kpi_attainment", "all", frozenset({"kpi_targets"}), has_segments=False),
    Figure("kpi_with_benchmark", "all", frozenset({"kpi_benchmarks"}), has_segments=False),
)


def write_figure_marks(connection: duckdb.DuckDBPyConnection, settings: Settings, states: Sequence[SourceState]) -> int:
    """Create the table and the view in the open warehouse; returns the number of marks, 0 when all sources are
    fresh.
    """
    listed = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"create or replace table {TABLE} ({listed})")
    rows = marks(settings, states, tables_in(connection))
    if rows:
        connection.executemany(f"insert into {TABLE} values ({', '.join('?' * len(COLUMNS))})", rows)
    connection.execute(CREATE_VIEW)
    return len(rows)


def marks(settings: Settings, states: Sequence[SourceState], tables: set[str]) -> list[tuple[Any, ...]]:
    """The rows of figure_marks. `tables`: those that the warehouse has."""
    late: dict[str, list[SourceState]] = {}
    for state in states:
        if state.lacks:
            late.setdefault(state.dataset, []).append(state)
    if not late:
        return []
    dimensions = resolved_segments(settings.segments, settings.connected_datasets)
    rows: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    for figure in figures(settings, tables):
        for dimension in ("all", *dimensions) if figure.has_segments else ("all",):
            needed = figure.datasets | _of_dimension(dimension)
            reasons = [state for dataset in sorted(needed & set(late)) for state in late[dataset]]
            if reasons:
                rows[figure.name, figure.basis, dimension] = _row(figure, dimension, reasons)
    return list(rows.values())


def figures(settings: Settings, tables: set[str]) -> Iterator[Figure]:
    """Every figure that the connected datasets give, per basis, with what it needs."""
    families = connected_families(settings.connected_datasets)
    for family in families:
        for basis in family.bases:
            yield Figure(family.period_table, basis, datasets_of(family, basis) | RATES | OF_ALL)
            for kpi in family_kpis(family):
                yield Figure(kpi.id, basis, datasets_of_kpi(kpi, basis), horizon_days(kpi, settings))
    by_signup = frozenset({"customers"}) if settings.business.cohort_event == "signup" else frozenset()
    for table in FURTHER_TABLES:
        if table.name in tables:
            further = by_signup if table.name == "cohort_retention" else frozenset()
            yield Figure(table.name, table.basis, table.datasets | further | OF_ALL, 0, table.has_segments)


def datasets_of_kpi(kpi: Kpi, basis: str) -> frozenset[str]:
    """The datasets that a KPI needs for its rows of one basis and of everyone."""
    rates = RATES if MONEY_SETTING in kpi.settings else frozenset()
    return datasets_of(kpi.family, basis) | borrowed_datasets(kpi) | OF_ALL | rates


def borrowed_datasets(kpi: Kpi) -> frozenset[str]:
    """The datasets of other families whose measures or figures the KPI names."""
    named = set(re.findall(r"\w+", " ".join(kpi.expressions)))
    found: set[str] = set()
    for borrowed in kpi.family.borrowed:
        if named & set(borrowed.measures):
            found |= datasets_of(borrowed.family, borrowed.basis)
    for trailing in kpi.family.trailing:
        if trailing.family and named & set(trailing.columns):
            found |= datasets_of(
                trailing.family, kpi.family.bases[0] if trailing.basis == OWN_BASIS else trailing.basis
            )
    for figure in kpi.family.borrowed_figures:
        if named & set(figure.columns):
            found |= datasets_of_kpi(BY_ID[figure.kpi], figure.basis)
    return frozenset(found)


def datasets_of(family: Family, basis: str) -> frozenset[str]:
    """The datasets behind a family's rows of one basis."""
    own = frozenset(family.datasets)
    return own & OF_BASIS[basis] | own - OF_BASIS["any"] if basis in OF_BASIS else own


def horizon_days(kpi: Kpi, settings: Settings) -> int:
    """For how many days behind the period's end the KPI looks at what became of its cases."""
    horizon = kpi.horizon_days or 0
    days: int = getattr(settings.business, horizon) if isinstance(horizon, str) else horizon
    named: list[int] = [getattr(settings.business, name) for name in HORIZON_SETTINGS if name in kpi.settings]
    return max([days, *named])


def _of_dimension(dimension: str) -> frozenset[str]:
    return frozenset() if dimension == "all" else frozenset({DIMENSION_DATASETS.get(dimension, "customers")})


def _row(figure: Figure, dimension: str, reasons: list[SourceState]) -> tuple[Any, ...]:
    days = [state.fresh_until for state in reasons]
    known = [day for day in days if day is not None]
    fresh_until: date | None = None
    if len(known) == len(days):
        fresh_until = min(known) - timedelta(days=figure.horizon_days)
    return (
        figure.name,
        figure.basis,
        dimension,
        fresh_until,
        min((state.state for state in reasons), key=GRAVITY.index),
        ", ".join(dict.fromkeys(state.dataset for state in reasons)),
        BETWEEN_SOURCES.join(state.warning for state in reasons),
    )
