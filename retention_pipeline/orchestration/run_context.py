"""What the assets of one Dagster run share: the day it is for, the writer lock, the run's record, and its progress.

Only the meeting of Dagster and a run belongs here: which selections may run, which errors are tried again, and what a
failure says.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
from pydantic import Field

from retention_pipeline.alerts import tell_failure
from retention_pipeline.cycles import look_for_cycles_less_often
from retention_pipeline.errors import is_interruption
from retention_pipeline.history.closing import Period
from retention_pipeline.orchestration.workspace import Workspace
from retention_pipeline.publish.recovery import recover
from retention_pipeline.run import steps
from retention_pipeline.run.day import check_day
from retention_pipeline.run.deadline import Deadline
from retention_pipeline.run.frame import Assembly
from retention_pipeline.run.lock import HomeIsBusy, writer_lock
from retention_pipeline.run.machine import machine_error
from retention_pipeline.run.messages import MESSAGES, heard
from retention_pipeline.run.records import Run, note_why_stopped
from retention_pipeline.run.state import PipelineState, read_state
from retention_pipeline.settings import Home, Settings, SettingsError, keep_private
from retention_pipeline.transform.engine import check_engine

JOB = "nightly"
RESOURCE = "night"
POOL = "warehouse"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
COMMAND_TAG, BACKFILL = "retention/command", "backfill"
RETRIES, SECONDS_BEFORE_RETRY = 2, 15.0
STOPPED = "Stopped by Ctrl-C or a signal; the published figures are as they were."
# What can pass by itself. A full disk, a missing file or a refused permission does not.
PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EINTR,
        errno.EIO,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ECONNREFUSED,
        errno.ECONNABORTED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ESTALE,
        errno.EPIPE,
    }
)


class SelectionError(Exception):
    """The assets chosen for a run do not end in a published generation."""


@dataclass(frozen=True)
class Progress:
    """Where a run tells what it does: `say` for lines that stay, `moment` for what is under way right now."""

    say: Callable[[str], None]
    moment: Callable[[str], None] = lambda text: None


@dataclass
class RunContext:
    """One run. `clock`: the time, with a zone. `months`: first and last key (YYYY-MM) of the partitions that Dagster
    was asked for, empty for none.
    `is_backfill`: past months are computed again from what raw holds; nothing is loaded and `as_of` stays as published.
    `reload`: names of files that are loaded again. `released`: closed periods (grain, first day) whose held figures are
    let in; nothing is loaded, and `as_of` stays as published.
    """

    home: Home
    settings: Settings
    as_of: date
    full_refresh: bool
    months: list[str]
    dagster_run: dg.DagsterRun
    needed: frozenset[dg.AssetKey]
    assembly: Assembly
    command: str
    is_backfill: bool = False
    allow_future: bool = False
    reload: tuple[str, ...] = ()
    released: tuple[Period, ...] = ()
    settings_problem: SettingsError | None = None
    progress: Progress | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    run: Run | None = None
    deadline: Deadline | None = None
    held: ExitStack = field(default_factory=ExitStack)
    heard_by: Progress = field(default_factory=lambda: Progress(print))

    @property
    def loads_nothing(self) -> bool:
        return self.is_backfill or bool(self.released)

    def reporter(self, context: dg.AssetExecutionContext) -> Progress:
        """Who started the run reads along in the terminal; else Dagster's log does. The run's log has all of it."""
        self.heard_by = self.progress or Progress(say=context.log.info)
        return Progress(say=self._say, moment=self.heard_by.moment)

    def _say(self, text: str) -> None:
        if self.run is None:  # it has no log yet
            self.heard_by.say(text)
        else:
            MESSAGES.info(text)

    @contextmanager
    def step(self, context: dg.AssetExecutionContext, *, may_retry: bool = False) -> Iterator[Run]:
        """The body of an asset: refuses a selection that cannot publish, takes the lock, and turns errors into failures
        of one message. What can pass by itself is tried again where `may_retry`; bad data never is.
        """
        try:
            if self.run is None:
                self._open()
            assert self.run is not None
            yield self.run
        except dg.Failure:
            raise
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as raised:
            self._note_why_stopped()
            raise dg.DagsterExecutionInterruptedError from raised
        except Exception as raised:
            if is_interruption(raised):
                self._note_why_stopped()
                raise dg.DagsterExecutionInterruptedError from raised
            error = machine_error(self.home, raised) or raised
            passing = is_transient(raised)
            if passing and may_retry and context.retry_number < RETRIES:
                self.reporter(context).say(f"{error}: tried again in {SECONDS_BEFORE_RETRY:.0f} s")
                raise dg.RetryRequested(RETRIES, SECONDS_BEFORE_RETRY) from raised
            self.tell(error)
            if passing or type(error).__module__.startswith("retention_pipeline."):
                raise failure(error) from raised
            raise

    def _note_why_stopped(self) -> None:
        if self.run is not None:
            is_late = self.deadline is not None and self.deadline.has_passed
            note_why_stopped(self.home, self.run, self.deadline.message if self.deadline and is_late else STOPPED)

    def _open(self) -> None:
        if self.settings_problem is not None:
            raise self.settings_problem
        check_selection(self.dagster_run, self.needed)
        today = business_day(self.settings, self.clock())
        check_day(self.as_of, today=today, allow_future=self.allow_future or self.loads_nothing)
        check_engine(self.settings)
        look_for_cycles_less_often()
        keep_private(with_group=self.settings.readable_by == "group")
        self.held.enter_context(writer_lock(self.home))
        self.deadline = self.held.enter_context(Deadline(self.settings.max_run_time))
        now = self.clock().astimezone(UTC).replace(tzinfo=None)
        run = steps.begin_run(
            self.home,
            self.as_of,
            now=now,
            full_refresh=self.full_refresh,
            command=self.command,
            run_id=self._run_id(now),
            months=self._backfilled_months(),
            released=self.released,
        )
        self.held.enter_context(heard(run.folder(self.home), lambda text: self.heard_by.say(text)))
        self.run = run

    def tell(self, error: Exception) -> None:
        """Tell the log and those who want to hear of failed runs; what hinders that is said, and hides nothing."""
        if self.run is not None:
            MESSAGES.error(f"{type(error).__name__}: {error}")
        if self.settings_problem is None:
            now = self.clock().astimezone(UTC).replace(tzinfo=None)
            for problem in tell_failure(self.home, self.settings, str(error), now):
                self._say(f"alerts: {problem}")

    def _backfilled_months(self) -> tuple[date, date] | None:
        """First days of the first and the last month of a backfill."""
        if not self.is_backfill or not self.months:
            return None
        first, last = (date.fromisoformat(f"{month}-01") for month in (self.months[0], self.months[-1]))
        return first, last

    def _run_id(self, now: datetime) -> str:
        """Sorts by time and names Dagster's run."""
        return f"{now:%Y%m%dT%H%M%S}-{self.dagster_run.run_id[:8]}"


