"""What an operator asks besides a run: status, check, restore, rebuild. Plain functions that return data; no
printing.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.audit import audit, check_rule
from retention_pipeline.audit.raw import raw_rules
from retention_pipeline.audit.shapes import Rule
from retention_pipeline.history.archive import note_restore, write_missing
from retention_pipeline.history.check import RULE as HISTORY_RULE
from retention_pipeline.history.check import history_violations
from retention_pipeline.history.closing import Period, pending_periods, shadow
from retention_pipeline.ingest.loads import waiting_loads
from retention_pipeline.ingest.rebuild import Rebuilt, rebuild_raw
from retention_pipeline.kpis.violation import Violation
from retention_pipeline.publish import generations
from retention_pipeline.publish.generations import Generation
from retention_pipeline.publish.provenance import mismatch
from retention_pipeline.publish.recovery import NoSuchGeneration
from retention_pipeline.publish.recovery import restore as restore_generation
from retention_pipeline.run.after import shown_on_spark
from retention_pipeline.run.damage import find_damage, lost_link, named_damage
from retention_pipeline.run.frame import PRODUCTION, Assembly, Progress, silent, validator
from retention_pipeline.run.lock import lock_holder, writer_lock
from retention_pipeline.run.records import all_records, as_row, new_run_id
from retention_pipeline.run.state import PipelineState, read_state
from retention_pipeline.settings import Home, Settings, SettingsError, load_settings
from retention_pipeline.transform.data_tests import compiled_data_tests
from retention_pipeline.transform.delivered_segments import with_delivered_segments
from retention_pipeline.warehouse import DamagedFile, attach, connect, has_table, opened, opened_raw, tables_in

EXAMPLES = 5


@dataclass(frozen=True)
class Status:
    """How a home stands. runs: rows of pipeline_runs, newest first; writer: who holds the lock, None if nobody does.

    waiting_loads: loads in raw that the published figures do not contain yet; None while a run writes.
    problems: files that are lost or damaged, each with the command that helps. apart: why raw.duckdb and what is
    published do not belong together, None if they do.
    """

    state: PipelineState | None
    kept: list[Generation]
    runs: list[dict[str, Any]]
    writer: dict[str, str] | None
    waiting_loads: int | None
    problems: list[str] = field(default_factory=list)
    apart: str | None = None

    @property
    def last_failure(self) -> dict[str, Any] | None:
        """The latest run, if it failed or was killed."""
        latest = next((row for row in self.runs if row["status"] != "running"), None)
        return latest if latest and latest["status"] in {"failed", "killed"} else None


@dataclass(frozen=True)
class CheckResult:
    """Every rule that was checked on raw and on the published generation, and those that do not hold."""

    rules: list[str]
    violations: list[Violation]


def status(home: Home, settings: Settings | None = None) -> Status:
    """How the home stands; takes no lock and disturbs no run. With settings also whether raw and what is published
    belong together.
    """
    problems = []
    state: PipelineState | None = None
    if home.current.exists():
        try:
            with named_damage(home):
                state = read_state(home.current.resolve())
        except DamagedFile as damaged:
            problems.append(str(damaged))
    elif lost := lost_link(home):
        problems.append(str(lost))
    writer = lock_holder(home)
    records = all_records(home)
    alive = records[-1]["run_id"] if writer and records else None
    rows = [as_row(record, alive=alive) for record in reversed(records)]
    waiting, apart = None, None
    if not writer and not problems:
        try:
            with named_damage(home):
                waiting = waiting_loads(home, state.applied_load_id if state else -1)
                if settings is not None and state is not None:
                    found = mismatch(home, settings, home.current, state.raw_identity)
                    apart = found.reason if found else None
        except DamagedFile as damaged:
            problems.append(str(damaged))
        except duckdb.IOException:  # a run has begun in between
            pass
    return Status(state, generations.generations(home), rows, writer, waiting, list(dict.fromkeys(problems)), apart)


def check(home: Home, settings: Settings, *, assembly: Assembly = PRODUCTION) -> CheckResult:
    """Everything that can be checked, over everything: raw, and dbt's data tests, the audit and the contract of the KPI
    rows on the published generation. Raises HomeIsBusy while a run writes.

    Nights test what they may have changed; this reads all rows (100 million orders: about a minute of processor time).
    """
    with writer_lock(home), named_damage(home):
        if damaged := lost_link(home) or find_damage(home):
            raise damaged
        settings = with_delivered_segments(home, settings)
        results = [_check_raw(home)] if home.raw_file.exists() else []
        if home.current.exists():
            results += [
                _check_belonging(home, settings),
                _check_data_tests(home, settings, assembly),
                _check_figures(home, settings, assembly),
            ]
    return CheckResult(
        [rule for result in results for rule in result.rules],
        [violation for result in results for violation in result.violations],
    )


def _check_raw(home: Home) -> CheckResult:
    with opened_raw(home) as connection:
        columns: dict[str, set[str]] = {}
        for table, column in connection.execute(
            "select table_name, column_name from duckdb_columns() where database_name = 'raw_store'"
        ).fetchall():
            columns.setdefault(table, set()).add(column)
        return _checked(connection, raw_rules(columns))


def _check_belonging(home: Home, settings: Settings) -> CheckResult:
    """raw.duckdb is the one that the published figures were made from."""
    state = read_state(home.current)
    apart = mismatch(home, settings, home.current, state.raw_identity) if state else None
    rule = "raw_and_published_belong_together"
    if apart is None:
        return CheckResult([rule], [])
    examples = [{"why": apart.reason}, *({"raw_does_not_hold": one} for one in apart.lost)]
    return CheckResult([rule], [Violation(rule, max(1, len(apart.lost)), examples[:EXAMPLES])])


def _check_data_tests(home: Home, settings: Settings, assembly: Assembly) -> CheckResult:
    state = read_state(home.current)
    assert state is not None
    tests = compiled_data_tests(settings, as_of=state.as_of, project_dir=assembly.project_dir)
    with opened(Path(":memory:")) as connection:
        attach(connection, home.current.resolve(), "next")
        if home.raw_file.exists():
            attach(connection, home.raw_file, "raw_store")
        connection.execute("use next")
        present = tables_in(connection)
        rules = [Rule(test.name, f"what {test.model} declares holds", test.sql, (test.model,)) for test in tests]
        return _checked(connection, [rule for rule in rules if present.issuperset(rule.tables)])


def _check_figures(home: Home, settings: Settings, assembly: Assembly) -> CheckResult:
    with opened(home.current.resolve(), read_only=True) as connection:
        history = []
        if {"retention_kpis", "retention_kpi_history"} <= tables_in(connection):
            history = history_violations(connection)
        shadow(connection)  # rules hold of what was computed
        audited = audit(connection, settings)
        rules, violations = audited.rules, audited.violations
        if has_table(connection, "retention_kpis"):
            rules = [*rules, "kpi_contract"]
            violations = [*violations, *validator(assembly)(connection, settings)]
        if has_table(connection, "retention_kpi_history"):
            rules, violations = [*rules, HISTORY_RULE], [*violations, *history]
    return CheckResult(rules, violations)


def _checked(connection: duckdb.DuckDBPyConnection, rules: list[Rule]) -> CheckResult:
    violations = [violation for rule in rules if (violation := check_rule(connection, rule))]
    return CheckResult([rule.name for rule in rules], violations)


def restore(
    home: Home, generation: int | None = None, *, now: datetime | None = None, progress: Progress | None = None
) -> Generation:
    """Make an earlier kept generation current (default: the one before), and note in the archive's history that its
    figures are known again. The next run starts from it and applies again what raw holds since; `now` in naive UTC.
    Where Spark is the engine its views show it, too; `progress` gets what could not be done of that.
    Raises NoSuchGeneration, HomeIsBusy.
    """
    moment = now or datetime.now(UTC).replace(tzinfo=None)
    with writer_lock(home):
        if home.current.exists():
            with suppress(duckdb.Error):  # what cannot be read has no history to save
                write_missing(home)
        restored = restore_generation(home, generation)
        note_restore(home, run_id=new_run_id(moment), now=moment)
        with suppress(SettingsError, OSError):  # settings that cannot be read are the next run's to tell
            for problem in shown_on_spark(home, load_settings(home)):
                (progress or silent)(f"the views on Spark were not moved: {problem}")
        return restored


class NothingPending(Exception):
    """No figure of the period is held back; str() says of which periods some are."""


def held_periods(home: Home, asked: Sequence[Period]) -> tuple[Period, ...]:
    """The periods (grain, first day) of which figures are held back: those asked for, without any all of them.

    Raises NothingPending where one of them has none, NoSuchGeneration before the first run.
    """
    if not home.current.exists():
        raise NoSuchGeneration(f"nothing has been published in {home.published} yet")
    with opened(home.current.resolve(), read_only=True) as connection:
        pending = pending_periods(connection)
    chosen = tuple(asked) or tuple(pending)
    if not chosen or not set(chosen) <= set(pending):
        listed = ", ".join(f"{grain} of {start} ({number:,})" for (grain, start), number in pending.items())
        raise NothingPending(f"no figure of it is held back; held back are figures of: {listed or 'no period'}")
    return chosen


def rebuild(
    home: Home, settings: Settings, *, without_missing: bool = False, progress: Progress | None = None
) -> Rebuilt:
    """Make raw.duckdb anew from the archive; the next run is a full refresh from it.

    Raises CannotRebuild, HomeIsBusy.
    """
    with writer_lock(home):
        return rebuild_raw(home, settings, without_missing=without_missing, progress=progress)


def kept_open(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection with a generation attached as `before`; it can be read even after the file was pruned."""
    connection = connect()
    attach(connection, path, "before")
    return connection
