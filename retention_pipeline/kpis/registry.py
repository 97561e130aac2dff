"""All KPIs and families in the order of publication, found by id. Declarations stand in the families' modules.

A new family is a module in this package with FAMILY, KPIS and, where its KPIs hang together, IDENTITIES; its name
stands in MODULES. docs/architecture.md says what else belongs to it.
"""

from __future__ import annotations

import hashlib
import json
from types import ModuleType

from retention_pipeline.kpis import (
    acquisition,
    customers,
    emails,
    engagement,
    lifetime_value,
    orders,
    payments,
    subscriptions,
    surveys,
    tickets,
)
from retention_pipeline.kpis.declaration import FORMATS, Family, Kpi
from retention_pipeline.kpis.identities import Identity

MODULES: tuple[ModuleType, ...] = (
    customers,
    orders,
    subscriptions,
    payments,
    lifetime_value,
    engagement,
    surveys,
    emails,
    tickets,
    acquisition,
)
FAMILIES: tuple[Family, ...] = tuple(module.FAMILY for module in MODULES if hasattr(module, "FAMILY"))
KPIS: tuple[Kpi, ...] = tuple(kpi for module in MODULES for kpi in module.KPIS)
BY_ID: dict[str, Kpi] = {kpi.id: kpi for kpi in KPIS}
IDENTITIES: tuple[Identity, ...] = tuple(rule for module in MODULES for rule in getattr(module, "IDENTITIES", ()))

if len(BY_ID) != len(KPIS):
    raise ValueError("two KPIs share an id")


def family_kpis(family: Family) -> tuple[Kpi, ...]:
    """The KPIs whose rows are this family's cells."""
    return tuple(kpi for kpi in KPIS if kpi.family is family)


def connected_families(connected_datasets: list[str]) -> tuple[Family, ...]:
    """The families with at least one of their datasets connected."""
    return tuple(family for family in FAMILIES if set(family.datasets) & set(connected_datasets))


def shown_as(kpi: str, unit: str) -> str:
    """The format of a KPI of a published generation, which may be one that is declared no more."""
    return BY_ID[kpi].shown_as if kpi in BY_ID else FORMATS.get(unit, "points")


def better(kpi: str) -> str:
    """Whether a KPI is better `higher`, `lower` or `neither`."""
    return BY_ID[kpi].better if kpi in BY_ID else "neither"


def headline_places() -> list[tuple[Kpi, str]]:
    """What a reader asks first, in order: KPIs with the basis of their line."""
    placed = sorted((kpi.headline.order, number) for number, kpi in enumerate(KPIS) if kpi.headline)
    found = [KPIS[number] for _, number in placed]
    return [
        (kpi, basis)
        for kpi in found
        for basis in (kpi.headline and kpi.headline.bases) or kpi.bases or kpi.family.bases
    ]


def registry_fingerprint() -> str:
    """A digest of everything in the registry that moves a row of retention_kpis (words do not)."""
    words = {"label", "definition", "settings", "family", "better", "format", "headline"}
    fields = [
        {name: str(value) for name, value in vars(kpi).items() if name not in words} | {"family": kpi.family.name}
        for kpi in KPIS
    ]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
