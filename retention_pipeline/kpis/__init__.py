"""Period tables become KPIs: the registry of declarations, their computation and their validation.

One module per family declares the KPIs (customers, orders, subscriptions, lifetime_value). cells.py and figures.py
make the SQL, store.py writes what changed, contract.py validates. Nothing here reads facts or raw data.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import duckdb

from retention_pipeline.kpis.contract import validate_kpis
from retention_pipeline.kpis.registry import KPIS, connected_families
from retention_pipeline.kpis.rules import rules_from
from retention_pipeline.kpis.store import KpiResult, write_kpis
from retention_pipeline.kpis.violation import Violation


def compute_kpis(
    connection: duckdb.DuckDBPyConnection,
    settings: Any,
    *,
    as_of: date,
    run_id: str,
    computed_at: datetime,
    connected_datasets: list[str],
) -> KpiResult:
    """Bring `retention_kpis` and `kpi_definitions` of an open warehouse up to date with its period tables.

    Rows whose figures did not change keep as_of, computed_at and run_id. `computed_at` is an instant (naive = UTC).
    """
    rules = rules_from(settings, as_of=as_of, connected_datasets=connected_datasets)
    families = connected_families(connected_datasets)
    return write_kpis(connection, rules, families, run_id=run_id, computed_at=computed_at)


__all__ = [
    "KPIS",
    "KpiResult",
    "Violation",
    "compute_kpis",
    "validate_kpis",
]
