"""A home folder run through the product as it stands, and the published cells read back."""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
from oracle.folders import COHORT_COLUMNS, COHORT_KEY, INTERVAL, KPI_COLUMNS, KPI_KEY, cells

from retention_pipeline.settings import Home, load_settings
from support.plain_run import RunResult, run

Cells = dict[tuple[Any, ...], dict[str, Any]]


def run_home(root: Path, as_of: date, *, full_refresh: bool = False) -> RunResult:
    """One run of the home; every delivered row must have been good."""
    home = Home(root)
    now = datetime.combine(as_of, time(2))
    result = run(home, load_settings(home), as_of, full_refresh=full_refresh, now=now)
    assert not result.refused
    assert sum(load.bad for load in result.loads) == 0, [load for load in result.loads if load.bad]
    return result


def published_cells(root: Path) -> tuple[Cells, Cells]:
    """(KPI cells, cohort cells) of the current generation."""
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        kpis = cells(connection.table("retention_kpis"), KPI_KEY, (*KPI_COLUMNS, *INTERVAL))
        cohorts = cells(connection.table("cohort_retention"), COHORT_KEY, COHORT_COLUMNS)
    return kpis, cohorts


def shown_names(root: Path) -> dict[str, dict[str, str]]:
    """The names of segment values that are shown under another one, by dimension: the choice of the first run."""
    found: dict[str, dict[str, str]] = {}
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        for dimension, value, shown in connection.execute(
            "select dimension, segment_value, shown_value from int_segment_values where segment_value <> shown_value"
        ).fetchall():
            found.setdefault(dimension, {})[value] = shown
    return found