def failure(error: Exception) -> dg.Failure:
    """A step's end because of the data or of what was asked for: one message, and no second try."""
    return dg.Failure(str(error), metadata={"kind": type(error).__name__}, allow_retries=False)


def night_resource(
    work: Workspace,
    needed: frozenset[dg.AssetKey],
    *,
    assembly: Assembly,
    progress: Progress | None,
    clock: Callable[[], datetime],
) -> dg.ConfigurableResource[RunContext]:
    """The resource `night`: its fields are what the launchpad asks for and `retention run` takes, its value is the
    context of the run.
    """

    class Night(dg.ConfigurableResource[RunContext]):
        """The run: its day, the writer lock of the home and the run's record."""

        as_of: str = Field(  # a field without a value would not stand in the form
            default="", description="The business day before which things count, YYYY-MM-DD; empty: today"
        )
        allow_future: bool = Field(default=False, description="Also for an as_of after today")
        full_refresh: bool = Field(default=False, description="Compute every sum anew from raw")
        backfill: bool = Field(
            default=False,
            description="This is a backfill: the months of the partitions are computed again from what is loaded, as of"
            " the published day",
        )
        reload: list[str] = Field(default=[], description="Files to load again though their bytes are known")
        restate: list[str] = Field(
            default=[],
            description="Closed periods whose held figures are let in, such as 'month 2026-02-01'; loads nothing",
        )

        @contextmanager
        def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[RunContext]:
            dagster_run = context.run
            assert dagster_run is not None
            today = business_day(work.settings, clock())
            published = _published(work.home)
            released = tuple(period_of(text) for text in self.restate)
            asked = self.backfill or asks_for_the_past(dagster_run.tags, self.as_of or None, today)
            is_backfill = published is not None and asked and not released
            if self.as_of:
                as_of = date.fromisoformat(self.as_of)
            else:
                as_of = published.as_of if published is not None and (is_backfill or released) else today
            opened = RunContext(
                home=work.home,
                settings=work.settings,
                as_of=as_of,
                full_refresh=self.full_refresh,
                allow_future=self.allow_future,
                reload=tuple(self.reload),
                released=released,
                months=asked_months(dagster_run.tags),
                dagster_run=dagster_run,
                needed=needed,
                assembly=assembly,
                command=BACKFILL if is_backfill else dagster_run.tags.get(COMMAND_TAG, "dagster"),
                is_backfill=is_backfill,
                progress=progress,
                clock=clock,
                settings_problem=work.problem,
            )
            with opened.held:
                yield opened

    return Night()


