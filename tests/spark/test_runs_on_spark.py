"""Runs that are killed, or whose Spark dies, while models are made: readers go on, and the next run needs no hand."""

from __future__ import annotations

import os
import shutil
import signal
import time
from datetime import date, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
import pytest
import yaml
from kills.nights import NightRun
from support.plain_run import run
from support.spark_home import REMOTE, differing_rows

from retention_pipeline.publish import generations
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform import BuildError
from retention_pipeline.transform.spark import running
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.local_server import local_server, why_not
from retention_pipeline.transform.spark.session import spark_session

pytestmark = [pytest.mark.proof, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

STORY = Path(__file__).parents[1] / "golden" / "clock"
AS_OF = date.fromisoformat((STORY / "as_of").read_text().strip())
NOW = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 2)
FIGURES = "select kpi, grain, period_start, basis, segment_dimension, segment_value, value, n from retention_kpis"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a home that DuckDB has published, and whose engine is Spark from now on."""
    root = tmp_path_factory.mktemp("published") / "home"
    shutil.copytree(STORY, root, ignore=shutil.ignore_patterns("expected*"))
    run(Home(root), load_settings(Home(root)), as_of=AS_OF, now=NOW)
    on_spark = {"engine": "spark", "spark": {"remote": {"env": REMOTE}}}
    settings = Home(root).settings_file
    settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | on_spark))
    return root


@pytest.fixture
def home(published: Path, tmp_path: Path) -> Home:
    shutil.copytree(published, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def figures(home: Home) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.current.resolve()), read_only=True) as connection:
        return sorted(connection.execute(FIGURES).fetchall(), key=str)


def test_a_run_killed_while_spark_builds_is_made_up_for_by_the_next(spark: str, home: Home) -> None:
    before, lake = figures(home), home.warehouse / "spark"
    assert NightRun(home, AS_OF, stop_at="spark_model:9").end().was_killed
    assert sorted(path.name for path in lake.iterdir()) == ["retention_g2", "retention_g2_raw"]
    assert (generations.current_number(home), figures(home)) == (1, before)
    # Without figures of the first run in the way, a full refresh on either engine makes the same.
    ended = NightRun(home, AS_OF).end()
    assert ended.code == 0, ended.said
    assert (generations.current_number(home), figures(home)) == (2, before)
    assert [path.name for path in lake.iterdir()] == ["retention_g2"]
    by_duckdb, by_spark = (home.published / f"g{number}.duckdb" for number in (1, 2))
    tables = sorted(path.name for path in (lake / "retention_g2").iterdir() if path.is_dir())
    assert len(tables) > 40
    assert differing_rows(by_duckdb, by_spark, tables) == {}
    with spark_session(load_settings(home)) as session, duckdb.connect(str(by_spark), read_only=True) as connection:
        there = session.sql("select count(*) from retention.period_customers").collect()[0][0]
        assert connection.execute("select count(*) from period_customers").fetchall() == [(there,)]


def test_a_spark_that_dies_is_one_line_and_withdraws_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(home)
    with local_server(tmp_path / "spark", workers=0) as address:
        monkeypatch.setenv(REMOTE, address)
        made = list[str]()

        def die_at_the_third(point: str) -> None:
            made.append(point)
            if len(made) == 3:
                os.kill(process_listening_at(address.rpartition(":")[2]), signal.SIGKILL)

        monkeypatch.setattr(running, "stop_for_test", die_at_the_third)
        started = time.monotonic()
        with pytest.raises(BuildError) as raised:
            run(home, load_settings(home), as_of=AS_OF, now=NOW)
    message = str(raised.value)
    assert message.startswith("Spark: model ")
    assert "\n" not in message and "Traceback" not in message and len(message) < 500, message
    assert time.monotonic() - started < 300
    assert {node.status for node in raised.value.nodes} == {"success", "error", "skipped"}
    assert not home.next_file.exists()
    assert (generations.current_number(home), figures(home)) == (1, before)


def process_listening_at(port: str) -> int:
    """The server's process: its command line has its port."""
    wanted = f"spark.connect.grpc.binding.port={port}".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0")
        if wanted in words and b"java" in words[0]:
            return int(path.parent.name)
    raise AssertionError("no server listens")


def test_what_a_killed_run_left_at_work_is_ended_by_the_next(spark: str, home: Home, tmp_path: Path) -> None:
    """A statement goes on without the client that asked for it, for minutes, and would write into what the next run
    makes.
    """
    settings, note = load_settings(home), tmp_path / "session"
    killed = spark_session(settings, note=note)
    session = killed.__enter__()
    Lake("left", tmp_path).create(session, "left_g1")
    errors = list[Exception]()

    def ask() -> None:
        try:
            session.sql(
                "create table left_g1.slow using parquet as select sum(a.id * b.id) as n "
                "from range(100000000) as a cross join range(100000000) as b where a.id % 7 < b.id % 11"
            ).collect()
        except Exception as error:
            errors.append(error)

    asking = Thread(target=ask, daemon=True)
    asking.start()
    time.sleep(10)
    assert asking.is_alive()
    with spark_session(settings, note=note):
        asking.join(60)
    assert not asking.is_alive() and errors
    assert not note.exists()
