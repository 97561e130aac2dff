"""When things run: the monthly partitions, the job `nightly` and its schedule in the business time zone."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb

from retention_pipeline.history.closing import Period
from retention_pipeline.orchestration.instance import end_dead_runs
from retention_pipeline.orchestration.run_context import JOB, RESOURCE
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import opened

# Without a history_start and before anything is published nobody knows how far back the data go.
FIRST_MONTH = date(2015, 1, 1)


def first_month(home: Home, settings: Settings) -> date:
    """The month of history_start; without one the first month of the published figures, else FIRST_MONTH (also where
    they cannot be read: the run says so).
    """
    if settings.history_start is not None:
        return settings.history_start.replace(day=1)
    if home.current.exists():
        with suppress(duckdb.Error), opened(home.current.resolve(), read_only=True) as connection:
            row = connection.execute("select min(period_start) from periods where grain = 'month'").fetchone()
            first: date | None = row[0] if row else None
            if first is not None:
                return first
    return FIRST_MONTH


def month_partitions(settings: Settings, first: date) -> dg.MonthlyPartitionsDefinition:
    """Months (keys YYYY-MM) from the first to the one under way in the business time zone."""
    return dg.MonthlyPartitionsDefinition(
        start_date=f"{first:%Y-%m}", fmt="%Y-%m", end_offset=1, timezone=settings.business.timezone
    )


def nightly_job() -> dg.JobDefinition:
    """Everything, from the sources to the published snapshot, in the months of its assets. A retry starts from the
    beginning.
    """
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description="Load what was delivered, bring the warehouse up to date, reconcile and publish it. "
        "Backfill: choose a range of months; it becomes one run.",
        tags={"dagster/retry_strategy": "ALL_STEPS"},
    )  # type: ignore[return-value]


def run_config(
    as_of: date,
    *,
    full_refresh: bool = False,
    allow_future: bool = False,
    reload: Sequence[str] = (),
    released: Sequence[Period] = (),
) -> dict[str, object]:
    """The job's configuration for a day."""
    config: dict[str, object] = {"as_of": as_of.isoformat(), "full_refresh": full_refresh}
    if allow_future:
        config["allow_future"] = True
    if reload:
        config["reload"] = list(reload)
    if released:
        config["restate"] = [f"{grain} {start}" for grain, start in released]
    return {"resources": {RESOURCE: {"config": config}}}


def partition_of(as_of: date, months: dg.PartitionsDefinition) -> str:
    """The partition a run is under: the month of its day, or the nearest that there is."""
    keys = months.get_partition_keys()
    return min(max(f"{as_of:%Y-%m}", keys[0]), keys[-1])


def is_of_its_month(as_of: date, today: date) -> bool:
    """Whether a run for a day may stand under the month of it: the night of today, and any day of a month that is over.
    Were a run for another day of this month to fail, this month would look failed.
    """
    return as_of == today or as_of < today.replace(day=1)


def hidden_month(first: date) -> date:
    """A month in front of the first one that any page shows, also a page that was opened before anything was published:
    what stands under it says nothing about any month.
    """
    return (min(first, FIRST_MONTH).replace(day=1) - timedelta(days=1)).replace(day=1)


def nightly_schedule(
    home: Home, settings: Settings, job: object, months: dg.PartitionsDefinition
) -> dg.ScheduleDefinition:
    """Runs the job at settings.schedule.cron for the day that has begun in the business time zone then."""
    timezone = settings.business.timezone

    @dg.schedule(
        name="every_night",
        job=job,  # type: ignore[arg-type]
        cron_schedule=settings.schedule.cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"At {settings.schedule.cron} (minute, hour, day, month, weekday) in {timezone}: load what was delivered,"
            " compute, reconcile, publish, tell. as_of is the day that has begun there, so everything up to midnight"
            " counts. One run at a time; what is missed while the daemon is down is not made up for, as the next run"
            " loads all that has come. To change it: schedule.cron in settings.yaml."
        ),
    )
    def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        end_dead_runs(context.instance, home)  # the queue would wait for them
        day = context.scheduled_execution_time.astimezone(ZoneInfo(timezone)).date()
        return dg.RunRequest(
            partition_key=partition_of(day, months),
            run_config=run_config(day),
            tags={"retention/as_of": day.isoformat(), "retention/command": "schedule"},
        )

    return every_night
