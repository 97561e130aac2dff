"""The job `nightly` in this process on the home's Dagster storage, so that runs from cron show in the UI.

What the command line needs of Dagster stands here and is imported by no command that does without it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from retention_pipeline.history.closing import Period
from retention_pipeline.run.frame import PRODUCTION, Assembly
from retention_pipeline.run.stopping import Interrupted, check_not_stopped
from retention_pipeline.settings import Home, Settings, keep_private


class RunFailed(Exception):
    """The run ended without a new generation; the text is the reason, `kind` the name of the error behind it."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class NoSuchMonths(Exception):
    """A range of months that a backfill cannot cover."""


@dataclass(frozen=True)
class Launched:
    """What came of a run. record: the run's own record (runs/<run_id>.json). seconds: where the time of the whole
    process went, by name, in order.
    """

    dagster_run_id: str
    record: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


def launch(
    home: Home,
    settings: Settings,
    *,
    as_of: date | None = None,
    full_refresh: bool = False,
    allow_future: bool = False,
    reload: Sequence[str] = (),
    months: tuple[str, str] | None = None,
    restate: Sequence[Period] | None = None,
    command: str = "run",
    say: Callable[[str], None],
    moment: Callable[[str], None] = lambda text: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    assembly: Assembly = PRODUCTION,
) -> Launched:
    """Run the job. `as_of` None: today in the business time zone, for a backfill the published day. `months`: first and
    last month (YYYY-MM) of a backfill, which is one run. `reload`: names of files that are loaded again. `restate`:
    periods whose held figures are let in, as of the published day; empty for all of them.

    Raises RunFailed, Interrupted, HomeIsBusy, NoSuchMonths, NothingPending, NoSuchGeneration, ImpossibleDay.
    """
    began = started = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[name] = seconds.get(name, 0.0) + now - started
        started = now

    keep_private(with_group=settings.readable_by == "group")
    moment("starting Dagster")
    # A stopped run leaves dbt's semaphores to Python's tracker process, which would complain about the two.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    import dagster as dg

    from retention_pipeline.alerts import tell_failure
    from retention_pipeline.orchestration import instance as storage
    from retention_pipeline.orchestration.definitions import build_definitions
    from retention_pipeline.orchestration.run_context import (
        COMMAND_TAG,
        JOB,
        RANGE_END,
        RANGE_START,
        Progress,
        business_day,
    )
    from retention_pipeline.orchestration.schedules import (
        first_month,
        hidden_month,
        is_of_its_month,
        partition_of,
        run_config,
    )
    from retention_pipeline.publish.recovery import recover
    from retention_pipeline.run.damage import named_damage
    from retention_pipeline.run.day import check_day
    from retention_pipeline.run.deadline import Deadline
    from retention_pipeline.run.lock import writer_lock
    from retention_pipeline.run.operations import held_periods
    from retention_pipeline.run.state import read_state

    lap("imports")
    check_not_stopped()
    with writer_lock(home), named_damage(home):
        if recovered := recover(home, thorough=full_refresh):
            say(recovered)
        published = read_state(home.current)
        if months is not None and published is None:
            raise NoSuchMonths("Nothing is published yet; the first run makes all history (retention run)")
        released = () if restate is None else held_periods(home, restate)
        today = business_day(settings, clock())
        loads_nothing = months is not None or bool(released)
        day = as_of or (published.as_of if loads_nothing and published else today)
        check_day(day, today=today, allow_future=allow_future or loads_nothing)
        month = day.replace(day=1)
        if months is None and not is_of_its_month(day, business_day(settings, clock())):
            month = hidden_month(min(month, first_month(home, settings)))
        definitions = build_definitions(
            home,
            settings=settings,
            assembly=assembly,
            progress=Progress(say, moment),
            clock=clock,
            no_month_after=month,
        )
        job = definitions.resolve_job_def(JOB)
        partitions = job.partitions_def
        assert partitions is not None
        lap("definitions")
        tags = storage.process_tags() | {COMMAND_TAG: command, "retention/as_of": day.isoformat()}
        if months is not None:
            _check_months(months, [key for key in partitions.get_partition_keys() if key <= f"{day:%Y-%m}"])
            tags |= {RANGE_START: months[0], RANGE_END: months[1]}
        config = {
            **run_config(day, full_refresh=full_refresh, allow_future=allow_future, reload=reload, released=released),
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }

        def execute(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
            lap("Dagster's storage")
            check_not_stopped()
            logging.getLogger("dagster").setLevel(logging.CRITICAL)
            return job.execute_in_process(
                instance=instance,
                run_config=config,
                tags=tags,
                partition_key=None if months else partition_of(month, partitions),
            )

        try:
            result = storage.with_instance(home, execute, say)
        except dg.Failure as failure:
            kind = failure.metadata["kind"].value if "kind" in failure.metadata else "Failure"
            raise RunFailed(failure.description or "the run failed", str(kind)) from failure
        except dg.DagsterExecutionInterruptedError:
            if time.perf_counter() - began > settings.max_run_time.total_seconds():
                tell_failure(home, settings, Deadline(settings.max_run_time).message, clock().replace(tzinfo=None))
                raise RunFailed(Deadline(settings.max_run_time).message, "RunTookTooLong") from None
            raise Interrupted("Stopped; the published figures are as they were.") from None
        lap("run")
    record = _record(home, result.run_id)
    steps = {step["step"]: step["wall"] for step in record.get("steps", [])}
    seconds["Dagster's events"] = max(seconds.pop("run") - sum(steps.values()), 0.0)
    return Launched(result.run_id, record, {**seconds, **steps})


def _check_months(months: tuple[str, str], known: Any) -> None:
    outside = [month for month in months if month not in known]
    if outside:
        raise NoSuchMonths(
            f"{' and '.join(outside)} cannot be backfilled: there are figures from {known[0]} to {known[-1]}"
        )


def _record(home: Home, dagster_run_id: str) -> dict[str, Any]:
    from retention_pipeline.run.records import all_records

    suffix = f"-{dagster_run_id[:8]}"
    return next((record for record in reversed(all_records(home)) if record["run_id"].endswith(suffix)), {})
