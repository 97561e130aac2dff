"""The tables `restatements` and `restatement_rows`: what a publication changed in complete periods, and why.

A figure is restated where value, numerator, denominator or n differ in a period that was complete in the publication
before and is in this one. A figure that was or becomes `immature`, or whose terms may be pending, is not: it is not
known yet. Neither are figures of a KPI, a dimension or a period that had none before, or has none any more.

Where only one cause may move a figure, it is the cause; where several may, the delta is split (split.py).
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import (
    BACKFILL,
    DEFINITION,
    ORDER,
    find_causes,
    find_rows,
    rates_differ,
)
from retention_pipeline.history.closing import newly_held
from retention_pipeline.history.figures import NUMBERED, number_figures
from retention_pipeline.history.maturing import is_maturing
from retention_pipeline.history.parts import find_customers, find_diffs
from retention_pipeline.history.pending import (
    add_held,
    is_moved,
    keep_rows,
    let_in_causes,
    note_causes,
    start_from_pending,
    write_found_rows,
)
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reach import Reach, reach
from retention_pipeline.history.record import Recorded
from retention_pipeline.history.reported import CHANGES, ROW_KEY, TABLE, count, differs, instant
from retention_pipeline.history.restatement_tables import COLUMNS, RESTATEMENTS, ROWS, create_tables
from retention_pipeline.history.rows import ROWS_AT_MOST, find_rows_behind, is_of_everybody
from retention_pipeline.history.split import find_deltas, split
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.settings import Settings


def find_restated(
    connection: duckdb.DuckDBPyConnection,
    before: Publication | None,
    now: Publication,
    closed: str = "false",
    maturing: str = "false",
) -> int:
    """The temporary table restated: rows of history_changes that restate a figure; returns their number. Call once the
    changes are written into the history. closed: SQL over period_end; maturing: over kpi and period_end.
    """
    columns = "*, coalesce(new_period_end, old_period_end) as period_end"
    if before is None:
        connection.execute(
            f"create or replace temp table restated as select {columns}, false as is_closed from {CHANGES} where false"
        )
        return 0
    then = instant(before.published_at)
    was = f"known_from <= {then} and (known_to is null or known_to > {then})"
    connection.execute(f"""
        create or replace temp table restated as
        select *, {closed} as is_closed from (select {columns} from {CHANGES}) as changes
        where period_end <= date '{before.as_of}' and period_end <= date '{now.as_of}'
            and ({differs("old_", "new_")})
            and coalesce(old_null_reason, '') <> 'immature' and coalesce(new_null_reason, '') <> 'immature'
            and (is_there or was_there) and not {maturing}""")
    _leave_out(connection, "was_there", f"(from {TABLE} where {was})")
    _leave_out(connection, "is_there", FIGURES)
    return count(connection, "restated")


def _leave_out(connection: duckdb.DuckDBPyConnection, side: str, figures: str) -> None:
    """Take out of `restated` the figures that are not there on one side, where the KPI and dimension or the period has
    none at all.
    """
    if not count(connection, f"(from restated where not {side})"):
        return
    for columns in (("kpi", "basis", "segment_dimension"), ("grain", "period_start")):
        listed = ", ".join(columns)
        connection.execute(f"""
            delete from restated using (
                select distinct {listed} from restated where not {side}
                except select distinct {listed} from {figures}
            ) as missing
            where not {side} and {same_key("restated", "missing", columns)}""")


def restate(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    recorded: Recorded,
    *,
    applied: int,
    by_content: bool,
    closed: str,
    rows_at_most: int = ROWS_AT_MOST,
) -> int:
    """Write what the publication changed in complete periods, and why; returns how many figures. Call once it is
    recorded, with the generation before as `published` and raw as `raw_store`.

    applied, by_content: of find_rows (causes.py); closed: SQL over period_end; rows_at_most: of `restatement_rows`, the
    lines that say what they leave out not counted.
    """
    create_tables(connection)
    keep_rows(connection)
    maturing = is_maturing(settings, recorded.before.as_of) if recorded.before else "false"
    restated = find_restated(connection, recorded.before, recorded.publication, closed, maturing)
    held = newly_held(connection)
    if recorded.before is None or not restated + held:
        return 0
    before, now = recorded.before, recorded.publication
    until = _reached(connection, settings)
    find_rows(connection, settings, before, now, by_content=by_content, applied=applied, until=until)
    find_causes(connection, settings, before, now, fx=rates_differ(connection))
    add_held(connection)
    number_figures(connection)
    start_from_pending(connection)
    find_cell_causes(connection)
    note_causes(connection)
    write_restatements(connection, now, rows_at_most=rows_at_most)
    return restated


def _reached(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Reach:
    """From which days on no row counts for what changed or is held back: behind the periods and the days after them
    that a KPI looks at.
    """
    figures = " union all ".join(
        f"select kpi, basis, segment_dimension, period_end from {table}" for table in ("restated", "newly_held")
    )
    grouped = f"select kpi, basis, segment_dimension, max(period_end) from ({figures}) group by all"
    return reach(connection.execute(grouped).fetchall(), settings)


def find_cell_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """cell_causes: one row per figure of `restated` that tonight moved and cause that may have moved it, with its place
    in their order. A figure without a cause of its own (a customer from a late order is the first of a segment value,
    which now has figures of every family) has the run's first cause.
    """
    of_the_run = f"coalesce((select arg_min(cause, case cause {ORDER} end) from run_rows), '{BACKFILL}')"
    connection.execute(f"""
        create or replace temp table cell_causes as
        select *, row_number() over (partition by figure order by case cause {ORDER} end) as place
        from (
            select distinct figures.figure, coalesce(causes.cause, {of_the_run}) as cause
            from (from restated where {is_moved()}) as figures
            left join (
                select series, cause, first_day, horizon_days from kpi_causes
                inner join restated_series using ({", ".join(NUMBERED["series"])})
                union all
                select distinct series, '{DEFINITION}', cast(null as date), 0 from restated
                where old_definition_version <> new_definition_version
            ) as causes on figures.series = causes.series
                and (causes.first_day is null or causes.first_day < figures.period_end + causes.horizon_days)
        )""")


def write_restatements(connection: duckdb.DuckDBPyConnection, now: Publication, *, rows_at_most: int) -> None:
    """Write both tables from `restated`, `kpi_causes` and `run_rows`."""
    connection.execute(f"delete from {RESTATEMENTS} where published_at = {instant(now.published_at)}")
    connection.execute(f"delete from {ROWS} where generation = {now.generation}")
    of_everybody = is_of_everybody(find_customers(connection), rows_at_most)
    # Where one cause acts there is nothing to split, so that parts are needed for the rows alone.
    is_whole = of_everybody and count(connection, "(select distinct cause from cell_causes)") == 1
    diffs = find_diffs(connection, of_everybody=is_whole)
    split(connection, diffs, of_everybody=is_whole)
    find_rows_behind(connection, diffs, of_everybody=of_everybody, at_most=rows_at_most)
    let_in_causes(connection)
    find_deltas(connection)
    values = {
        "delta": "deltas.delta",
        "numerator_delta": "deltas.numerator_delta",
        "denominator_delta": "deltas.denominator_delta",
        "old": "old_value",
        "new": "new_value",
        "generation": str(now.generation),
        "published_at": instant(now.published_at),
        "cause": "deltas.cause",
        "other_causes": "deltas.other_causes",
    }
    listed = ", ".join(f"{values.get(name, f'restated.{name}')} as {name}" for name in COLUMNS)
    connection.execute(f"""
        insert into {RESTATEMENTS} select {listed}
        from restated inner join cell_deltas as deltas using (figure)
        where not is_held
        order by {", ".join(f"restated.{name}" for name in ROW_KEY)}, deltas.place""")
    write_found_rows(connection, now)
