"""What a changed setting will restate, told before a run: it knows those of the last publication."""

from __future__ import annotations

from typing import Any

import duckdb

from retention_pipeline.history.causes import changed_settings, flat_settings, is_moved
from retention_pipeline.history.publications import publications
from retention_pipeline.kpis.registry import KPIS

NAMED_AT_MOST = 8


def announced(connection: duckdb.DuckDBPyConnection, moving: str) -> list[str]:
    """One line per setting that differs from the last publication of the open generation; `moving`: the
    settings of now that move figures, as JSON.
    """
    known = [one for one in publications(connection) if one.settings != "{}"]
    if not known:
        return []
    before, now = flat_settings(known[-1].settings), flat_settings(moving)
    return [
        f"{name} was {shown(before.get(name))} and is {shown(now.get(name))}: the next run is a full refresh, and "
        f"{moved_by(name)}"
        for name in sorted(changed_settings(known[-1].settings, moving))
    ]


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
    return f"may restate {len(names)} KPIs ({', '.join(families)}): {', '.join(names[:NAMED_AT_MOST])}{more}"


def shown(value: Any) -> str:
    """A value as it stands in settings.yaml."""
    return "not set" if value is None else str(value)
