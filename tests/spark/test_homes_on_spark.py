"""Homes built by way of Spark have the tables that DuckDB makes, cell by cell: golden stories, made-up companies.

Minutes per home, so they are all `proof`; `make spark` runs them with a pyspark of its own.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from random import Random

import pytest
from oracle.companies import made_company, write_home
from oracle.folders import COMPANIES
from support.computed_home import compute_home
from support.golden_stories import STORIES, copy_story
from support.sizes import SEED, size
from support.spark_home import build_on_spark, differing_rows, views_as_tables

from retention_pipeline.transform.spark.local_server import why_not

pytestmark = [pytest.mark.proof, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

HOMES = sorted(
    folder
    for place in (COMPANIES, COMPANIES.with_name("companies2"))
    for folder in place.glob("*")
    if (folder / "as_of").is_file()
)


@pytest.mark.parametrize("story", STORIES)
def test_spark_makes_the_tables_that_duckdb_makes(story: str, spark: str, tmp_path: Path) -> None:
    assert_equal_on_both(tmp_path / "home", copy_story(story, tmp_path / "home"))


@pytest.mark.parametrize("folder", HOMES, ids=lambda folder: folder.name)
def test_spark_makes_the_tables_that_duckdb_makes_of_a_company(folder: Path, spark: str, tmp_path: Path) -> None:
    root = tmp_path / "home"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("expected*"))
    assert_equal_on_both(root, date.fromisoformat((folder / "as_of").read_text().strip()))


@pytest.mark.parametrize("number", range(size("RETENTION_RANDOM_COMPANIES_ON_SPARK")))
def test_spark_makes_the_tables_that_duckdb_makes_of_a_random_company(number: int, spark: str, tmp_path: Path) -> None:
    company = made_company(Random(SEED + number), customers=30, further=True)
    root = tmp_path / "home"
    write_home(company, root)
    assert_equal_on_both(root, company.as_of)


def assert_equal_on_both(root: Path, as_of: date) -> None:
    """Every cell of every table and view."""
    file = compute_home(root, as_of, may_refuse_rows=True)
    on_spark, tables = build_on_spark(root, as_of)
    assert len(tables) > 40
    views = views_as_tables(root, file)
    assert "customer_profiles" in views
    assert differing_rows(file, on_spark, [*tables, *views]) == {}
