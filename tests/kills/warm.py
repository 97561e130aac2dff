"""The command `retention` in processes that have imported everything before they begin, so that a test can afford
hundreds of runs: `python -m kills.warm` imports, and forks for every line of JSON on its input ({arguments, log,
environment}). It answers with the process id, and when that has ended with its exit code (negative: killed) and its
processor seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# What a run imports on its way.
MODULES = (
    *("retention_pipeline.cli.app", "retention_pipeline.cli.runs", "retention_pipeline.orchestration.launch"),
    *("retention_pipeline.orchestration.definitions", "retention_pipeline.orchestration.event_log"),
    *("retention_pipeline.orchestration.run_storage", "retention_pipeline.ingest.pull_loader"),
    *("retention_pipeline.kpis", "retention_pipeline.report", "dbt.cli.main", "dbt.adapters.duckdb", "dbt.task.build"),
    *("dagster", "dagster._core.execution.api", "sqlalchemy.dialects.sqlite", "alembic.command", "pandera", "psycopg"),
)


class Warm:
    """The process that forks."""

    def __init__(self) -> None:
        folders = os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kills.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # select sees no line that waits in a buffer
            env=os.environ | {"PYTHONPATH": folders, "COLUMNS": "200"},
            cwd=REPOSITORY,
        )
        self.cpu = 0.0  # of the run that ended last

    def start(self, arguments: list[str], log: Path, **environment: str) -> int:
        """Begin the command; its process id. One at a time."""
        assert self.process.stdin is not None
        asked = {"arguments": arguments, "log": str(log), "environment": environment}
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        return int(self._line())

    def ended(self, seconds: float) -> int | None:
        """The exit code, None if it still runs after as many seconds."""
        ready, _, _ = select.select([self.process.stdout], [], [], max(seconds, 0))
        if not ready:
            return None
        code, cpu = self._line().split()
        self.cpu = float(cpu)
        return int(code)

    def close(self) -> None:
        """End it."""
        self.process.communicate()

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def _run(arguments: list[str], log: str, environment: dict[str, str]) -> None:
    from retention_pipeline.cli.app import main as command
    from retention_pipeline.run.stopping import listen

    os.setsid()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(0)
    listen()
    code = 0
    try:
        sys.argv = ["retention", *arguments]
        command(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import, then fork for each line."""
    for name in MODULES:
        importlib.import_module(name)
    from retention_pipeline.cycles import look_for_cycles_less_often
    from retention_pipeline.transform.manifest import manifest_json

    manifest_json()
    look_for_cycles_less_often()
    gc.freeze()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(**asked)
        print(child, flush=True)
        _, status, used = os.wait4(child, 0)
        print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)


def kill_group(process: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a run and all that it started. Its group is there a moment after the fork."""
    for _ in range(100):
        try:
            os.killpg(process, number)
            return
        except ProcessLookupError:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
