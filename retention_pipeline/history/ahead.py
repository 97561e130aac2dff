"""What a changed setting will restate, told before a run: it knows those of the last publication."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.history.causes import changed_settings, flat_settings, is_moved
from retention_pipeline.history.publications import publications
from retention_pipeline.kpis.registry import KPIS
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
        f"{'is a full refresh, and ' if _is_full_refresh(name, before, now, kept) else ''}{moved_by(name)}"
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
    if len(of_all) == len(KPIS):
        return "may restate every figure"
    families = sorted({kpi.family.label for kpi in of_all})
    names = [kpi.id for kpi in of_all]
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    named = f"{', '.join(names[:NAMED_AT_MOST])}{more}"
    return f"may restate {formatting.counted(len(names), 'KPI')} of {', '.join(families)}:\n    {named}"


def shown(value: Any) -> str:
    """A value as it stands in settings.yaml."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value is None else str(value)
