"""The tiny company's project, and a home with its first orders."""

from pathlib import Path

import pytest
from support import tiny_warehouse as tiny
from support.tiny_runs import FIRST

from retention_pipeline.settings import Home


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    tiny.deliver(made, "1.csv", FIRST)
    return made
