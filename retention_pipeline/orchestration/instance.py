"""Dagster's own storage of a home (home/dagster): its settings file, written once, and the instance opened on it."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import yaml

from retention_pipeline.errors import behind, refused, told
from retention_pipeline.run.dagster_storage import damaged_storage, put_aside
from retention_pipeline.run.lock import lock_holder
from retention_pipeline.run.machine import NO_RIGHTS
from retention_pipeline.run.records import all_records
from retention_pipeline.settings import Home, keep_private, resolve_home

if TYPE_CHECKING:
    from dagster import DagsterInstance

T = TypeVar("T")
STORAGE_MODULES = ("sqlalchemy", "sqlite3", "alembic", "dagster._serdes", "dagster_shared.serdes")
PROCESS_TAG, HOST_TAG = "retention/pid", "retention/host"
NOT_TAKEN = "Exception while writing logger call to event log"
SPACE_FOR_STORAGE = 1024 * 1024  # with fewer bytes free, errors of the storage say nothing about it
SECONDS_AROUND_A_RUN = 3600.0  # more than it takes until a run has its lock, or to end when it is given back
NOT_AGAIN = {"dagster/max_retries": "0"}  # who started a run by hand or by cron starts it again, not the daemon
DAGSTER_YAML = """\
# Written by the retention pipeline when the folder was made; yours to change.
telemetry: {enabled: false}
nux: {enabled: false}
# What a run logs on the console; its page has everything.
python_logs: {python_log_level: INFO}
# One run at a time. Runs from the command line do not pass through the queue; the home's writer lock keeps them apart.
concurrency:
  runs: {max_concurrent_runs: 1}
  pools: {default_limit: 1, granularity: run}
# A run whose process died is started again, from the beginning; a step that failed is not (steps retry what can pass).
run_retries: {enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}
run_monitoring: {enabled: true, poll_interval_seconds: 10, free_slots_after_run_end_seconds: 60}
retention:
  schedule: {purge_after_days: 90}
  sensor: {purge_after_days: {skipped: 7, failure: 30, success: 90}}
"""
WORKSPACE_YAML = """\
# What `retention ui` loads; the same as workspace.yaml of the repository, so that schedules keep their state.
load_from:
  - python_module: {module_name: retention_pipeline.orchestration.definitions, location_name: retention}
