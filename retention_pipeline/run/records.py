"""Records of runs: one JSON file per run, failed and killed ones included, and the table `pipeline_runs` made from
them.

A record is written when a run starts and after each of its steps, so that a kill leaves what had been done.
"""

import json
import os
import resource
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.settings import Home

SHOWN_RUNS = 1000

COLUMNS = {
    "run_id": "varchar not null",
    "command": "varchar not null",
    "status": "varchar not null",
    "as_of": "date not null",
    "mode": "varchar",
    "reason": "varchar",
    "generation": "bigint",
    "started_at": "timestamp not null",
    "finished_at": "timestamp",
    "failed_step": "varchar",
    "error": "varchar",
    "wall_seconds": "double",
    "cpu_seconds": "double",
    "peak_memory_mb": "bigint",
    "files_loaded": "bigint",
    "files_refused": "bigint",
    "rows_new": "bigint",
    "rows_changed": "bigint",
    "rows_quarantined": "bigint",
    "kpi_rows": "bigint",
    "kpi_rows_changed": "bigint",
    "warnings": "varchar",
}


@dataclass(frozen=True)
class Run:
    """One run: what was asked for.

    started_at: naive UTC; full_refresh: asked for by the user; months: first days of the first and the last month of a
    backfill; released: closed periods (grain, first day) whose held figures are let in.
    """

    run_id: str
    as_of: date
    started_at: datetime
    full_refresh: bool = False
    command: str = "run"
    months: tuple[date, date] | None = None
    released: tuple[tuple[str, date], ...] = ()
    began: float = field(default_factory=time.monotonic, compare=False, repr=False)

    @property
    def moment(self) -> datetime:
        """What time it is now, counted from `started_at`; naive UTC."""
        return self.started_at + timedelta(seconds=time.monotonic() - self.began)

    @property
    def backfilled_days(self) -> tuple[date, date] | None:
        """The days [from, to) of a backfill's months."""
        if self.months is None:
            return None
        first, last = self.months
        return first, date(last.year + last.month // 12, last.month % 12 + 1, 1)

    def folder(self, home: Home) -> Path:
        """Where dbt's artefacts and log of this run are."""
        return home.runs / self.run_id

    def file(self, home: Home) -> Path:
        """The record."""
        return home.runs / f"{self.run_id}.json"


@dataclass(frozen=True)
class StepTiming:
    """Seconds of a step: on the clock, and of this process's processors."""

    step: str
    wall: float
    cpu: float


def new_run_id(now: datetime) -> str:
    """Sorts by time: 20240131T020000-1a2b3c."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def start_run(home: Home, run: Run) -> Run:
    """Write the first record of a run (status `running`), unless it has one (a step that is tried again)."""
    if not run.file(home).exists():
        write_record(
            home,
            run,
            {
                "run_id": run.run_id,
                "command": run.command,
                "status": "running",
                "as_of": run.as_of,
                "full_refresh_asked": run.full_refresh,
                "started_at": run.started_at,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "steps": [],
            },
        )
    return run


@contextmanager
def recorded(home: Home, run: Run, step: str) -> Iterator[dict[str, Any]]:
    """Measure a step and keep it in the record, with what the body adds to the yielded dict; a failure is kept as the
    run's end.

    The record of an earlier try of the same step is replaced.
    """
    notes: dict[str, Any] = {}
    wall, processor = time.perf_counter(), time.process_time()
    try:
        yield notes
    except BaseException as error:
        message = str(error) or type(error).__name__
        failure = {
            "status": "failed",
            "failed_step": step,
            "error": message,
            "finished_at": datetime.now(UTC).replace(tzinfo=None),
        }
        _add(home, run, step, wall, processor, notes | failure)
        raise
    _add(home, run, step, wall, processor, notes)


def note_why_stopped(home: Home, run: Run, why: str) -> None:
    """Write into the record of a run that was interrupted in a step what interrupted it."""
    record = read_record(home, run)
    if record.get("status") == "failed":
        write_record(home, run, record | {"error": why})


def read_record(home: Home, run: Run) -> dict[str, Any]:
    """The record as written; empty if there is none."""
    path = run.file(home)
    return json.loads(path.read_text()) if path.exists() else {}


def write_record(home: Home, run: Run, record: dict[str, Any]) -> None:
    """Replace the record in one step."""
    home.runs.mkdir(parents=True, exist_ok=True)
    path = run.file(home)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, default=_jsonable))
    os.replace(temporary, path)


def timings(home: Home, run: Run) -> list[StepTiming]:
    """The steps so far, in order."""
    return [StepTiming(one["step"], one["wall"], one["cpu"]) for one in read_record(home, run).get("steps", [])]


def record_in(path: Path) -> dict[str, Any] | None:
    """The record in a file; None where it holds none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"run_id", "started_at", "as_of"} <= record.keys() else None


def all_records(home: Home) -> list[dict[str, Any]]:
    """The last SHOWN_RUNS records, oldest first. A file that is not a record is left out."""
    records = []
    for path in home.runs.glob("*.json") if home.runs.exists() else ():
        with suppress(OSError):
            if (record := record_in(path)) is not None:
                records.append(record)
    return sorted(records, key=lambda record: (record["started_at"], record["run_id"]))[-SHOWN_RUNS:]


def prune(home: Home, keep: int) -> int:
    """Remove the oldest records with their folders, all but `keep`; returns how many. What cannot be removed stays."""
    files = sorted(home.runs.glob("*.json")) if home.runs.exists() else []  # names begin with the time
    old = files[: max(0, len(files) - keep)]
    for path in old:
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        with suppress(OSError):
            path.unlink()
    return len(old)


def as_row(record: dict[str, Any], *, alive: str | None) -> dict[str, Any]:
    """A record as a row of `pipeline_runs`. A run that says `running` and is not the one alive was killed."""
    steps = record.get("steps", [])
    row = {name: record.get(name) for name in COLUMNS}
    row["command"] = record.get("command", "run")
    row["warnings"] = "\n".join(record.get("warnings") or []) or None
    row["wall_seconds"] = round(sum(step["wall"] for step in steps), 3)
    row["cpu_seconds"] = round(sum(step["cpu"] for step in steps), 3)
    if record.get("status") == "running" and record["run_id"] != alive:
        row["status"] = "killed"
    return row


def write_pipeline_runs(connection: duckdb.DuckDBPyConnection, home: Home, run: Run) -> None:
    """Create `pipeline_runs` from all records. The run that writes it stands as succeeded: if it is not, nobody reads
    this.
    """
    listed = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"create or replace table pipeline_runs ({listed})")
    rows = [as_row(record, alive=run.run_id) for record in all_records(home)]
    for row in rows:
        if row["run_id"] == run.run_id:
            row["status"] = "succeeded"
    if rows:
        marks = ", ".join("?" for _ in COLUMNS)
        connection.executemany(f"insert into pipeline_runs values ({marks})", [list(row.values()) for row in rows])


def peak_memory_mb() -> int:
    """The largest resident size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _add(home: Home, run: Run, step: str, wall: float, processor: float, values: dict[str, Any]) -> None:
    record = read_record(home, run)
    timing = StepTiming(step, round(time.perf_counter() - wall, 3), round(time.process_time() - processor, 3))
    steps = [one for one in record.get("steps", []) if one["step"] != step]
    write_record(home, run, record | {"steps": [*steps, asdict(timing)], "peak_memory_mb": peak_memory_mb()} | values)


def _jsonable(value: Any) -> Any:
    if isinstance(value, date):  # and datetime, which is one
        return value.isoformat()
    return str(value)
