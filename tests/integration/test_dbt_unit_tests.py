"""dbt's unit tests: models against a few made-up rows each. They stand beside the models, in the yml of the same stem.

Their rows take the types of the tables that they stand for, so the models are first built over empty raw tables.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from nights.compiled_models import compiled
from support.quick_build import make_tables

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.transform.build import close_connections, environment
from retention_pipeline.transform.manifest import FILES, PROJECT, manifest_json, manifest_object
from retention_pipeline.warehouse import create_database

UNIT_TESTS = sorted(
    test["unique_id"].removeprefix("unit_test.retention.") for test in manifest_json()["unit_tests"].values()
)


def _invoke(folder: Path, *arguments: str) -> Any:
    from dbt.cli.main import dbtRunner

    paths = {"project-dir": PROJECT, "profiles-dir": PROJECT, "target-path": folder, "log-path": folder / "logs"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    try:
        with environment({name: str(folder / file) for name, file in FILES.items()}):
            return dbtRunner(manifest=manifest_object()).invoke(
                [*arguments, *options, "--log-level", "none", "--no-use-colors", "--no-version-check"]
            )
    finally:
        close_connections()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Status and message of every unit test, by model and name; all models are built and all tests run once."""
    home = Home(tmp_path_factory.mktemp("dbt_unit_tests"))
    folder = home.warehouse
    folder.mkdir()
    open_raw(home.raw_file).close()
    create_database(home.next_file)
    create_database(folder / FILES["RETENTION_PREVIOUS_FILE"])
    sources = {name: {"type": "files", "path": f"landing/{name}/*.csv"} for name in CONTRACTS}
    settings = parse_settings({"business": {"timezone": "UTC", "reporting_currency": "EUR"}, "sources": sources})
    make_tables(home, compiled(settings, home.root / "compiled", night=False), date(2024, 1, 1))
    tested = _invoke(folder, "test", "--resource-type", "unit_test")
    assert tested.result is not None, tested.exception
    return {
        one.node.unique_id.removeprefix("unit_test.retention."): (str(one.status), one.message or "")
        for one in tested.result.results
    }


@pytest.mark.parametrize("name", UNIT_TESTS)
def test_the_model_turns_the_given_rows_into_the_expected_ones(name: str, outcomes: dict[str, tuple[str, str]]) -> None:
    status, message = outcomes.get(name, ("not run", ""))
    assert status == "pass", message
