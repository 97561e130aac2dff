"""The models as dbt compiles them for Spark; no Spark is asked for it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from retention_pipeline.transform.build import BuildError, environment
from retention_pipeline.transform.spark.statements import Model


def models_for_spark(
    project_dir: Path,
    variables: Mapping[str, Any],
    *,
    schema: str,
    folder: Path,
    excluded: Collection[str],
) -> list[Model]:
    """The tables and views of a schema, without those excluded (names); the tables of raw are read from
    `<schema>_raw`. `folder` takes dbt's files. Raises BuildError.
    """
    from dbt.cli.main import dbtRunner

    arguments = ["compile", "--target", "spark", "--select", "resource_type:model"]
    folders = {"project-dir": project_dir, "profiles-dir": project_dir, "target-path": folder, "log-path": folder}
    for name, path in folders.items():
        arguments += [f"--{name}", str(path)]
    arguments += ["--vars", json.dumps(variables, sort_keys=True), "--log-level", "none", "--log-level-file", "info"]
    arguments += ["--no-version-check", "--no-write-json", "--no-send-anonymous-usage-stats", "--no-partial-parse"]
    arguments += [
        "--no-populate-cache",
        "--no-introspect",
        "--exclude",
        "resource_type:test",
        "resource_type:unit_test",
        *excluded,
    ]
    with environment({"RETENTION_SPARK_SCHEMA": schema, "RETENTION_SPARK_REMOTE": "sc://nobody-is-asked"}):
        result = dbtRunner().invoke(arguments)
    results = getattr(result.result, "results", None) or []
    if not result.success:
        wrong = [f"{one.node.name}: {one.message}" for one in results if one.status == "error"]
        raise BuildError("dbt could not compile the models for Spark: " + "; ".join(wrong or [str(result.exception)]))
    return [
        Model(
            unique_id=one.node.unique_id,
            name=one.node.name,
            materialized=one.node.config.materialized,
            flow_keys=tuple(one.node.config.get("flow_keys") or ()),
            reads=tuple(_tables_behind(one.node.unique_id, {r.node.unique_id: r.node for r in results})),
            sql=one.node.compiled_code,
        )
        for one in results
        if one.node.config.materialized != "ephemeral"
    ]


def _tables_behind(model: str, nodes: Mapping[str, Any]) -> set[str]:
    """Ids of the tables that a model reads, itself or through staging models, which are parts of its text."""
    found: set[str] = set()
    for read in nodes[model].depends_on.nodes:
        if read in nodes:
            is_text = nodes[read].config.materialized == "ephemeral"
            found |= _tables_behind(read, nodes) if is_text else {read}
    return found
