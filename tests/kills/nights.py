"""`retention run` as a process of its own that is killed at a point or at a moment, and what step it was at."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from kills.warm import REPOSITORY, Warm, kill_group
from retention_pipeline.settings import Home
from retention_pipeline.testing import VARIABLE

AT_MOST = 3600.0  # seconds of a run, on however busy a machine
POLL = 0.01
TICKS = os.sysconf("SC_CLK_TCK")
AT_RANDOM = 0.3  # seconds more or less, so that moments of waiting (for the disk) are hit too
# Steps as runs write them down, in order, and what they are called here.
RECORDED = {"build": "dbt", "figures": "KPIs", "audit": "audit", "publish": "rename", "exports": "exports"}


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: killed), the step that it was at then, its processor seconds since
    start-up, and what it said.
    """

    code: int
    step: str
    cpu: float
    said: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class NightRun:
    """One run of a home for a day: forked by `warm`, or as a shell starts it, with seconds of imports first."""

    def __init__(
        self,
        home: Home,
        day: date,
        *,
        stop_at: str | None = None,
        largest_file: int | None = None,
        warm: Warm | None = None,
    ) -> None:
        self.home, self.warm = home, warm
        self.known_records = set(home.runs.glob("*.json"))
        arguments = ["run", "--as-of", day.isoformat(), "--home", str(home.root)]
        stopping = {VARIABLE: stop_at} if stop_at else {}
        self.log = tempfile.NamedTemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (read when the run has ended)
        self.code: int | None = None
        self.cpu = self.cpu_of_start_up = 0.0
        if warm is not None:
            assert largest_file is None
            self.pid = warm.start(arguments, Path(self.log.name), **stopping)
            return
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "retention_pipeline.cli", *arguments],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=environment | stopping | {"COLUMNS": "200"},
            start_new_session=True,
            cwd=REPOSITORY,
            preexec_fn=None if largest_file is None else lambda: _limit_files(largest_file),
        )
        self.pid = self.process.pid

    def wait_for_start_up(self) -> None:
        """Until the run has its record, which is when it begins to load; or until it has ended."""
        self._wait(lambda: self.record_file() is not None)
        self.cpu_of_start_up = self.cpu

    def end(self) -> Ended:
        """Wait for its end."""
        self._wait(lambda: False)
        return self._ended()

    def kill_after(self, cpu_seconds: float, more: float = 0.0) -> Ended:
        """Kill the whole process group when it has used as many processor seconds since start-up, and `more` seconds
        have passed. Processor seconds, since others use the machine too.
        """
        self.wait_for_start_up()
        self._wait(lambda: self.cpu - self.cpu_of_start_up >= cpu_seconds)
        until = time.monotonic() + more
        self._wait(lambda: time.monotonic() >= until)
        if self.code is None:
            kill_group(self.pid)
            self._wait(lambda: False)
        return self._ended()

    def record_file(self) -> Path | None:
        """The record of this run, once there is one."""
        return next(iter(set(self.home.runs.glob("*.json")) - self.known_records), None)

    def _wait(self, reached: Callable[[], bool]) -> None:
        until = time.monotonic() + AT_MOST
        while self.code is None and time.monotonic() < until:
            with suppress(OSError):  # one that has ended is gone when its parent has waited for it
                self.cpu = max(self.cpu, cpu_seconds(self.pid))
            if reached():
                return
            if self._has_ended():
                return
            time.sleep(POLL)
        if self.code is None:
            kill_group(self.pid)
            raise TimeoutError(f"a run took more than {AT_MOST} seconds")

    def _has_ended(self) -> bool:
        if self.warm is not None:
            self.code = self.warm.ended(0)
            if self.code is not None:
                self.cpu = self.warm.cpu
        else:
            found, status, used = os.wait4(self.pid, os.WNOHANG)
            if found:
                self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu = used.ru_utime + used.ru_stime
        return self.code is not None

    def _ended(self) -> Ended:
        assert self.code is not None
        self.log.seek(0)
        said = self.log.read()
        self.log.close()
        return Ended(self.code, self._step(), self.cpu - self.cpu_of_start_up, said)

    def _step(self) -> str:
        """The step that was under way, told from what the run had written down."""
        path = self.record_file()
        if path is None:
            return "start-up"
        record: dict[str, Any] = json.loads(path.read_text())
        done = {step["step"] for step in record["steps"]}
        step = next((name for recorded, name in RECORDED.items() if recorded not in done), "end")
        if step != "dbt":
            return step
        sources = len(done & {"ingest", *(f"ingest {name}" for name in ("orders", "subscriptions", "customers"))})
        if sources < 3 and "ingest" not in done:
            return "ingest"
        return "dbt" if (self.home.runs / path.stem / "dbt").exists() else "copy"


def random_moment(chance: random.Random, cpu_seconds: float) -> tuple[float, float]:
    """Arguments of kill_after for a moment drawn uniformly over a run that takes as many seconds after start-up."""
    return chance.uniform(0, cpu_seconds), chance.uniform(0, AT_RANDOM)


def looks_abandoned(home: Home) -> list[str]:
    """What a run has left that should not be there after one that went through."""
    left = [path for folder in (home.warehouse, home.published) for path in folder.iterdir()]
    kept = [path for path in home.published.glob("g*.duckdb")]
    current = home.current.resolve()
    newer = [path for path in kept if int(path.stem[1:]) > int(current.stem[1:])]
    names = ("next.duckdb", "raw.scratch", "raw.duckdb.new", "empty.duckdb.new", ".")
    return sorted(path.name for path in [*(one for one in left if one.name.startswith(names)), *newer])


def statuses(home: Home) -> dict[str, int]:
    """How many runs stand with which status in the published pipeline_runs."""
    with duckdb.connect(str(home.current.resolve()), read_only=True) as connection:
        return dict(connection.execute("select status, count(*) from pipeline_runs group by status").fetchall())


def cpu_seconds(pid: int) -> float:
    """User and system time so far of a process that was not waited for, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _limit_files(largest: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
