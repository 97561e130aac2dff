"""The compiled staging models."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from support.staged_rows import ZONE

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.transform.build import close_connections, environment
from retention_pipeline.transform.manifest import FILES, PROJECT, manifest_object


@pytest.fixture(scope="session")
def staging(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The compiled SQL of every staging model, as on a full refresh."""
    from dbt.cli.main import dbtRunner

    folder = tmp_path_factory.mktemp("staging")
    for file in FILES.values():
        duckdb.connect(str(folder / file)).close()
    paths = {"project-dir": PROJECT, "profiles-dir": PROJECT, "target-path": folder, "log-path": folder / "logs"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    options += ["--vars", json.dumps({"timezone": ZONE, "segments": ["country", "size"], "datasets": [*CONTRACTS]})]
    try:
        with environment({name: str(folder / file) for name, file in FILES.items()}):
            result = dbtRunner(manifest=manifest_object()).invoke(
                ["compile", "--select", "path:models/staging", *options, "--log-level", "none", "--no-version-check"]
            )
    finally:
        close_connections()
    assert result.success, result.exception
    compiled: Any = result.result
    return {one.node.name: one.node.compiled_code for one in compiled.results}
