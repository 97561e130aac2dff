"""Homes built by way of Spark have the tables that DuckDB makes, cell by cell: golden stories and made-up companies.

Minutes per home, so they are all `proof`; `make spark` runs them with a pyspark of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from oracle.folders import COMPANIES
from support.computed_home import compute_home
from support.spark_home import REMOTE, build_on_spark, differing_rows

from retention_pipeline.transform.spark.local_server import local_server, why_not

pytestmark = [pytest.mark.proof, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

GOLDEN = Path(__file__).parent.parent / "golden"
HOMES = sorted(
    folder
    for place in (GOLDEN, COMPANIES, COMPANIES.with_name("companies2"))
    for folder in place.glob("*")
    if (folder / "as_of").is_file() and (folder / "landing").is_dir()
)


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Spark for all homes: it takes a while to start, and longer to get warm."""
    with local_server(tmp_path_factory.mktemp("spark")) as address, pytest.MonkeyPatch.context() as patched:
        patched.setenv(REMOTE, address)
        yield


@pytest.mark.parametrize("folder", HOMES, ids=lambda folder: folder.name)
def test_spark_makes_the_tables_that_duckdb_makes(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "home"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("expected*"))
    as_of = date.fromisoformat((folder / "as_of").read_text().strip())
    file = compute_home(root, as_of, may_refuse_rows=True)
    on_spark, tables = build_on_spark(root, as_of)
    assert len(tables) > 40
    assert differing_rows(file, on_spark, tables) == {}
