"""Dagster's storage of a home: made once, never overwritten, and shared by the command line and the web page."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from support.small_shop import open_shop

from retention_pipeline.cli import homes
from retention_pipeline.orchestration import instance
from retention_pipeline.orchestration.event_log import OpenEventLog
from retention_pipeline.orchestration.pruning import prune_history
from retention_pipeline.orchestration.schedules import month_partitions, nightly_job, nightly_schedule
from retention_pipeline.run.dagster_storage import damaged_storage, schedule_state
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.run.steps import begin_run
from retention_pipeline.settings import Home, load_settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_shop(tmp_path / "home")


def test_the_storage_has_telemetry_off_one_run_at_a_time_and_a_workspace(home: Home) -> None:
    instance.prepare_storage(home)
    settings = yaml.safe_load((home.dagster / "dagster.yaml").read_text())
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}
    assert settings["concurrency"]["runs"] == {"max_concurrent_runs": 1}
    loaded = yaml.safe_load((home.dagster / "workspace.yaml").read_text())
    ours = yaml.safe_load((Path(__file__).resolve().parents[2] / "workspace.yaml").read_text())
    assert loaded == ours, "a schedule keeps its state only under the same location"


def test_whether_a_daemon_would_start_the_next_run_is_read_without_dagster(home: Home) -> None:
    now = datetime(2026, 11, 29, 9)
    assert schedule_state(home.dagster, now) == "no daemon"
    with instance.open_instance(home) as opened:
        beat = DaemonHeartbeat(now.replace(tzinfo=UTC).timestamp(), "SCHEDULER", "this one", [])
        opened.add_daemon_heartbeat(beat)
        assert schedule_state(home.dagster, now + timedelta(seconds=40)) == "on"
        assert schedule_state(home.dagster, now + timedelta(minutes=6)) == "no daemon"
        origin = RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="m")), "r"),
            "every_night",
        )
        for state, said in ((InstigatorStatus.STOPPED, "off"), (InstigatorStatus.RUNNING, "on")):
            changed = InstigatorState(origin, InstigatorType.SCHEDULE, state, ScheduleInstigatorData("0 2 * * *"))
            (opened.add_instigator_state if said == "off" else opened.update_instigator_state)(changed)
            assert schedule_state(home.dagster, now + timedelta(seconds=40)) == said


def test_what_a_user_changed_stays(home: Home) -> None:
    home.dagster.mkdir()
    mine = "telemetry: {enabled: false}\nrun_retries: {enabled: false}\n"
    (home.dagster / "dagster.yaml").write_text(mine)
    instance.prepare_storage(home)
    assert (home.dagster / "dagster.yaml").read_text() == mine


def test_two_processes_may_open_a_new_storage_at_the_same_time(home: Home) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from retention_pipeline.orchestration.instance import open_instance\n"
        "from retention_pipeline.settings import Home\n"
        "with open_instance(Home(Path(sys.argv[1]))) as instance:\n    assert instance.get_runs_count() == 0\n"
    )
    command = [sys.executable, "-c", program, str(home.root)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors


def test_a_run_keeps_its_event_log_open_unless_another_storage_is_configured(home: Home, tmp_path: Path) -> None:
    with instance.open_instance(home) as opened:
        assert isinstance(opened.event_log_storage, OpenEventLog)
    with open(home.dagster / "dagster.yaml", "a") as settings:
        settings.write(f"storage: {{sqlite: {{base_dir: {tmp_path / 'elsewhere'}}}}}\n")
    with instance.open_instance(home) as opened:
        assert not isinstance(opened.event_log_storage, OpenEventLog)


def test_runs_whose_process_is_gone_are_ended_and_others_are_left_alone(home: Home) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    tags = instance.process_tags()
    with instance.open_instance(home) as opened:
        job = dg.JobDefinition(name="nightly", graph_def=dg.GraphDefinition(name="nightly"))
        runs = [
            opened.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags | {"retention/pid": process})
            for process in (str(gone.pid), str(os.getpid()))
        ]
        assert instance.end_dead_runs(opened, home) == [runs[0].run_id]
        statuses = [opened.get_run_by_id(run.run_id).status for run in runs]  # type: ignore[union-attr]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]


def test_runs_of_a_daemon_that_went_down_do_not_hold_up_the_queue(home: Home) -> None:
    with instance.open_instance(home) as opened:
        job = dg.JobDefinition(name="nightly", graph_def=dg.GraphDefinition(name="nightly"))
        dead, alive = (opened.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED).run_id for _ in range(2))
        unknown = opened.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED).run_id  # it may be about to begin
        with writer_lock(home):
            began = {dead: datetime(2024, 5, 1), alive: datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1)}
            for run_id, moment in began.items():
                begin_run(home, date(2024, 5, 1), now=moment, run_id=f"{moment:%Y%m%dT%H%M%S}-{run_id[:8]}")
            settings = load_settings(home)
            months = month_partitions(settings, date(2024, 1, 1))
            with dg.build_schedule_context(instance=opened, scheduled_execution_time=datetime.now(UTC)) as tick:
                nightly_schedule(home, settings, nightly_job(), months)(tick)
            found = {run.run_id: run.status for run in opened.get_runs()}
        assert found == {
            dead: dg.DagsterRunStatus.FAILURE,
            alive: dg.DagsterRunStatus.STARTED,
            unknown: dg.DagsterRunStatus.STARTED,
        }
        assert instance.end_dead_runs(opened, home) == [alive], "its lock is free"


def test_ui_starts_dagster_on_the_homes_storage(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, ...]] = []
    monkeypatch.chdir(home.root)
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    homes.ui(home.root, host="127.0.0.1", port=3456)
    ((_, command, environment),) = started
    assert command[1:] == ["-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", "3456"]
    assert (environment["DAGSTER_HOME"], environment["RETENTION_HOME"]) == (str(home.dagster), str(home.root))
    assert Path.cwd() == home.dagster


def test_old_runs_leave_the_storage_and_marks_of_partitions_stay(home: Home) -> None:
    months = dg.StaticPartitionsDefinition(["2024-01", "2024-02"])

    @dg.asset(partitions_def=months, check_specs=[dg.AssetCheckSpec("sound", asset="figures")])
    def figures() -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster looks for the bare class
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="sound")])

    with instance.open_instance(home) as opened:
        for month in ("2024-01", "2024-02", "2024-02", "2024-02"):
            assert dg.materialize([figures], instance=opened, partition_key=month).success
        kept = [run.run_id for run in opened.get_runs(limit=2)]
        assert prune_history(opened, home, 2) == 2
        assert prune_history(opened, home, 2) == 0
        assert [run.run_id for run in opened.get_runs()] == kept
        shards = {path.name.split(".")[0] for path in (home.dagster / "history" / "runs").glob("*-*.db")}
        assert shards == set(kept)
        assert opened.get_materialized_partitions(dg.AssetKey("figures")) == {"2024-01", "2024-02"}
        assert dg.materialize([figures], instance=opened, partition_key="2024-02").success
    with sqlite3.connect(home.dagster / "history" / "runs" / "index.db") as log:
        materialized = "select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
        assert log.execute(materialized).fetchone() == (4,)
        assert log.execute("select count(*) from asset_check_executions").fetchone() == (3,)
    assert not damaged_storage(home.dagster, thorough=True)


def test_a_full_disk_is_not_taken_for_a_damaged_storage(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    instance.prepare_storage(home)
    full = shutil.disk_usage(home.root)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    said: list[str] = []

    def work(opened: Any) -> str:
        if not opened.is_ephemeral:
            raise sqlite3.OperationalError("disk I/O error")
        return "done"

    assert instance.with_instance(home, work, said.append) == "done"
    assert [line.split(" (")[0] for line in said] == [
        f"{home.dagster} cannot be used; this run will not show in the web page"
    ]
    assert home.dagster.is_dir() and not list(home.root.glob("dagster.damaged*"))


def test_a_storage_without_rights_is_not_taken_for_a_damaged_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    instance.prepare_storage(home)
    closed = home.dagster / "dagster.yaml"

    def no_rights(_: Home) -> dg.DagsterInstance:
        raise PermissionError(errno.EACCES, "Permission denied", str(closed))

    monkeypatch.setattr(instance, "open_instance", no_rights)
    said: list[str] = []
    assert instance.with_instance(home, lambda opened: opened.is_ephemeral, said.append)
    assert said == [
        f"{home.dagster} cannot be used; this run will not show in the web page"
        f" ({closed}: permission denied; retention doctor --home {home.root})"
    ]
    assert home.dagster.is_dir() and not list(home.root.glob("dagster.damaged*"))


def test_a_storage_that_takes_no_events_is_told_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    @dg.op
    def says() -> None:
        dg.get_dagster_logger().info("said")

    @dg.job(logger_defs={})
    def small() -> None:
        says()

    monkeypatch.setattr(OpenEventLog, "store_event", full)
    monkeypatch.setattr(instance, "SPACE_FOR_STORAGE", float("inf"))
    said: list[str] = []

    def work(opened: dg.DagsterInstance) -> bool:
        print("still heard", file=sys.stderr)
        return small.execute_in_process(instance=opened).success

    assert instance.with_instance(home, work, said.append)
    assert len(said) == 1
    told = capsys.readouterr().err
    assert told.count("still heard") == 2 and "event log" not in told
