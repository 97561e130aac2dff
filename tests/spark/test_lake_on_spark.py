"""Schemas, views and errors on a Spark: what stands there after kills, what readers see, what is said of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.spark_home import REMOTE

from retention_pipeline.settings import Settings, parse_settings
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.local_server import why_not
from retention_pipeline.transform.spark.running import run_models
from retention_pipeline.transform.spark.session import spark_session
from retention_pipeline.transform.spark.statements import Model, Statements

pytestmark = [pytest.mark.proof, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


@pytest.fixture(scope="module")
def settings(spark: str) -> Settings:
    """The settings of a home whose Spark answers."""
    return parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "engine": "spark",
            "spark": {"remote": {"env": REMOTE}},
        }
    )


@pytest.fixture(scope="module")
def session(settings: Settings) -> Iterator[Any]:
    """A session with it."""
    with spark_session(settings) as session:
        yield session


def generation(session: Any, lake: Lake, number: int, *tables: str) -> None:
    """A schema in which each table has the generation's number."""
    lake.create(session, lake.schema(number))
    for table in tables:
        session.sql(f"create table {lake.schema(number)}.{table} using parquet as select {number} as n").collect()


def numbers(session: Any, table: str) -> list[int]:
    return [row["n"] for row in session.table(table).collect()]


def test_a_build_that_was_killed_is_in_nobodys_way(session: Any, tmp_path: Path) -> None:
    lake = Lake("killed", tmp_path)
    generation(session, lake, 1, "sums")
    lake.publish(session, 1)
    half = tmp_path / "killed_g2" / "sums"  # a table that Spark never finished, so that no schema knows of it
    half.mkdir(parents=True)
    (half / "part-0.parquet").write_text("half of a file")
    generation(session, lake, 3, "sums")  # a killed run's that was whole, and never published
    lake.create(session, "killed_g3_raw")
    assert lake.sweep(session, {1}) == ["killed_g2", "killed_g3", "killed_g3_raw"]
    assert [path.name for path in tmp_path.iterdir()] == ["killed_g1"]
    generation(session, lake, 2, "sums")
    assert numbers(session, "killed_g2.sums") == [2]
    assert numbers(session, "killed.sums") == [1]


def test_views_move_while_somebody_reads_on(session: Any, tmp_path: Path) -> None:
    lake = Lake("moving", tmp_path)
    generation(session, lake, 1, "sums", "gone")
    generation(session, lake, 2, "sums", "new")
    assert lake.publish(session, 1) == 2
    reading = session.sql("select n from moving_g1.sums")
    assert lake.publish(session, 2) == 2
    assert numbers(session, "moving.sums") == numbers(session, "moving.new") == [2]
    assert sorted(row["viewName"] for row in session.sql("show views in moving").collect()) == ["new", "sums"]
    assert [row["n"] for row in reading.collect()] == [1]
    assert lake.sweep(session, {2}) == ["moving_g1"]


def test_a_failure_is_one_line_and_what_overflows_is_one(session: Any, tmp_path: Path) -> None:
    generation(session, Lake("failing", tmp_path), 1)
    models = [Model("a", "a", "table", (), (), ""), Model("b", "b", "table", (), ("a",), "")]
    query = "select cast(9223372036854775807 as bigint) + id as n from range(1, 3)"
    results = run_models(
        session,
        models,
        lambda one: Statements([f"create table failing_g1.{one.name} using parquet as {query}"], []),
        print,
    )
    assert [(one.name, one.status) for one in results] == [("a", "error"), ("b", "skipped")]
    message = results[0].message or ""
    assert "ARITHMETIC_OVERFLOW" in message
    assert "\n" not in message and "org.apache" not in message and len(message) < 500
