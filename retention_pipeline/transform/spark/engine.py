"""The way of a build on Spark: prepare, build, bring back. `transform/build.py` calls it in the place of dbt's models;
after it `next.duckdb` has the tables that DuckDB would have made.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Home, Settings
from retention_pipeline.testing import stop_for_test
from retention_pipeline.transform.build import BuildError, NodeResult
from retention_pipeline.transform.engine import TEXTS
from retention_pipeline.transform.spark.hand_over import HandOverError, bring_back, columns_of, hand_raw_over
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.load_tables import tables_in_lake
from retention_pipeline.transform.spark.models import models_for_spark
from retention_pipeline.transform.spark.running import run_models
from retention_pipeline.transform.spark.session import (
    SESSION_FILE,
    SparkError,
    is_of_spark,
    said,
    settings_for,
    spark_session,
)
from retention_pipeline.transform.spark.statements import statements_of

LOG_FILE = "spark.log"


def build_on_spark(
    home: Home,
    settings: Settings,
    variables: Mapping[str, Any],
    *,
    generation: int,
    kept: Collection[int],
    excluded: Collection[str],
    project_dir: Path,
    folder: Path,
    say: Callable[[str], None],
) -> list[NodeResult]:
    """Fill the tables of `next.duckdb`, which are there without rows, by way of Spark; one result per model.

    kept: generations whose schemas stay. excluded: names of models and tests that this run leaves out. folder: takes
    what dbt compiles. Raises SparkError, and BuildError with the message of the model that failed.
    """
    assert settings.spark is not None
    lake = Lake.of(home, settings.spark)
    schema, raw = lake.schema(generation), lake.raw_schema(generation)
    columns = columns_of(home.next_file)
    compiled = models_for_spark(project_dir, variables, schema=schema, folder=folder, excluded=excluded)
    models = [model for model in compiled if model.name not in TEXTS and model.materialized != "view"]
    views = [model for model in compiled if model.materialized == "view"]
    with spark_session(settings, note=home.warehouse / SESSION_FILE) as session:
        try:
            lake.sweep(session, set(kept) - {generation})
            in_lake = tables_in_lake(session, home, settings, lake)
            bytes_of_raw = hand_raw_over(session, home, raw, lake.create(session, raw), in_lake)
            for name, value in settings_for(bytes_of_raw).items():
                session.conf.set(name, value)
            place = lake.create(session, schema)
            stop_for_test("spark_prepared")
            results = run_models(
                session,
                models,
                lambda model: statements_of(model, schema, columns[model.name], settings.grains),
                say,
            )
            _write_log(folder.with_name(LOG_FILE), results)
            _check(results)
            for view in views:
                lake.create_view(session, schema, view.name, view.sql)
            stop_for_test("spark_built")
            lake.drop(session, raw)
        except (BuildError, OSError):
            raise
        except Exception as error:
            if is_of_spark(error):
                raise SparkError(f"Spark: {said(error)}") from error
            raise
    try:
        bring_back(home.next_file, place, [model.name for model in models])
    except HandOverError as error:
        raise SparkError(str(error)) from error
    shutil.rmtree(folder, ignore_errors=True)
    return results


def _write_log(path: Path, results: list[NodeResult]) -> None:
    """How long each model took and what became of it, from the slowest on."""
    slowest_first = sorted(results, key=lambda one: -one.seconds)
    lines = [f"{one.seconds:9.1f} s  {one.status:8} {one.name}  {one.message or ''}".rstrip() for one in slowest_first]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _check(results: list[NodeResult]) -> None:
    failed = [result for result in results if result.status == "error"]
    if failed:
        lines = [f"Spark: model {one.name}: {one.message}" for one in failed]
        raise BuildError("\n".join(lines), results)


def publish_on_spark(home: Home, settings: Settings, generation: int, kept: Collection[int]) -> None:
    """Let the views of the lake show a published generation; drop those that are kept no more. Raises SparkError."""
    assert settings.spark is not None
    lake = Lake.of(home, settings.spark)
    with spark_session(settings) as session:
        try:
            lake.publish(session, generation)
            lake.sweep(session, {*kept, generation})
        except Exception as error:
            if is_of_spark(error):
                raise SparkError(f"Spark: {said(error)}") from error
            raise
