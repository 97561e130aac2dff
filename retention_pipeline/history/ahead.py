"""What a changed setting will restate, told before a run: it knows those of the last publication."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.freshness.figures import datasets_of, datasets_of_kpi
from retention_pipeline.history.causes import changed_settings, flat_settings, is_moved
from retention_pipeline.history.publications import publications
from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.registry import FAMILIES, KPIS
from retention_pipeline.transform.arguments import OWN_MODELS

NAMED_AT_MOST = 8


def announced(connection: duckdb.DuckDBPyConnection, moving: str, kept: Collection[str]) -> list[str]:
    """One text per setting that differs from the last publication of the open generation, with the names of KPIs in a
    line of their own. moving: the settings of now that move figures, as JSON; kept: the names of those on which sums
    depend, so that the next run makes them anew.
    """
    known = [one for one in publications(connection) if one.settings != "{}"]
    if not known:
        return []
    before, now = flat_settings(known[-1].settings), flat_settings(moving)
    return [
        f"{name} was {shown(before.get(name))} and is {shown(now.get(name))}: the next run "
        f"{'is a full refresh, and ' if _is_full_refresh(name, before, now, kept) else ''}"
        f"{_moved_by_datasets(before, now) if name == 'datasets' else moved_by(name)}"
        for name in sorted(changed_settings(known[-1].settings, moving))
    ]


def _is_full_refresh(name: str, before: dict[str, Any], now: dict[str, Any], kept: Collection[str]) -> bool:
    """Whether sums are made anew for a setting; a dataset of which nothing else is made is an ordinary night (mode.py,
    which also looks for rows that came before it was connected).
    """
    if name != "datasets":
        return name in kept
    was, are = (set(settings.get(name) or ()) for settings in (before, now))
    return not (was <= are and OWN_MODELS.issuperset(are - was))


def moved_by(name: str) -> str:
    """Which figures a setting moves, in words."""
    of_all = [kpi for kpi in KPIS if is_moved(kpi, "all", {name})]
    of_segments = [kpi for kpi in KPIS if is_moved(kpi, "segment", {name})]
    if not of_segments:
        return "moves no KPI"
    if not of_all:
        return "may restate the figures of segments"
    return "may restate every figure" if len(of_all) == len(KPIS) else _restated(of_all)


def _moved_by_datasets(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Which figures come, and which may be others, since other datasets are connected, in words: those that need them
    and that datasets of before gave already.
    """
    was, are = (frozenset(settings.get("datasets") or ()) for settings in (before, now))
    known = [
        (kpi, basis)
        for kpi in KPIS
        for basis in kpi.bases or kpi.family.bases
        if was & datasets_of(kpi.family, basis) and are & datasets_of(kpi.family, basis)
    ]
    moved = list(dict.fromkeys(kpi for kpi, basis in known if datasets_of_kpi(kpi, basis) & (was ^ are)))
    come = [family.label for family in FAMILIES if are & {*family.datasets} and not was & {*family.datasets}]
    said = [f"brings the figures of {', '.join(come)}"] if come else []
    if moved:
        is_each = {*moved} == {kpi for kpi, _ in known}
        said.append("may restate every figure that there is" if is_each else _restated(moved))
    return " and ".join(said) or "moves no KPI"


def _restated(kpis: list[Kpi]) -> str:
    families = sorted({kpi.family.label for kpi in kpis})
    names = [kpi.id for kpi in kpis]
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    named = f"{', '.join(names[:NAMED_AT_MOST])}{more}"
    return f"may restate {formatting.counted(len(names), 'KPI')} of {', '.join(families)}:\n    {named}"


def shown(value: Any) -> str:
    """A value as it stands in settings.yaml."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value is None else str(value)
