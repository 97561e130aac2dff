"""Whole runs over the tiny company: what is published, what a failure leaves, what a kill leaves."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest
from support import tiny_warehouse as tiny
from support.tiny_runs import APRIL, FIRST, LATE, broken_copy, night

from retention_pipeline.audit import AuditError
from retention_pipeline.kpis.violation import Violation
from retention_pipeline.publish import exports, generations
from retention_pipeline.run import operations
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.run.records import all_records
from retention_pipeline.run.state import read_state
from retention_pipeline.settings import Home
from retention_pipeline.testing import VARIABLE
from retention_pipeline.transform import BuildError


def test_the_first_run_publishes_generation_one_behind_a_link_that_opens(home: Home, project: Path) -> None:
    result = night(home, project)
    assert (result.generation, result.path) == (1, home.published / "g1.duckdb")
    assert os.readlink(home.current) == "g1.duckdb"
    assert tiny.figures(home.current) == [
        (date(2024, 1, 1), 1.0),
        (date(2024, 2, 1), 1.0),
        (date(2024, 3, 1), 1.0),
        (date(2024, 4, 1), 0.0),
    ]
    assert result.mode.reason.startswith("first run")
    assert result.row_counts["period_customers"] == 4
    assert [timing.step for timing in result.timings] == [
        "ingest",
        "sources",
        "build",
        "figures",
        "audit",
        "history",
        "publish",
        "exports",
        "alerts",
    ]


def test_a_published_file_is_read_only_readable_by_older_clients_and_holds_schema_main_alone(
    home: Home, project: Path
) -> None:
    path = night(home, project).path
    assert not stat.S_IMODE(path.stat().st_mode) & 0o222
    assert not list(home.published.glob("*.wal"))
    with duckdb.connect(str(path), read_only=True) as connection:
        version = connection.execute(
            "select tags['storage_version'] from duckdb_databases() where not internal"
        ).fetchall()
        schemas = connection.execute(
            "select schema_name from duckdb_schemas() where not internal and database_name = current_database()"
        ).fetchall()
        views = connection.execute("select view_name from duckdb_views() where not internal").fetchall()
    assert version == [("v1.0.0+",)]
    assert schemas == []  # main is internal
    assert views == [("retention_kpis_marked",)]


def test_a_second_run_without_news_changes_no_figure_and_leaves_their_run(home: Home, project: Path) -> None:
    first = night(home, project)
    second = night(home, project)
    assert second.generation == 2
    assert second.figures.changed == 0
    with duckdb.connect(str(home.current), read_only=True) as connection:
        assert connection.execute("select distinct run_id from retention_kpis").fetchall() == [(first.run_id,)]


def test_the_state_says_what_a_generation_was_made_from(home: Home, project: Path) -> None:
    night(home, project)
    tiny.deliver(home, "2.csv", LATE)
    result = night(home, project)
    state = read_state(home.current)
    assert state is not None
    assert (state.generation, state.applied_load_id, state.as_of, state.run_id) == (2, 2, APRIL, result.run_id)


def test_late_orders_change_the_month_that_they_belong_to(home: Home, project: Path) -> None:
    night(home, project)
    tiny.deliver(home, "2.csv", LATE)
    result = night(home, project)
    assert result.figures.changed_months == [date(2024, 2, 1)]
    assert dict(tiny.figures(home.current))[date(2024, 2, 1)] == 2.0


def test_a_night_tells_the_models_what_it_adds_to(home: Home, project: Path, tmp_path: Path) -> None:
    reading = tiny.make_project(tmp_path / "reading")
    (reading / "models" / "before.sql").write_text(
        "select {% if var('night', false) %} generation from previous.main.pipeline_state"
        "{% else %} 0 as generation {% endif %}"
    )
    first = night(home, reading, by_dbt=True)
    assert first.build.variables["night"] is False
    tiny.deliver(home, "2.csv", LATE)
    second = night(home, reading, as_of=date(2024, 4, 11), by_dbt=True)
    told = second.build.variables
    assert (told["night"], told["previous_as_of"], told["applied_load_id"]) == (True, "2024-04-10", 1)
    assert second.mode.reason == "on top of generation 1 as of 2024-04-10"
    with duckdb.connect(str(home.current), read_only=True) as connection:
        assert connection.execute("select generation from before").fetchall() == [(1,)]


def test_of_a_good_build_only_log_and_timings_are_kept(home: Home, project: Path) -> None:
    result = night(home, project, by_dbt=True)
    kept = sorted(path.name for path in (home.runs / result.run_id / "dbt").iterdir())
    assert kept == ["dbt.log", "run_results.json"]


def test_a_broken_model_leaves_the_last_good_generation_and_names_the_model(
    home: Home, project: Path, tmp_path: Path
) -> None:
    night(home, project)
    before = tiny.figures(home.current)
    broken = broken_copy(project, tmp_path / "broken", "models/period_customers.sql", "select nonsense from nowhere")
    tiny.deliver(home, "2.csv", LATE)
    with pytest.raises(BuildError, match=r"model period_customers: .*(?s:.)*nowhere") as caught:
        night(home, broken, by_dbt=True)
    assert "Traceback" not in str(caught.value)
    assert generations.current_number(home) == 1
    assert tiny.figures(home.current) == before
    assert not home.next_file.exists()
    record = all_records(home)[-1]
    assert (record["status"], record["failed_step"]) == ("failed", "build")
    repaired = night(home, project)
    with duckdb.connect(str(repaired.path), read_only=True) as connection:
        runs = connection.execute("select status, failed_step from pipeline_runs order by run_id, status").fetchall()
    assert sorted(runs, key=str) == [("failed", "build"), ("succeeded", None), ("succeeded", None)]


def test_a_broken_data_test_names_the_rows(home: Home, project: Path) -> None:
    tiny.deliver(home, "2.csv", [("bad one", "dan", "2024-02-20", -7)])
    with pytest.raises(BuildError, match=r"test assert_amounts_are_positive(?s:.)*order_id=bad one, amount=-7"):
        night(home, project, by_dbt=True)
    assert not home.current.exists()


def test_a_bridge_that_does_not_close_is_not_published(home: Home, project: Path, tmp_path: Path) -> None:
    night(home, project)
    broken = broken_copy(
        project,
        tmp_path / "broken",
        "models/period_customers.sql",
        tiny.PERIOD_CUSTOMERS.replace("as bigint) as customers_lost", "as bigint) + 1 as customers_lost"),
    )
    with pytest.raises(AuditError) as caught:
        night(home, broken)
    assert "rule customers_bridge: 4 cells" in str(caught.value)
    assert "period_start=2024-01-01" in str(caught.value)
    assert generations.current_number(home) == 1
    assert not home.next_file.exists()


def test_a_violation_found_by_the_kpi_contract_is_not_published(home: Home, project: Path) -> None:
    def validate(connection: object, settings: object) -> list[Violation]:
        return [Violation("rate_in_range", 1, [{"kpi": "customer_churn_rate", "value": 1.5}])]

    with pytest.raises(AuditError, match=r"rate_in_range: 1 cell(?s:.)*value=1.5"):
        night(home, project, validate_kpis=validate)
    assert not home.current.exists()


def test_a_reader_that_holds_the_old_file_open_goes_on_reading_it(home: Home, project: Path) -> None:
    settings = tiny.settings(publish={"keep_generations": 1})
    night(home, project, settings=settings)
    with duckdb.connect(str(home.current), read_only=True) as reader:
        old = reader.execute("select sum(value) from retention_kpis").fetchall()
        tiny.deliver(home, "2.csv", LATE)
        night(home, project, settings=settings)
        assert [generation.number for generation in generations.generations(home)] == [2]
        assert reader.execute("select sum(value) from retention_kpis").fetchall() == old
    with duckdb.connect(str(home.current), read_only=True) as reader:
        assert reader.execute("select sum(value) from retention_kpis").fetchall() != old


@pytest.fixture(scope="module")
def undisturbed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """The figures after both deliveries when nothing is killed."""
    other = Home(tmp_path_factory.mktemp("undisturbed"))
    tiny.deliver(other, "1.csv", FIRST)
    tiny.deliver(other, "2.csv", LATE)
    night(other, project)
    return tiny.figures(other.current)


def run_tiny(home: Home, project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own."""
    program = [sys.executable, "-m", "support.tiny_warehouse", str(home.root), APRIL.isoformat(), str(project)]
    environment = {**os.environ, "PYTHONPATH": str(Path(tiny.__file__).parents[1]), **environment}
    return subprocess.run(program, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("step", ["copy", "checkpoint", "rename", "link"])
def test_a_run_killed_while_files_are_moved_is_made_good_by_the_next(
    step: str, home: Home, project: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    night(home, project)
    tiny.deliver(home, "2.csv", LATE)
    killed = run_tiny(home, project, **{VARIABLE: step})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert generations.current_number(home) == (2 if step == "link" else 1)
    assert len(tiny.figures(home.current)) == 4
    night(home, project)

    assert tiny.figures(home.current) == undisturbed
    assert not list(home.warehouse.glob("next.duckdb*"))
    assert not list(home.published.glob(".*"))
    current = generations.current_number(home)
    assert [generation.number for generation in generations.generations(home)][-1] == current
    with duckdb.connect(str(home.current), read_only=True) as connection:
        statuses = connection.execute("select status from pipeline_runs").fetchall()
    assert ("running",) not in statuses
    assert ("killed",) in statuses


def test_only_as_many_generations_are_kept_as_settings_say(home: Home, project: Path) -> None:
    settings = tiny.settings(publish={"keep_generations": 2})
    for _ in range(3):
        night(home, project, settings=settings)
    assert [generation.number for generation in generations.generations(home)] == [2, 3]


def test_a_second_writer_is_refused_and_told_who_writes(home: Home, project: Path) -> None:
    night(home, project)
    with writer_lock(home):
        refused = run_tiny(home, project)
        assert operations.status(home).writer["pid"] == str(os.getpid())  # type: ignore[index]
    assert refused.returncode != 0
    assert f"HomeIsBusy: another process writes to {home.root}: process {os.getpid()} on" in refused.stderr
    assert generations.current_number(home) == 1
    assert operations.status(home).writer is None


def test_a_copy_that_fails_is_reported_and_withdraws_nothing(home: Home, project: Path) -> None:
    night(home, project)
    folder = exports.export_folder(home)
    (folder / "periods.parquet").unlink()
    (folder / "periods.parquet").mkdir()
    result = night(home, project)
    assert [problem.split(":")[0] for problem in result.problems] == ["periods"]
    assert result.generation == 2
    assert (folder / "retention_kpis.parquet").exists()
    record = json.loads((home.runs / f"{result.run_id}.json").read_text())
    assert record["status"] == "succeeded" and len(record["export_problems"]) == 1


def test_the_copies_hold_what_the_tables_hold(home: Home, project: Path) -> None:
    night(home, project)
    path = exports.export_folder(home) / "retention_kpis.parquet"
    rows = duckdb.execute(f"select period_start, value from '{path}' order by 1").fetchall()
    assert rows == tiny.figures(home.current)


def test_without_room_for_a_copy_nothing_begins(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night(home, project)

    class Full:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Full)
    with pytest.raises(generations.NotEnoughSpace, match="building a generation needs") as told:
        night(home, project)
    assert str(told.value).startswith(f"{home.warehouse}: not enough space: 0 MB are free")
    assert str(told.value).endswith(f"then: retention run --home {home.root}")
    assert generations.current_number(home) == 1


def test_an_earlier_as_of_is_a_full_refresh_that_ignores_later_orders(home: Home, project: Path) -> None:
    night(home, project)
    result = night(home, project, as_of=date(2024, 2, 15))
    assert "as_of 2024-02-15 is earlier than 2024-04-10" in result.mode.reason
    with duckdb.connect(str(home.current), read_only=True) as connection:
        assert connection.execute("select count(*) from period_customers").fetchall() == [(2,)]


def test_a_copy_of_a_table_with_the_same_rows_is_kept_and_a_damaged_one_is_made_again(
    home: Home, project: Path
) -> None:
    night(home, project)
    folder = exports.export_folder(home)
    same, damaged, other = (folder / f"{name}.parquet" for name in ("periods", "retention_kpis", "pipeline_state"))
    files = {path: path.stat().st_ino for path in (same, damaged, other)}
    damaged.write_bytes(b"no parquet")
    result = night(home, project)
    assert set(files) <= set(result.exported)
    assert same.stat().st_ino == files[same]
    assert other.stat().st_ino != files[other]
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) > 0 from '{damaged}'").fetchall() == [(True,)]


def test_nights_that_change_little_do_not_let_the_file_grow(home: Home, project: Path, tmp_path: Path) -> None:
    """A table of 20 MB is made anew in every night, as models that are not sums are."""
    large = tiny.make_project(tmp_path / "large")
    (large / "models" / "large.sql").write_text("select hash(i) as h, hash(-i) as g from range(1000000) as r(i)")
    fresh = night(home, large).path.stat().st_size
    for _ in range(3):
        assert night(home, large).path.stat().st_size <= 1.3 * fresh


def test_a_small_home_is_computed_anew_and_it_is_said(home: Home, project: Path) -> None:
    settings = tiny.settings(exchange_from_rows=1000)
    night(home, project, settings=settings)
    result = night(home, project, settings=settings)
    assert (result.mode.name, result.mode.reason) == (
        "full refresh",
        "raw has 3 rows: that costs less than to exchange what changed",
    )
