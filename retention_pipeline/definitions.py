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

from retention_pipeline.assets.figures import figure_assets
from retention_pipeline.assets.models import is_period_table, last_models, model_assets, raw_tables
from retention_pipeline.assets.night import RESOURCE, Progress, night_resource
from retention_pipeline.assets.raw import raw_assets, shared_table_specs
from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.manifest import manifest_json
from retention_pipeline.pipeline import PRODUCTION, Assembly
from retention_pipeline.schedules import first_month, month_partitions, nightly_job, nightly_schedule
from retention_pipeline.settings import Home, Settings, SettingsError, load_settings, parse_settings, resolve_home

# What the graph is drawn with where no settings.yaml is; a run then fails with the one line that says so.
BLANK = {"business": {"timezone": "UTC", "reporting_currency": "EUR"}}


def build_definitions(
    home: str | Path | Home | None = None,
    *,
    settings: Settings | None = None,
    manifest: Mapping[str, Any] | None = None,
    assembly: Assembly = PRODUCTION,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    no_month_after: date | None = None,
) -> dg.Definitions:
    """The pipeline of a home. Every argument replaces a part: the settings, the parsed dbt project, steps of the run,
    where progress is told, the clock. `no_month_after` lets the partitions begin earlier than they would.

    Raises SettingsError if settings.yaml is there and cannot be used.
    """
    place = home if isinstance(home, Home) else _home_with_settings(home)
    problem: SettingsError | None = None
    if settings is None:
        try:
            settings = load_settings(place)
        except SettingsError as error:
            if place.settings_file.exists():
                raise
            settings, problem = parse_settings(BLANK), error
    warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill policies; Dagster's version is pinned
    months = month_partitions(settings, min(first_month(place, settings), no_month_after or date.max))
    parsed = manifest_json() if manifest is None else manifest
    read = raw_tables(parsed)
    datasets = settings.connected_datasets or sorted(read & CONTRACTS.keys())
    models = model_assets(parsed, datasets, months)
    marts = [spec.key for spec in models.specs if spec.group_name == "marts"]
    figures = figure_assets(marts, last_models(models), [key for key in marts if is_period_table(key.path[-1])], months)
    steps = [*raw_assets(datasets), models, *figures]
    job = nightly_job(months)
    night = night_resource(
        place,
        settings,
        needed=frozenset(key for asset in (models, *figures) for key in asset.keys),
        assembly=assembly,
        settings_problem=problem,
        progress=progress,
        clock=clock,
    )
    return dg.Definitions(
        assets=[*steps, *shared_table_specs(read, datasets)],
        jobs=[job],
        schedules=[nightly_schedule(settings, job, months)],
        resources={RESOURCE: night},
        executor=dg.in_process_executor,
    )


def _home_with_settings(home: str | Path | None) -> Home:
    """The home asked for; in a checkout's root, which is none, the sample company that `make run` made in demo/."""
    place = resolve_home(home)
    sample = resolve_home(place.root / "demo")
    return sample if not place.settings_file.exists() and sample.settings_file.exists() else place


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of RETENTION_HOME, else of the current folder."""
    return build_definitions()
