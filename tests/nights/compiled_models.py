"""The models as dbt compiles them, once per settings for a night and once for a full refresh.

What differs from night to night (as_of, the previous as_of, the load that was applied) is compiled as a value that
occurs nowhere else and put in afterwards, so that 4,000 nights need two compilations. These are kept in build/ for all
tests of the same project and settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import dataclass, field
from datetime import date, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
from oracle.made_activity import MAU_DAYS

from retention_pipeline.settings import Settings
from retention_pipeline.transform.arguments import dbt_vars
from retention_pipeline.transform.build import close_connections, environment, invoke
from retention_pipeline.transform.manifest import PROJECT, manifest_json, project_fingerprint
from retention_pipeline.transform.selection import absent_models, excluded_nodes

AS_OF = date(2199, 1, 7)
PREVIOUS_AS_OF = date(2198, 12, 25)
APPLIED_LOAD = 918273645
KEPT = Path(__file__).parents[2] / "build" / "compiled"
FIRST_DAY = date(1899, 12, 31)
# Marks are compiled as the two days less the days by which a mark lies after its fact (macro falls_due): 0, -1, 365 and
# the days of a window of activity.
SHIFTS = tuple(timedelta(days=-days) for days in (0, -1, 365, 7, *MAU_DAYS))
assert not {AS_OF + shift for shift in SHIFTS} & {PREVIOUS_AS_OF + shift for shift in SHIFTS}


@dataclass(frozen=True)
class Model:
    """One model: its name, how it is materialized, the keys of its sums, the facts that it reads and those that stand
    behind them, whether it sums rows of merged facts, which rows of a merged fact a night replaces and from when on
    these are others, the grains of the settings, and its SQL with the placeholders.
    """

    name: str
    materialized: str
    flow_keys: tuple[str, ...]
    facts: tuple[str, ...]
    facts_behind: tuple[str, ...]
    sums_rows: bool
    replaced_from: str
    replaces: str
    kept_until: str
    grains: tuple[str, ...]
    sql: str

    def text(self, as_of: date, previous_as_of: date | None, applied_load: int) -> str:
        """The SQL of one run."""
        text = self.sql.replace(str((AS_OF - FIRST_DAY).days), str((as_of - FIRST_DAY).days))
        text = text.replace(str(APPLIED_LOAD), str(applied_load))
        for shift in SHIFTS:
            text = text.replace((AS_OF + shift).isoformat(), (as_of + shift).isoformat())
            if previous_as_of:
                text = text.replace((PREVIOUS_AS_OF + shift).isoformat(), (previous_as_of + shift).isoformat())
        return text

    def by_grain(self, sql: str) -> list[str]:
        """A text of this model once per grain, or as it is where it makes all grains at once."""
        return [sql.replace("__grain__", grain) for grain in self.grains] if "__grain__" in sql else [sql]


@dataclass(frozen=True)
class CompiledModels:
    """All models in order of dependence, for a full refresh and for a night."""

    full: list[Model] = field(repr=False)
    night: list[Model] = field(repr=False)


def compile_models(settings: Settings, folder: Path) -> CompiledModels:
    """Compile the project under these settings; `folder` takes dbt's files."""
    folder.mkdir(parents=True, exist_ok=True)
    return CompiledModels(compiled(settings, folder, night=False), compiled(settings, folder, night=True))


def compiled(settings: Settings, folder: Path, *, night: bool) -> list[Model]:
    """The models of a night or of a full refresh, in order of dependence."""
    folder.mkdir(parents=True, exist_ok=True)
    project = manifest_json()
    absent = absent_models(project, settings.connected_datasets)
    variables = dbt_vars(
        settings,
        as_of=AS_OF,
        previous_as_of=PREVIOUS_AS_OF,
        applied_load_id=APPLIED_LOAD,
        full_refresh=not night,
        run_id="test",
        connected_datasets=settings.connected_datasets,
        absent_models=absent,
    )
    given = json.dumps([project_fingerprint(), Path(__file__).read_text(), variables], sort_keys=True)
    kept = KEPT / f"{hashlib.sha256(given.encode()).hexdigest()[:24]}.pickle"
    if kept.exists():
        models: list[Model] = pickle.loads(kept.read_bytes())
        return models
    models = _compiled(project, variables, absent, folder)
    KEPT.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(pickle.dumps(models))
    os.replace(unfinished, kept)
    return models


def _compiled(project: dict[str, Any], variables: dict[str, Any], absent: list[str], folder: Path) -> list[Model]:
    """What dbt makes of them."""
    excluded = excluded_nodes(project, absent)
    files = {}
    for variable, name in [("WAREHOUSE", "next"), ("RAW", "raw"), ("PREVIOUS", "previous")]:
        files[f"RETENTION_{variable}_FILE"] = str(folder / f"{name}.duckdb")
        duckdb.connect(files[f"RETENTION_{variable}_FILE"]).close()
    arguments = [
        "compile",
        "--project-dir",
        str(PROJECT),
        "--profiles-dir",
        str(PROJECT),
        "--vars",
        json.dumps(variables, sort_keys=True),  # as a run gives them: their order is that of terms in the text
    ]
    arguments += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs"), "--log-level", "none"]
    arguments += ["--select", "path:models", "--no-version-check", "--no-write-json"]
    try:
        with environment(files):
            result = invoke(PROJECT, arguments, excluded=excluded)
    finally:
        close_connections()
    assert result.success, result.exception or [r.message for r in result.result.results if r.status == "error"]
    nodes = {r.node.unique_id: r.node for r in result.result.results if r.node.resource_type == "model"}
    # Staging models are part of the text of others, but carry dependence.
    order = TopologicalSorter({name: [n for n in node.depends_on.nodes] for name, node in nodes.items()}).static_order()
    return [
        Model(
            nodes[name].name,
            nodes[name].config.materialized,
            tuple(nodes[name].config.get("flow_keys") or ()),
            tuple(nodes[fact].name for fact in _facts(nodes, name)),
            tuple(nodes[fact].name for fact in _facts_behind(nodes, name)),
            bool(nodes[name].config.get("sums_rows")),
            nodes[name].config.get("replaced_from") or "",
            nodes[name].config.get("replaces") or "",
            nodes[name].config.get("kept_until") or "",
            tuple(variables["grains"]),
            nodes[name].compiled_code,
        )
        for name in order
        if name in nodes and nodes[name].config.materialized != "ephemeral"
    ]


def _facts(nodes: dict[str, Any], name: str) -> list[str]:
    return [n for n in nodes[name].depends_on.nodes if n in nodes and nodes[n].config.materialized == "by_customer"]


def _facts_behind(nodes: dict[str, Any], name: str) -> set[str]:
    direct = set(_facts(nodes, name))
    return direct.union(*(_facts_behind(nodes, fact) for fact in direct))
