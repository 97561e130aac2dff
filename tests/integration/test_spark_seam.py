"""A run with `engine: spark` publishes what a run on DuckDB does, where Spark's files hold the rows that DuckDB made.

The session is a stand-in that makes no table itself: what a Spark makes of the statements is the matter of tests/spark.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.plain_run import run
from support.spark_home import differing_rows, stand_in_for_pyspark

from retention_pipeline.publish import generations
from retention_pipeline.run.records import all_records
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform import BuildError
from retention_pipeline.transform.manifest import manifest_json
from retention_pipeline.transform.spark import engine
from retention_pipeline.warehouse import tables_in

STORY = Path(__file__).parents[1] / "golden" / "clock"
AS_OF = date.fromisoformat((STORY / "as_of").read_text().strip())
NOW = datetime.combine(AS_OF, time(2))
FIGURES = "select kpi, grain, period_start, basis, segment_dimension, segment_value, value, n from {}.retention_kpis"


class Session:
    """Answers nothing, and for each table that it shall make writes the rows of the same table of a DuckDB file."""

    def __init__(self, file: Path, fails_at: str | None = None) -> None:
        self.file, self.fails_at = file, fails_at
        self.folders: dict[str, Path] = {}
        self.asked: list[str] = []
        self.conf = self

    def set(self, name: str, value: str) -> None:
        self.asked.append(f"set {name} = {value}")

    def sql(self, query: str) -> Session:
        self.asked.append(query)
        if created := re.match("create schema (\\w+) location 'file://(.*)'", query):
            self.folders[created[1]] = Path(created[2])
        if made := re.match(r"create table (\w+)\.(\w+) using parquet as", query):
            schema, table = made.groups()
            if table == self.fails_at:
                raise RuntimeError("Job aborted due to stage failure: Task 0 failed 4 times\n\tat org.apache.spark")
            if "__" not in table:  # else it is a part of one
                place = self.folders[schema] / table
                place.mkdir()
                with duckdb.connect(str(self.file), read_only=True) as connection:
                    connection.execute("set TimeZone = 'UTC'")
                    connection.execute(f"copy {table} to '{place}/part-0.parquet'")
        return self

    def collect(self) -> list[Any]:
        return []

    def addTag(self, tag: str) -> None:
        pass

    removeTag = addTag

    def interruptAll(self) -> None:
        self.asked.append("interrupt")


def copy_story(root: Path) -> None:
    """The story's home, with months alone."""
    shutil.copytree(STORY, root, ignore=shutil.ignore_patterns("expected*"))
    with (root / "settings.yaml").open("a") as settings:
        settings.write("\ngrains: [month]\n")


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The story, published by a run on DuckDB."""
    root = tmp_path_factory.mktemp("on_duckdb") / "home"
    copy_story(root)
    run(Home(root), load_settings(Home(root)), as_of=AS_OF, now=NOW)
    return Home(root)


@pytest.fixture
def on_spark(on_duckdb: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Home, Session]]:
    """The same story in a home on Spark, and the session that the run gets."""
    root = tmp_path / "home"
    copy_story(root)
    with (root / "settings.yaml").open("a") as settings:
        settings.write("engine: spark\nspark: {remote: {env: NOBODY_IS_ASKED}}\n")
    session = Session(on_duckdb.current.resolve())

    @contextmanager
    def spark_session(*_: Any, **_named: Any) -> Iterator[Session]:
        yield session

    monkeypatch.setattr(engine, "spark_session", spark_session)
    with stand_in_for_pyspark():
        yield Home(root), session


def test_a_run_on_spark_publishes_what_a_run_on_duckdb_does(on_duckdb: Home, on_spark: tuple[Home, Session]) -> None:
    home, session = on_spark
    killed = home.warehouse / "spark" / "retention_g1" / "period_mrr"
    killed.mkdir(parents=True)
    (killed / "part-of-a-killed-run.parquet").write_text("half")
    done = run(home, load_settings(home), as_of=AS_OF, now=NOW)
    assert done.problems == []
    files = [one.current.resolve() for one in (on_duckdb, home)]
    models = {node["name"] for node in manifest_json()["nodes"].values() if node["resource_type"] == "model"}
    with duckdb.connect() as connection:
        for name, file in zip(("on_duckdb", "on_spark"), files, strict=True):
            connection.execute(f"attach '{file}' as {name} (read_only)")
        tables = sorted(tables_in(connection, database="on_duckdb") & models)
        assert sorted(tables_in(connection, database="on_spark") & models) == tables
        for rows in ("select * from {}.int_member_queries", FIGURES):
            answers = [connection.execute(rows.format(name)).fetchall() for name in ("on_duckdb", "on_spark")]
            assert sorted(answers[0], key=str) == sorted(answers[1], key=str) != []
    assert len(tables) > 50
    assert differing_rows(files[0], files[1], tables) == {}
    record = all_records(home)[-1]
    assert (record["engine"], record["mode"]) == ("spark", "full refresh")
    built = [node.name for node in done.build.nodes if node.kind == "model"]
    assert sorted(built) == tables
    assert done.build.count("test") > 20
    assert not (home.warehouse / "spark" / "retention_g1_raw").exists()
    assert "show tables in retention_g1" in session.asked  # the pointer was to be moved


def test_a_model_that_fails_is_one_line_and_nothing_is_published(on_spark: tuple[Home, Session]) -> None:
    home, session = on_spark
    session.fails_at = "int_mrr_changes"
    with pytest.raises(BuildError) as raised:
        run(home, load_settings(home), as_of=AS_OF, now=NOW)
    assert str(raised.value) == (
        "Spark: model int_mrr_changes: Job aborted due to stage failure: Task 0 failed 4 times"
    )
    assert {node.status for node in raised.value.nodes} == {"success", "error", "skipped"}
    assert generations.generations(home) == []
    assert not home.next_file.exists()