"""


def prepare_storage(home: Home) -> Path:
    """The folder home/dagster with its two settings files and an initialised storage; what is there stays as it is.

    A fresh storage opened by two processes at once can break one of them, so this is done once, behind a lock.
    """
    home.dagster.mkdir(parents=True, exist_ok=True)
    with open(home.dagster / ".prepared", "a+") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        for name, content in (("dagster.yaml", DAGSTER_YAML), ("workspace.yaml", WORKSPACE_YAML)):
            if not (home.dagster / name).exists():
                (home.dagster / name).write_text(content, encoding="utf-8")
        marker.seek(0)
        if not marker.read():
            from dagster import DagsterInstance

            with DagsterInstance.from_config(str(home.dagster)) as instance:
                instance.get_runs_count()
                instance.schedule_storage  # noqa: B018  (opening it makes its tables)
            marker.write("storage initialised\n")
    return home.dagster


def open_instance(home: Home) -> DagsterInstance:
    """Dagster's instance of a home, for a run in this process: the storage that everybody uses, with its event log
    kept open (event_log.py) unless dagster.yaml names a storage of its own.
    """
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    folder = prepare_storage(home)
    configured = yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8")) or {}
    if {"storage", "event_log_storage", "run_storage"} & configured.keys():
        return DagsterInstance.from_config(str(folder))
    log = {
        "module": "retention_pipeline.orchestration.event_log",
        "class": "OpenEventLog",
        "config": {"base_dir": str(folder / "history" / "runs")},
    }
    runs = {
        "module": "retention_pipeline.orchestration.run_storage",
        "class": "PlacedRuns",
        "config": {"base_dir": str(folder / "history")},
    }
    overrides = {"event_log_storage": log, "run_storage": runs}
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides))


def with_instance(home: Home, work: Callable[[DagsterInstance], T], say: Callable[[str], None]) -> T:
    """Do work on Dagster's instance of a home, whatever state its storage is in, for no figure depends on it: what is
    damaged is put aside and made anew; where that cannot be done, or where it may not be used, the run leaves no trace
    in the web page. Both are said. What storage breaks on in the middle of the work, the work is begun again for.
    """
    from dagster import DagsterInstance

    why = ""
    for attempt in (1, 2):
        try:
            if wrong := damaged_storage(home.dagster):
                _begin_anew(home, f"{wrong[0][0]} {wrong[0][1]}", say)
            opened = open_instance(home)
            try:
                end_dead_runs(opened, home)
            except BaseException:
                opened.__exit__(*sys.exc_info())
                raise
        except Exception as error:
            why = f"{_reason(error)}; "
            if attempt == 1 and not _is_no_right(error) and _begin_anew(home, _reason(error), say):
                continue
            break
        try:
            with opened as instance, redirect_stderr(cast(TextIO, _WithoutStorage(sys.stderr))):
                return work(instance)
        except Exception as error:
            if not _is_of_storage(error):
                raise
            if attempt == 1 and _begin_anew(home, _reason(error), say):
                continue
            break
    say(
        f"{home.dagster} cannot be used; this run will not show in the web page"
        f" ({why}retention doctor --home {home.root})"
    )
    with DagsterInstance.ephemeral() as instance:
        return work(instance)


class _WithoutStorage:
    """Standard error without what Dagster writes there for every event that its storage does not take; `with_instance`
    says it once.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith(NOT_TAKEN) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _begin_anew(home: Home, reason: str, say: Callable[[str], None]) -> bool:
    """Put Dagster's folder aside; whether that could be done. Not where the disk is full, which is no damage."""
    if shutil.disk_usage(home.root).free < SPACE_FOR_STORAGE:
        return False
    try:
        aside = put_aside(home.dagster, f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    except OSError:
        return False
    say(
        f"Dagster's history of runs was damaged ({reason}). It is put aside as {aside}, and a new one begins;"
        " no figure depends on it"
    )
    return True


def _is_no_right(error: BaseException) -> bool:
    """Whether the user may not use the storage, which is no damage of it."""
    known = refused(error)
    return "readonly database" in str(error) or (known is not None and known.number in NO_RIGHTS)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        return told(error)
    return " ".join(str(error).split("\n")[0].split())[:300] or type(error).__name__


def _is_of_storage(error: BaseException | None) -> bool:
    """Whether an error comes from Dagster's own files: SQLite's, or what stands in them."""
    from dagster import DagsterExecutionInterruptedError, Failure

    for one in behind(error):
        if isinstance(one, Failure | DagsterExecutionInterruptedError):
            return False
        if type(one).__module__.startswith(STORAGE_MODULES):
            return True
    return False


def process_tags() -> dict[str, str]:
    """Tags by which a run of this process can be told from one whose process is gone."""
    return {PROCESS_TAG: str(os.getpid()), HOST_TAG: socket.gethostname()} | NOT_AGAIN


def end_dead_runs(instance: DagsterInstance, home: Home) -> list[str]:
    """Mark runs as failed whose process was killed; else they look as if they ran for ever, and the queue waits for
    them. A run of the command line names its process; one that a daemon began is dead when the home's lock is no longer
    its own, for Dagster does not notice that the machine or the container went down. Returns their ids.
    """
    from dagster import DagsterRunStatus, RunsFilter

    ended = []
    unfinished = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.NOT_STARTED]
    for record in instance.get_run_records(RunsFilter(statuses=unfinished)):
        run = record.dagster_run
        process = run.tags.get(PROCESS_TAG)
        if process:
            is_dead = run.tags.get(HOST_TAG) == socket.gethostname() and not _is_alive(int(process))
        else:
            is_dead = run.status == DagsterRunStatus.STARTED and _lost_its_lock(home, run.run_id, record.start_time)
        if is_dead:
            instance.report_run_failed(run, "The process of this run was killed; what it had not published is not.")
            ended.append(run.run_id)
    return ended


def _lost_its_lock(home: Home, run_id: str, started: float | None) -> bool:
    """Whether a run no longer has the home's lock, which it takes as it begins and keeps until its end."""
    own = next((record for record in all_records(home) if record["run_id"].endswith(f"-{run_id[:8]}")), None)
    if own is not None and own.get("status") == "running":
        began = datetime.fromisoformat(own["started_at"]).replace(tzinfo=UTC)
    elif started is not None and time.time() - started > SECONDS_AROUND_A_RUN:
        began = datetime.fromtimestamp(started, UTC)
    else:
        return False
    holder = lock_holder(home)
    return holder is None or ("since" in holder and datetime.fromisoformat(holder["since"]) > began)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    keep_private(with_group=False)
    place = resolve_home(None)
    with open_instance(place) as prepared:
        end_dead_runs(prepared, place)
    print(place.dagster)
