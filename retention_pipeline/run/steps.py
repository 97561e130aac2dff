"""The steps of a run up to publication as plain functions (those that follow stand in after.py). No Dagster here;
Dagster's assets call them in order, which is the one way a run goes.

Every step takes (home, settings, run), asks for the writer lock (which counts within a process), and keeps its timing
and outcome in the run's record. A step that fails leaves the published generation as it was and removes `next.duckdb`.
What a step needs from the one before stands in `next.duckdb` or in the record, so steps may run in different calls.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from retention_pipeline import alerts, formatting
from retention_pipeline.audit import AuditError, AuditResult, audit
from retention_pipeline.formatting import few_of_each
from retention_pipeline.freshness.figures import write_figure_marks
from retention_pipeline.freshness.sources import check_blocks, not_fresh, source_states
from retention_pipeline.history.closing import put_in
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.sentences import Restated
from retention_pipeline.history.write import Before, write_history
from retention_pipeline.ingest.identity import raw_identity
from retention_pipeline.ingest.kept_copies import remove_old_copies
from retention_pipeline.ingest.loads import any_rows, datasets_loaded, max_load_id, waiting_loads
from retention_pipeline.publish import generations
from retention_pipeline.publish.compaction import bytes_in_use, compact, is_bloated
from retention_pipeline.publish.customers_in_period import write_customers_in_period
from retention_pipeline.publish.provenance import Mismatch, RawLacksLoads, mismatch, write_pipeline_loads
from retention_pipeline.publish.quality import excluded_orders, write_data_quality
from retention_pipeline.publish.quarantine import write_quarantine
from retention_pipeline.run.cost import full_refresh_is_cheaper
from retention_pipeline.run.frame import PRODUCTION, Assembly, Progress, silent, step_of, validator
from retention_pipeline.run.mode import decide_mode
from retention_pipeline.run.records import (
    Run,
    new_run_id,
    prune,
    read_record,
    start_run,
    write_pipeline_runs,
)
from retention_pipeline.run.results import Built, Figures, Published
from retention_pipeline.run.state import PipelineState, read_state, state_of, write_state
from retention_pipeline.settings import Home, Settings
from retention_pipeline.testing import stop_for_test
from retention_pipeline.transform import build, code_fingerprint, settings_fingerprint
from retention_pipeline.transform.arguments import kept_settings
from retention_pipeline.transform.build import row_counts
from retention_pipeline.transform.delivered_segments import empty_segments, with_delivered_segments
from retention_pipeline.transform.engine import loaders
from retention_pipeline.transform.fingerprints import moving_settings
from retention_pipeline.warehouse import opened


def begin_run(
    home: Home,
    as_of: date,
    *,
    now: datetime,
    full_refresh: bool = False,
    command: str = "run",
    run_id: str | None = None,
    months: tuple[date, date] | None = None,
    released: tuple[tuple[str, date], ...] = (),
) -> Run:
    """A run with its record; `now` in naive UTC. Call under the writer lock when other steps follow in this process.

    `months`: first days of the first and the last month of a backfill, whose sums are added up anew from all facts.
    `released`: closed periods (grain, first day) whose held figures are let in.
    """
    return start_run(home, Run(run_id or new_run_id(now), as_of, now, full_refresh, command, months, released))


def ingest_step(
    home: Home,
    settings: Settings,
    run: Run,
    *,
    datasets: list[str] | None = None,
    reload: Sequence[str] = (),
    progress: Progress | None = None,
    assembly: Assembly = PRODUCTION,
) -> Any:
    """Load what was delivered (all datasets unless some are named); returns ingest's IngestResult.

    `reload`: names of files that are loaded again though their bytes are known. A load that was left out for too many
    bad rows is in the record, and stops the run once all datasets have loaded.
    """
    from retention_pipeline.ingest.result import IngestError

    if assembly.ingest is None:
        from retention_pipeline.ingest import ingest
    else:
        ingest = assembly.ingest
    step = "ingest" if datasets is None else f"ingest {', '.join(datasets)}"
    with step_of(home, run, step, keeps_next=True) as notes:
        try:
            further: dict[str, Any] = {"reload": reload} if reload else {}
            further |= loaders(settings)
            result = ingest(home, settings, datasets=datasets, now=run.started_at, progress=progress, **further)
        except IngestError as error:
            if error.result is None:
                raise
            result = error.result
        before = read_record(home, run)
        notes.update(_ingest_notes(before, result))
    stop_for_test("ingest")
    return result


def loads_step(home: Home, run: Run) -> None:
    """Raise IngestError where a load of the run was left out for too many bad rows, or where a first run brought none.

    The build step begins with it.
    """
    noted = read_record(home, run)
    loads = noted.get("loads", [])
    left_out = (one for one in loads if one["status"] == "too_many_bad")
    spoiled = [f"{one['dataset']}: {one['file_name']}: {one['error']}" for one in left_out]
    helps = f"retention check --home {home.root} shows what would help"
    if spoiled:
        from retention_pipeline.ingest.result import IngestError

        with step_of(home, run, "ingest", keeps_next=True):
            raise IngestError("\n".join(["too many rows of a load were refused, it was left out", *spoiled, helps]))
    not_taken = noted.get("not_taken", [])
    if (loads or not_taken) and not home.current.exists() and not any_rows(home):
        from retention_pipeline.ingest.result import IngestError

        with step_of(home, run, "ingest", keeps_next=True):
            told = [(one["source"], one["file_name"], one["error"] or "it has no rows") for one in loads]
            lines = [f"{name}: {why}" for name, why in few_of_each([*told, *(("", *one) for one in not_taken)])]
            raise IngestError("\n".join(["no source has brought a row, so there is nothing to publish", *lines, helps]))


def sources_step(home: Home, settings: Settings, run: Run, *, progress: Progress | None = None) -> None:
    """Say which sources are late; raises NotFresh where one of them blocks. The build step begins with it."""
    with step_of(home, run, "sources") as notes:
        states = source_states(home, settings, now=run.started_at, as_of=run.as_of)
        warnings = [state.warning for state in not_fresh(states)]
        notes.update(sources=[state.as_json() for state in states], warnings=warnings)
        for warning in warnings:
            (progress or silent)(f"warning: {warning}")
        check_blocks(states)


def build_step(
    home: Home,
    settings: Settings,
    run: Run,
    *,
    progress: Progress | None = None,
    on_event: Callable[[Any], None] | None = None,
    on_made: Callable[[str], None] | None = None,
    assembly: Assembly = PRODUCTION,
) -> Built:
    """Copy the published generation and bring it up to date with dbt, tests included; a retry starts from a fresh copy.

    Raises IngestError, NotFresh, InputError, BuildError, SparkError, NotEnoughSpace.
    """
    say = progress or silent
    for name in empty_segments(home, settings) if settings.segments else ():
        say(f"warning: segments: {name} is left out, no row has a value of it")
    settings = with_delivered_segments(home, settings)
    loads_step(home, run)
    sources_step(home, settings, run, progress=progress)
    with step_of(home, run, "build") as notes:
        previous = read_state(home.current)
        fingerprints = _fingerprints(settings, assembly)
        kept = kept_settings(settings, settings.connected_datasets)
        apart = mismatch(home, settings, home.current, previous.raw_identity) if previous else None
        if apart is not None and apart.lost:
            _told_or_refused(home, run, apart, say)
        mode = decide_mode(
            previous,
            as_of=run.as_of,
            settings_fingerprint=fingerprints["settings_fingerprint"],
            code_fingerprint=fingerprints["code_fingerprint"],
            kept_settings=kept,
            loaded_before=datasets_loaded(home, previous.applied_load_id) if previous else (),
            asked=run.full_refresh,
            months=run.months,
            waiting_loads=waiting_loads(home, previous.applied_load_id) if previous else 0,
            mismatch=apart.reason if apart else None,
            cheaper=lambda published: full_refresh_is_cheaper(home, settings, published, run.as_of),
            engine=settings.engine,
        )
        say(f"{mode.name}: {mode.reason}")
        notes.update(mode=mode.name, reason=mode.reason, engine=settings.engine, kept_settings=kept, **fingerprints)
        generations.begin(home, full_refresh=mode.full_refresh, by_same_code=mode.by_same_code)
        number = generations.next_number(home)
        result = build(
            home,
            settings,
            as_of=run.as_of,
            full_refresh=mode.full_refresh,
            run_id=run.run_id,
            previous_as_of=previous.as_of if previous else None,
            applied_load_id=previous.applied_load_id if previous else -1,
            previous_file=None if mode.full_refresh else home.current,
            backfill=run.backfilled_days,
            new_datasets=mode.new_datasets,
            on_event=on_event,
            project_dir=assembly.project_dir,
            generation=number,
            kept_generations=[one.number for one in generations.generations(home)],
            on_made=on_made,
        )
        identity = raw_identity(home)
        notes.update(
            generation=number, applied_load_id=max_load_id(home), raw_identity=asdict(identity) if identity else None
        )
    stop_for_test("build")
    return Built(mode, number, result)


def _told_or_refused(home: Home, run: Run, apart: Mismatch, say: Progress) -> None:
    """Where raw does not hold what the published figures were made from: said where a full refresh was asked for, else
    refused, for what would be published then lacks it. Raises RawLacksLoads.
    """
    lacks = f"{apart.reason}, and it does not hold {formatting.counted(len(apart.lost), 'load')} of it"
    if run.full_refresh:
        say(f"warning: {lacks}; the figures are made without:\n{apart.lost_in_words()}")
        return
    raise RawLacksLoads(
        f"{lacks}:\n{apart.lost_in_words()}\n"
        f"Nothing was published. To load everything again from {home.archive}: retention rebuild --home {home.root}\n"
        f"To publish without these loads: retention run --full-refresh --home {home.root}"
    )


def figures_step(
    home: Home,
    settings: Settings,
    run: Run,
    *,
    progress: Progress | None = None,
    assembly: Assembly = PRODUCTION,
) -> Figures:
    """Compute `retention_kpis` and `kpi_definitions` in `next.duckdb` from the period tables."""
    if assembly.compute_kpis is None:
        from retention_pipeline.kpis import compute_kpis
    else:
        compute_kpis = assembly.compute_kpis
    settings = with_delivered_segments(home, settings)
    with step_of(home, run, "figures") as notes, opened(home.next_file) as connection:
        put_in(connection, run_id=run.run_id)
        computed = compute_kpis(
            connection,
            settings,
            as_of=run.as_of,
            run_id=run.run_id,
            computed_at=run.started_at,
            connected_datasets=settings.connected_datasets,
        )
        stop_for_test("computed")
        write_figure_marks(connection, settings, source_states(home, settings, now=run.started_at, as_of=run.as_of))
        write_customers_in_period(connection)
        figures = Figures(computed.rows, computed.changed, list(computed.changed_months))
        removed = int(getattr(computed, "removed", 0))
        notes.update(kpi_rows=figures.rows, kpi_rows_changed=figures.changed, kpi_rows_removed=removed)
        (progress or silent)(f"figures: {figures.rows:,} rows, {figures.changed:,} changed")
    stop_for_test("figures")
    return figures


def audit_step(
    home: Home,
    settings: Settings,
    run: Run,
    *,
    progress: Progress | None = None,
    assembly: Assembly = PRODUCTION,
) -> AuditResult:
    """Every reconciliation over all periods, and the contract of the KPI rows. Raises AuditError; then nothing is
    published.
    """
    validate_kpis = validator(assembly)
    settings = with_delivered_segments(home, settings)
    with step_of(home, run, "audit"), opened(home.next_file) as connection:
        result = audit(connection, settings, touched_only=read_record(home, run).get("mode") == "night")
        stop_for_test("audited")
        violations = [*result.violations, *validate_kpis(connection, settings)]
        if violations:
            raise AuditError(violations)
        (progress or silent)(f"audit: {len(result.rules)} rules hold")
    stop_for_test("audit")
    return result


def history_step(home: Home, settings: Settings, run: Run, *, progress: Progress | None = None) -> Restated:
    """Write what is going to be published into the history, with the moment from which it is known, and what it changes
    in complete periods.
    """
    settings = with_delivered_segments(home, settings)
    with step_of(home, run, "history") as notes, opened(home.next_file) as connection:
        noted = read_record(home, run)
        state = read_state(home.current)
        apart = mismatch(home, settings, home.current, state.raw_identity) if state else None
        publication, restated = write_history(
            connection,
            home,
            settings,
            Publication(
                published_at=run.moment,
                generation=int(noted["generation"]),
                kind=noted["mode"],
                as_of=run.as_of,
                run_id=run.run_id,
                settings_fingerprint=noted["settings_fingerprint"],
                code_fingerprint=noted["code_fingerprint"],
                kpi_fingerprint=noted["kpi_fingerprint"],
                settings=json.dumps(moving_settings(settings, settings.connected_datasets), sort_keys=True),
            ),
            Before(_as_publication(state), state.applied_load_id, apart is not None) if state else Before(),
            removed=bool(noted.get("kpi_rows_removed")),
            released=run.released,
            say=progress or silent,
        )
        notes.update(
            published_at=publication.published_at,
            restated=restated.figures,
            restated_by_cause=restated.by_cause,
            restated_in_closed=restated.closed,
            pending=restated.pending,
            restatements=restated.lines,
        )
        for line in restated.lines:
            (progress or silent)(line)
    stop_for_test("history")
    return restated


def _as_publication(state: PipelineState) -> Publication:
    """What stands published, of a generation from before there was a history."""
    return Publication(
        published_at=state.built_at,
        generation=state.generation,
        kind="night",
        as_of=state.as_of,
        run_id=state.run_id,
        settings_fingerprint=state.settings_fingerprint,
        code_fingerprint=state.code_fingerprint,
        kpi_fingerprint=state.kpi_fingerprint,
        settings="{}",
    )


def publish_step(home: Home, settings: Settings, run: Run, *, progress: Progress | None = None) -> Published:
    """Write the tables about the run and its data, and make `next.duckdb` the current generation."""
    say = progress or silent
    with step_of(home, run, "publish") as notes:
        record = read_record(home, run)
        number = int(record["generation"])
        with opened(home.next_file) as connection:
            before = state_of(connection)
            states = source_states(home, settings, now=run.started_at, as_of=run.as_of)
            write_data_quality(connection, home, settings, states=states, now=run.started_at)
            notes.update(excluded_orders=excluded_orders(connection))
            write_quarantine(connection, home)
            incidents, rule_problems = alerts.before_publication(
                connection,
                home,
                settings,
                states=states,
                refused=_not_loaded(record),
                as_of=run.as_of,
                now=run.started_at,
            )
            write_state(
                connection,
                PipelineState(
                    generation=number,
                    applied_load_id=int(record["applied_load_id"]),
                    as_of=run.as_of,
                    settings_fingerprint=record["settings_fingerprint"],
                    code_fingerprint=record["code_fingerprint"],
                    kpi_fingerprint=record["kpi_fingerprint"],
                    run_id=run.run_id,
                    built_at=run.started_at,
                    raw_id=(record.get("raw_identity") or {}).get("raw_id"),
                    raw_epoch=(record.get("raw_identity") or {}).get("epoch"),
                    raw_stamp=(record.get("raw_identity") or {}).get("stamp"),
                    fresh_bytes=before.fresh_bytes if before else None,
                    fresh_rows=before.fresh_rows if before else None,
                    kept_settings=json.dumps(record["kept_settings"], sort_keys=True),
                ),
            )
            write_pipeline_loads(connection, home)
            write_pipeline_runs(connection, home, run)
        if _kept_small(home, is_fresh=record.get("mode") == "full refresh"):
            say("the file had grown for nothing and was written anew")
        path = generations.publish(home, number, keep=settings.publish.keep_generations)
        alerts.save(home, incidents)
        prune(home, settings.keep.runs)
        with suppress(OSError):  # the next run tries again
            remove_old_copies(home, settings, _now())
        _keep_settings(home)
        notes.update(alerts=[alerts.as_row(one) for one in incidents if one.is_open], alert_problems=rule_problems)
        counts = row_counts(path)
        notes.update(status="succeeded", finished_at=_now(), failed_step=None, error=None, row_counts=counts)
        say(f"published generation {number}: {path}")
    return Published(number, path, counts)


def _keep_settings(home: Home) -> None:
    """A copy of settings.yaml, for when it is lost."""
    with suppress(OSError):
        shutil.copyfile(home.settings_file, home.settings_copy)


def _kept_small(home: Home, *, is_fresh: bool) -> bool:
    """Write `next.duckdb` anew where it is much larger than a fresh file would be; notes how large a fresh one was.

    is_fresh: nearly all of it was written by this run.
    """
    generations.settle(home)
    state = read_state(home.next_file)
    rows = sum(row_counts(home.next_file).values())
    in_use = bytes_in_use(home.next_file)
    fresh = (in_use, rows) if is_fresh or state is None else (state.fresh_bytes, state.fresh_rows)
    compacted = is_bloated(home.next_file, rows, *fresh) and compact(home)
    if compacted:
        in_use = bytes_in_use(home.next_file)
    if compacted or is_fresh:
        with opened(home.next_file) as connection:
            connection.execute("update pipeline_state set fresh_bytes = $1, fresh_rows = $2", [in_use, rows])
    return compacted and not is_fresh


def _not_loaded(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(source, file or table, why) of what the run could not load."""
    return [
        (load["source"], load["file_name"], load["error"] or "")
        for load in record.get("loads", [])
        if load["status"] in ("refused", "failed")
    ]


