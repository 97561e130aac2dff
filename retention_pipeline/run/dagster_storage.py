"""Dagster's files of a home: which are damaged, how they are put out of the way, whether its daemon runs. No figure
depends on them.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import yaml

SILENT_AFTER = timedelta(minutes=5)  # a daemon that runs gives a sign every half minute


def damaged_storage(folder: Path, *, thorough: bool = False) -> list[tuple[Path, str]]:
    """The files of Dagster's storage that are damaged, and how. Not thorough: without the event logs of single runs,
    which nothing but the web page reads.
    """
    found = []
    for name in ("dagster.yaml", "workspace.yaml"):
        path = folder / name
        if path.exists() and (reason := _yaml_problem(path)):
            found.append((path, reason))
    needed = (folder / name for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"))
    for path in sorted(folder.rglob("*.db") if thorough else needed):
        if path.exists() and (reason := _sqlite_problem(path)):
            found.append((path, reason))
    return found


def _yaml_problem(path: Path) -> str | None:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"is no longer valid YAML: {' '.join(str(error).split())[:200]}"
    return None if isinstance(content, dict) else "is empty or no longer YAML"


def _sqlite_problem(path: Path) -> str | None:
    if path.stat().st_size == 0:
        return "is empty"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            [answer] = connection.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if "locked" in str(error) or "unable to open" in str(error):
            return None  # somebody writes, or rights, which are told apart
        return f"is damaged: {error}"
    return None if answer == "ok" else f"is damaged: {' '.join(str(answer).split())[:200]}"


def put_aside(path: Path, moment: str) -> Path:
    """Give a damaged file or folder another name; the next run makes a new one."""
    target = path.with_name(f"{path.name}.damaged-{moment}")
    os.rename(path, target)
    return target


def schedule_state(folder: Path, now: datetime) -> Literal["on", "off", "no daemon"]:
    """Whether the schedule starts a run when its moment comes; off: somebody switched it off in the web page. `now` in
    naive UTC. Asked without Dagster, which takes a second to import.
    """
    beats = _rows(
        folder / "history/runs.db", "select max(timestamp) from daemon_heartbeats where daemon_type = 'SCHEDULER'"
    )
    last = datetime.fromisoformat(beats[0][0]) if beats and beats[0][0] else None
    if last is None or now - last > SILENT_AFTER:
        return "no daemon"
    stopped = "select 1 from instigators where instigator_type = 'SCHEDULE' and status = 'STOPPED'"
    return "off" if _rows(folder / "schedules/schedules.db", stopped) else "on"


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The answer of one of Dagster's databases; nothing where it is not there, or damaged."""
    if path.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as read:
            return read.execute(query).fetchall()
    return []
