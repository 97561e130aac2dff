"""dbt's data tests as SQL over a whole generation: at night they look where something may have changed, and
`retention check` runs these instead. Nothing is built here.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Settings
from retention_pipeline.transform.arguments import dbt_vars
from retention_pipeline.transform.build import BuildError, close_connections, environment, invoke
from retention_pipeline.transform.manifest import FILES, PROJECT, manifest_json
from retention_pipeline.transform.selection import absent_models, excluded_nodes
from retention_pipeline.warehouse import create_database


@dataclass(frozen=True)
class DataTest:
    """sql: one row per broken rule and key. It reads the generation as database `next` and raw as `raw_store`."""

    name: str
    model: str
    sql: str


def compiled_data_tests(
    settings: Settings, *, as_of: date, night: bool = False, project_dir: Path = PROJECT
) -> list[DataTest]:
    """Every data test of the project, as a full refresh would run it; `night`: as a night would, which needs the
    tables of that night. Takes some seconds. Raises BuildError.
    """
    manifest = manifest_json(project_dir)
    absent = absent_models(manifest, settings.connected_datasets)
    excluded = excluded_nodes(manifest, absent)
    variables = dbt_vars(
        settings,
        as_of=as_of,
        previous_as_of=as_of if night else None,
        applied_load_id=-1,
        full_refresh=not night,
        run_id="check",
        connected_datasets=settings.connected_datasets,
        absent_models=absent,
    )
    with tempfile.TemporaryDirectory() as folder:
        files = {variable: Path(folder) / name for variable, name in FILES.items()}
        for path in files.values():
            create_database(path)
        arguments = ["compile", "--select", "resource_type:test", "--vars", json.dumps(variables), "--no-write-json"]
        for name, path in {"project": project_dir, "profiles": project_dir}.items():
            arguments += [f"--{name}-dir", str(path)]
        arguments += ["--target-path", folder, "--log-path", folder, "--log-level", "none", "--no-version-check"]
        try:
            with environment({variable: str(path) for variable, path in files.items()}):
                result = invoke(project_dir, arguments, excluded=excluded)
        finally:
            close_connections()
        if not result.success:
            raise BuildError(f"dbt could not compile its data tests: {result.exception or result.result}")
        return [
            DataTest(one.node.name, _tested(one.node), one.node.compiled_code)
            for one in sorted(result.result.results, key=lambda one: one.node.name)
        ]


def _tested(node: Any) -> str:
    """The model that a test is attached to; for a rule across models, its own name."""
    attached: str = getattr(node, "attached_node", None) or node.name
    return attached.split(".")[-1]
