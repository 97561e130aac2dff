"""All KPIs and families in the order of publication, found by id. Declarations stand in the families' modules."""

from __future__ import annotations

import hashlib
import json

from retention_pipeline.kpis import customers, lifetime_value, orders, subscriptions
from retention_pipeline.kpis.declaration import Family, Kpi

FAMILIES: tuple[Family, ...] = (customers.FAMILY, orders.FAMILY, subscriptions.FAMILY)
KPIS: tuple[Kpi, ...] = (*customers.KPIS, *orders.KPIS, *subscriptions.KPIS, *lifetime_value.KPIS)
BY_ID: dict[str, Kpi] = {kpi.id: kpi for kpi in KPIS}
HORIZONS: tuple[int, ...] = tuple(sorted({kpi.horizon_days for kpi in KPIS if kpi.horizon_days}))

if len(BY_ID) != len(KPIS):
    raise ValueError("two KPIs share an id")


def family_kpis(family: Family) -> tuple[Kpi, ...]:
    """The KPIs whose rows are this family's cells."""
    return tuple(kpi for kpi in KPIS if kpi.family is family)


def connected_families(connected_datasets: list[str]) -> tuple[Family, ...]:
    """The families with at least one of their datasets connected."""
    return tuple(family for family in FAMILIES if set(family.datasets) & set(connected_datasets))


def registry_fingerprint() -> str:
    """A digest of everything in the registry that moves a row of retention_kpis (words do not)."""
    words = {"label", "definition", "settings", "family"}
    fields = [
        {name: str(value) for name, value in vars(kpi).items() if name not in words} | {"family": kpi.family.name}
        for kpi in KPIS
    ]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