def _published(home: Home) -> PipelineState | None:
    """The published state, from the newest readable generation where the link is lost; what else is wrong is said by
    the first step.
    """
    if home.published.exists():
        with suppress(HomeIsBusy), writer_lock(home):
            recover(home)
    try:
        return read_state(home.current)
    except duckdb.Error:
        return None


def period_of(text: str) -> Period:
    """A period from `month 2026-02-01`: its grain and first day."""
    grain, _, start = text.partition(" ")
    return grain, date.fromisoformat(start)


def business_day(settings: Settings, now: datetime) -> date:
    """The day that has begun in the business time zone; `now` with a zone."""
    return now.astimezone(ZoneInfo(settings.business.timezone)).date()


def asks_for_the_past(tags: Mapping[str, str], as_of: str | None, today: date) -> bool:
    """Whether a run is a backfill: started as one, or for partitions without a day, and not just for this month's."""
    if tags.get(COMMAND_TAG) == BACKFILL:
        return True
    months = asked_months(tags)
    return as_of is None and bool(months) and months != [f"{today:%Y-%m}"]


def asked_months(tags: Mapping[str, str]) -> list[str]:
    """First and last month (YYYY-MM) of the partitions in a run's tags; one if both are the same, none without them."""
    bounds = [tags.get(RANGE_START) or tags.get(PARTITION), tags.get(RANGE_END) or tags.get(PARTITION)]
    return list(dict.fromkeys(month for month in bounds if month))


def check_selection(dagster_run: dg.DagsterRun, needed: frozenset[dg.AssetKey]) -> None:
    """Raise SelectionError if the run leaves out a step between raw and the published snapshot."""
    chosen = dagster_run.asset_selection
    if chosen and not needed <= chosen:
        missing = "published_snapshot" if dg.AssetKey("published_snapshot") not in chosen else "steps before it"
        raise SelectionError(
            f"This selection leaves out {missing}, so nothing would come of it: launch the whole job '{JOB}' instead"
            " (Jobs → nightly, or: retention run)."
        )
    if dagster_run.step_keys_to_execute and dagster_run.parent_run_id:
        raise SelectionError(
            f"A failed run leaves nothing to continue from: launch the whole job '{JOB}' again"
            " (Re-execute all, or: retention run)."
        )


def is_transient(error: BaseException) -> bool:
    """Whether an error may be gone in a minute: a database, a network or a disk that does not answer."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HomeIsBusy):
            return False
        if isinstance(seen, ConnectionError | TimeoutError):
            return True
        if isinstance(seen, OSError) and seen.errno in PASSING:
            return True
        if isinstance(seen, duckdb.IOException) and "space" not in str(seen):
            return True
        if type(seen).__module__.startswith("psycopg") and type(seen).__name__ == "OperationalError":
            return True
        seen = seen.__cause__
    return False
