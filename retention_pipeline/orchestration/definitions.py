"""What Dagster loads: `build_definitions` puts the assets, the job, the schedule and the run's resource together.

Assembly only. Importing this module does nothing; Dagster calls `defs`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from retention_pipeline.orchestration.assets.graph import asset_graph
from retention_pipeline.orchestration.run_context import RESOURCE, Progress, night_resource
from retention_pipeline.orchestration.schedules import first_month, month_partitions, nightly_job, nightly_schedule
from retention_pipeline.orchestration.workspace import find_workspace
from retention_pipeline.run.frame import PRODUCTION, Assembly
from retention_pipeline.settings import Home, Settings
from retention_pipeline.transform.manifest import manifest_json


def build_definitions(
    home: str | Path | Home | None = None,
    *,
    settings: Settings | None = None,
    manifest: Mapping[str, Any] | None = None,
    assembly: Assembly = PRODUCTION,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    no_month_after: date = date.max,
) -> dg.Definitions:
    """The pipeline of a home. Every argument replaces a part: the settings, the parsed dbt project, steps of the run,
    where progress is told, the clock. `no_month_after` lets the partitions begin earlier than they would.

    Raises SettingsError if settings.yaml is there and cannot be used.
    """
    warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill policies; Dagster's version is pinned
    work = find_workspace(home, settings)
    months = month_partitions(work.settings, min(first_month(work.home, work.settings), no_month_after))
    graph = asset_graph(manifest_json() if manifest is None else manifest, work.settings, months)
    job = nightly_job()
    return dg.Definitions(
        assets=graph.assets,
        jobs=[job],
        schedules=[nightly_schedule(work.home, work.settings, job, months)],
        resources={RESOURCE: night_resource(work, graph.needed, assembly=assembly, progress=progress, clock=clock)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of RETENTION_HOME, else of the current folder."""
    return build_definitions()
