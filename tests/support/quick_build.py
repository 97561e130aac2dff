"""A full refresh without dbt's runner: the models as dbt compiles them, made one after the other in this process.

dbt's runner takes three quarters of a small build. Tests of what stands around the models (ingest, publishing,
records, recovery) need the tables and not the runner; nights whose course is asked, other projects and dbt's data tests
go through dbt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
from nights.compiled_models import CompiledModels, Model, compiled
from nights.warehouse_in_memory import HERE, Warehouse

from retention_pipeline.settings import Home, Settings
from retention_pipeline.transform import BuildResult, NodeResult
from retention_pipeline.transform.build import build, comment_on_tables, drop_tables, row_counts
from retention_pipeline.transform.input_checks import check_aliases, check_rates
from retention_pipeline.transform.manifest import PROJECT, manifest_json
from retention_pipeline.transform.selection import absent_models
from retention_pipeline.warehouse import attach


def build_quickly(
    home: Home, settings: Settings, *, as_of: date, full_refresh: bool, project_dir: Path = PROJECT, **rest: Any
) -> BuildResult:
    """`transform.build`, without dbt where that is a full refresh of the project's own models."""
    if not full_refresh or project_dir != PROJECT or settings.engine != "duckdb" or rest.get("backfill"):
        return build(home, settings, as_of=as_of, full_refresh=full_refresh, project_dir=project_dir, **rest)
    check_aliases(home, timezone=settings.business.timezone, as_of=as_of)
    models = compiled(settings, home.runs / rest["run_id"] / "compiled", night=False)
    make_tables(home, models, as_of)
    check_rates(home.next_file, as_of=as_of, reporting_currency=settings.business.reporting_currency)
    manifest = manifest_json()
    drop_tables(home.next_file, absent_models(manifest, settings.connected_datasets))
    comment_on_tables(home.next_file, manifest)
    made = [NodeResult(f"model.retention.{one.name}", one.name, "model", "success", 0.0) for one in models]
    return BuildResult(made, row_counts(home.next_file), {})


def build_anew(home: Home, settings: Settings, *, full_refresh: bool, **rest: Any) -> BuildResult:
    """The same for nights, too: the tables of a night are made from nothing, as a night ends where a full refresh does.
    For tests that ask nothing of how it gets there, nor of dbt.
    """
    return build_quickly(home, settings, full_refresh=True, **rest)


@contextmanager
def models_made_quickly() -> Iterator[None]:
    """For whole runs of this process, with Dagster and the command around them, of tests that ask something else than
    how models are made.
    """
    with patch("retention_pipeline.run.steps.build", build_anew):
        yield


def make_tables(home: Home, models: list[Model], as_of: date) -> None:
    """The models' tables and views in `next.duckdb`."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 1")
        attach(connection, home.raw_file, "raw_store")
        connection.execute(f"attach '{home.next_file}' as next")
        connection.execute("use next")
        warehouse = Warehouse(connection, CompiledModels(models, []))
        for model in models:
            sql = model.text(as_of, None, -1)
            if model.materialized == "view":
                connection.execute(f"create or replace view {model.name} as {sql.replace(HERE, '')}")
            else:
                warehouse.create(model, sql)
