"""The schedule in a real daemon: it starts the job by itself and a generation is published. Once per test run."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from support.small_shop import open_shop

from retention_pipeline.orchestration.instance import prepare_storage
from retention_pipeline.run.dagster_storage import schedule_state
from retention_pipeline.settings import Home

WORKSPACE = Path(__file__).resolve().parents[2] / "workspace.yaml"
SECONDS_UNTIL_PUBLISHED = 240
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_the_daemon_starts_the_nightly_job_by_itself_and_it_publishes(tmp_path: Path) -> None:
    home = open_shop(tmp_path / "home", schedule="* * * * *")
    prepare_storage(home)
    log = tmp_path / "daemon.log"
    environment = os.environ | {"RETENTION_HOME": str(home.root), "DAGSTER_HOME": str(home.dagster)}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(WORKSPACE)]
    with open(log, "wb") as output:
        daemon = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        record = wait_for_a_run(home, daemon, log)
        now = datetime.now(UTC).replace(tzinfo=None)
        assert schedule_state(home.dagster, now) == "on"
        assert schedule_state(home.dagster, now + timedelta(minutes=6)) == "no daemon"
    finally:
        stop(daemon)
    run = record.dagster_run
    assert run.status == dg.DagsterRunStatus.SUCCESS, log.read_text()[-5000:]
    assert run.job_name == "nightly"
    assert run.tags["dagster/schedule_name"] == "every_night"
    started = datetime.fromtimestamp(record.create_timestamp.timestamp(), ZoneInfo("Europe/Amsterdam")).date()
    as_of = date.fromisoformat(run.tags["retention/as_of"])
    assert 0 <= (started - as_of).days <= 1, "the tick's day, which may have ended before the run began"
    assert run.tags["dagster/partition"] == f"{as_of:%Y-%m}"
    assert home.current.resolve().name == "g1.duckdb"
    records = [json.loads(path.read_text()) for path in home.runs.glob("*.json")]
    assert {(one["status"], one["command"], one["as_of"]) for one in records if one["status"] != "running"} == {
        ("succeeded", "schedule", as_of.isoformat())
    }


def wait_for_a_run(home: Home, daemon: subprocess.Popen[bytes], log: Path) -> dg.RunRecord:
    """The first run that ended."""
    until = time.monotonic() + SECONDS_UNTIL_PUBLISHED
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        while time.monotonic() < until:
            for record in reversed(instance.get_run_records()):
                if record.dagster_run.status in ENDED:
                    return record
            assert daemon.poll() is None, log.read_text()[-5000:]
            time.sleep(2)
    raise AssertionError(f"no run ended in {SECONDS_UNTIL_PUBLISHED} s\n{log.read_text()[-5000:]}")


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon with the code server and the runs that it started; they are one process group of ours."""
    for sent in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(daemon.pid, sent)
            daemon.wait(timeout=20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