def _fingerprints(settings: Settings, assembly: Assembly) -> dict[str, str]:
    from retention_pipeline.kpis.registry import registry_fingerprint

    return {
        "settings_fingerprint": settings_fingerprint(settings, settings.connected_datasets),
        "code_fingerprint": code_fingerprint(assembly.project_dir),
        "kpi_fingerprint": registry_fingerprint(),
    }


def _ingest_notes(before: dict[str, Any], result: Any) -> dict[str, Any]:
    """Sums over the loads, added to those of earlier ingest steps of the same run (one per dataset in Dagster)."""
    loaded = [load for load in result.loads if load.status == "loaded"]
    sums = {
        "files_loaded": len(loaded),
        "files_refused": len(result.refused),
        "rows_new": sum(load.new for load in loaded),
        "rows_changed": sum(load.changed for load in loaded),
        "rows_quarantined": sum(load.bad for load in loaded),
    }
    added = {name: int(before.get(name) or 0) + value for name, value in sums.items()}
    # A file that was loaded by an earlier run is nothing that this one did, unless there is something to say of it.
    told = [asdict(load) for load in result.loads if load.status != "already_loaded" or load.hints]
    not_taken = [[path, "no file"] for path in getattr(result, "without_files", [])]
    not_taken += [list(left) for left in getattr(result, "waiting", [])]
    return added | {
        "loads": [*before.get("loads", []), *told],
        "not_taken": [*before.get("not_taken", []), *not_taken],
    }


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
