"""Runs over the tiny company: what is delivered, a night with its clock, a project that is broken."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Home
from support import tiny_warehouse as tiny
from support.plain_run import RunResult, run

APRIL = date(2024, 4, 10)
FIRST = [("1", "ann", "2024-01-05", 10), ("2", "bob", "2024-02-05", 10), ("3", "ann", "2024-03-01", 5)]
LATE = [("4", "cat", "2024-02-20", 7)]


def night(home: Home, project: Path, as_of: date = APRIL, **changes: Any) -> RunResult:
    swapped = ("ingest", "compute_kpis", "validate_kpis")
    parts = {name: changes.pop(name) for name in swapped if name in changes}
    settings = changes.pop("settings", None) or tiny.settings()
    assembly = tiny.assembly(project, **parts)
    return run(home, settings, as_of, now=later(), assembly=assembly, builder=tiny.build, **changes)


def later(clock: Iterator[int] = count(1)) -> datetime:  # noqa: B008 - one clock for all runs
    """Runs follow one another, a minute apart."""
    return tiny.NOW + timedelta(minutes=next(clock))


def broken_copy(project: Path, folder: Path, file: str, content: str) -> Path:
    made = tiny.make_project(folder)
    (made / file).write_text(content)
    return made
