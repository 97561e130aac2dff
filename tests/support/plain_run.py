"""The steps of a run one after the other in this process, without Dagster around them: what the job `nightly` does, for
tests of what a run leaves behind. Dagster's part has tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from retention_pipeline.publish.differences import TableDifference, compare_generations
from retention_pipeline.publish.recovery import recover
from retention_pipeline.read.headline import Headline, read_headline
from retention_pipeline.run.after import alerts_step, export_step
from retention_pipeline.run.frame import PRODUCTION, Assembly, Progress, silent
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.run.mode import Mode
from retention_pipeline.run.operations import kept_open
from retention_pipeline.run.records import StepTiming, peak_memory_mb, timings
from retention_pipeline.run.results import Figures
from retention_pipeline.run.state import read_state
from retention_pipeline.run.steps import (
    audit_step,
    begin_run,
    build_step,
    figures_step,
    history_step,
    ingest_step,
    publish_step,
)
from retention_pipeline.settings import Home, Settings
from retention_pipeline.transform import BuildResult, build
from retention_pipeline.warehouse import opened, tables_in
from support.quick_build import build_quickly


@dataclass(frozen=True)
class RunResult:
    """What a run did, for a terminal or for Dagster. loads: ingest's LoadResult per file or pull; problems: of the
    exports.
    """

    run_id: str
    as_of: date
    mode: Mode
    generation: int
    path: Path
    loads: list[Any]
    refused: list[Any]
    row_counts: dict[str, int]
    figures: Figures
    audited_rules: int
    exported: list[Path]
    problems: list[str]
    timings: list[StepTiming]
    headline: Headline | None
    peak_memory_mb: int
    build: BuildResult = field(repr=False)


@dataclass(frozen=True)
class BackfillResult:
    """A backfill: the run that published it, and how the tables differ from the generation before (empty: not at all).

    first, last: first days of the months that were asked for.
    """

    first: date
    last: date
    run: RunResult
    differences: list[TableDifference]


def run(
    home: Home,
    settings: Settings,
    as_of: date,
    *,
    full_refresh: bool = False,
    now: datetime,
    progress: Progress | None = None,
    with_ingest: bool = True,
    reload: Sequence[str] = (),
    command: str = "run",
    run_id: str | None = None,
    months: tuple[date, date] | None = None,
    released: tuple[tuple[str, date], ...] = (),
    assembly: Assembly = PRODUCTION,
    builder: Callable[..., BuildResult] = build_quickly,
    by_dbt: bool = False,
) -> RunResult:
    """One run from sources to published generation under the writer lock; `now` in naive UTC. Unless `by_dbt`, the
    models are made by `builder`: a full refresh of the project's own ones without dbt's runner (support.quick_build).

    Raises HomeIsBusy, IngestError, NotFresh, InputError, BuildError, AuditError, NotEnoughSpace: each a message for
    users.
    """
    with writer_lock(home):
        if recovered := recover(home, thorough=full_refresh):
            (progress or silent)(recovered)
        this = begin_run(
            home,
            as_of,
            now=now,
            full_refresh=full_refresh,
            command=command,
            run_id=run_id,
            months=months,
            released=released,
        )
        ingested = None
        if with_ingest:
            ingested = ingest_step(home, settings, this, reload=reload, progress=progress, assembly=assembly)
        with patch("retention_pipeline.run.steps.build", build if by_dbt else builder):
            built = build_step(home, settings, this, progress=progress, assembly=assembly)
        figures = figures_step(home, settings, this, progress=progress, assembly=assembly)
        audited = audit_step(home, settings, this, progress=progress, assembly=assembly)
        history_step(home, settings, this, progress=progress)
        published = publish_step(home, settings, this, progress=progress)
        exported, problems = export_step(home, settings, this, progress=progress)
        problems += alerts_step(home, settings, this, progress=progress)
        return RunResult(
            run_id=this.run_id,
            as_of=as_of,
            mode=built.mode,
            generation=published.generation,
            path=published.path,
            loads=list(ingested.loads) if ingested else [],
            refused=list(ingested.refused) if ingested else [],
            row_counts=published.row_counts,
            figures=figures,
            audited_rules=len(audited.rules),
            exported=exported,
            problems=problems,
            timings=timings(home, this),
            headline=_headline(home, as_of),
            peak_memory_mb=peak_memory_mb(),
            build=built.dbt,
        )


def backfill(
    home: Home,
    settings: Settings,
    first: date,
    last: date,
    *,
    now: datetime,
    progress: Progress | None = None,
    assembly: Assembly = PRODUCTION,
    builder: Callable[..., BuildResult] = build_quickly,
) -> BackfillResult:
    """Add up the periods that overlap the months `first` to `last` anew from the facts of all customers, publish once,
    and say what differs.

    Nothing is ingested and `as_of` stays that of the published generation, so without changed data, code or settings
    nothing differs. Raises what `run` raises.
    """
    with writer_lock(home):
        state = read_state(home.current)
        assert state is not None
        with kept_open(home.current.resolve()) as comparison:
            result = run(
                home,
                settings,
                state.as_of,
                months=(first, last),
                now=now,
                progress=progress,
                with_ingest=False,
                command="backfill",
                assembly=assembly,
                builder=builder,
            )
            differences = compare_generations(comparison, result.path, first, last)
    return BackfillResult(first, last, result, differences)


def _headline(home: Home, as_of: date) -> Headline | None:
    with opened(home.current.resolve(), read_only=True) as connection:
        tables = tables_in(connection)
        return read_headline(connection, as_of=as_of) if {"retention_kpis", "kpi_definitions"} <= tables else None
