"""A real daemon whose schedule starts a night within a minute, watched beside the tests that run meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from retention_pipeline.orchestration.instance import prepare_storage
from retention_pipeline.run.dagster_storage import schedule_state
from support.small_shop import open_shop

WORKSPACE = Path(__file__).resolve().parents[2] / "workspace.yaml"
SECONDS_UNTIL_PUBLISHED = 400
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


class DaemonNight(threading.Thread):
    """From `start` until the first run has ended, or `give_up`; then the daemon has ended too.

    record: that run. states: what was said of the schedule then, and as of six minutes later.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(name="daemon")
        self.home = open_shop(folder / "home", schedule="* * * * *")
        self.log = folder / "daemon.log"
        self.record: dg.RunRecord | None = None
        self.states: list[str] = []
        self.error: Exception | None = None
        prepare_storage(self.home)
        environment = os.environ | {"RETENTION_HOME": str(self.home.root), "DAGSTER_HOME": str(self.home.dagster)}
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(WORKSPACE)]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def run(self) -> None:
        try:
            self.record = self._first_run()
            now = datetime.now(UTC).replace(tzinfo=None)
            self.states = [schedule_state(self.home.dagster, now + timedelta(minutes=later)) for later in (0, 6)]
        except Exception as error:
            self.error = error
        finally:
            self.give_up()

    def _first_run(self) -> dg.RunRecord:
        until = time.monotonic() + SECONDS_UNTIL_PUBLISHED
        with dg.DagsterInstance.from_config(str(self.home.dagster)) as instance:
            while time.monotonic() < until and self.process.poll() is None:
                for record in reversed(instance.get_run_records()):
                    if record.dagster_run.status in ENDED:
                        return record
                time.sleep(1)
        raise AssertionError(f"no run ended in {SECONDS_UNTIL_PUBLISHED} s\n{self.log.read_text()[-5000:]}")

    def give_up(self) -> None:
        """End the daemon with the code server and the runs that it started; they are one process group of ours."""
        for sent in (signal.SIGINT, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sent)
                self.process.wait(timeout=20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
