"""Why pending figures are others than the published ones, kept until they are let in.

Each night that moves what is held back is split by causes and customers like a restatement (split.py, rows.py), from
what was pending before to what is pending now, and added to `pending_restatement_rows`. A figure that is let in has the
rows of all these nights; they become those of its restatement.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import BACKFILL, CAUSES_OF_ROWS, ORDER
from retention_pipeline.history.closing import TABLE as PENDING
from retention_pipeline.history.closing import keep_as_it_was
from retention_pipeline.history.parts import added
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reported import MEASURES, ROW_KEY, SAID, differs
from retention_pipeline.history.restatement_tables import NOT_LISTED, ROW_COLUMNS
from retention_pipeline.history.restatement_tables import ROWS as RESTATED_ROWS
from retention_pipeline.history.rows import FOUND, FOUND_COLUMNS
from retention_pipeline.history.split import TOLERANCE, whole_parts
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.warehouse import has_table, sql_text

TABLE = "pending_restatement_rows"
DESCRIPTION = (
    "One row per pending figure (pending_restatements), night that moved it and row of raw that may be behind that: "
    "what restatement_rows will have once it is let in. A line without a customer is what no customer's rows explain."
)
COLUMNS = {name: kind for name, kind in ROW_COLUMNS.items() if name != "generation"}
KEYS = ", ".join(ROW_KEY)
PARTS = ("numerator_delta", "denominator_delta")
SIDE = tuple(name for name in SAID if name not in ("settings_fingerprint", "period_end"))


def keep_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """The rows of figures that were pending in the generation before and still are; the temporary table was_rows has
    all of before.
    """
    if not has_table(connection, TABLE):
        connection.execute(f"create table {TABLE} ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        connection.execute(f"comment on table {TABLE} is {sql_text(DESCRIPTION)}")
    keep_as_it_was(connection, TABLE, "was_rows")
    connection.execute(f"delete from {TABLE}")
    connection.execute(f"insert into {TABLE} select * from was_rows where ({KEYS}) in (select ({KEYS}) from {PENDING})")


def add_held(connection: duckdb.DuckDBPyConnection) -> None:
    """Let figures that are held back since tonight join `restated` (is_held), from what was computed to what is."""
    connection.execute("alter table restated add column is_held boolean default false")
    if not has_table(connection, FIGURES, database="published"):
        return
    before = ", ".join(
        f"case when was.kpi is null then published.{name} else was.{name} end as old_{name}" for name in SIDE
    )
    now = ", ".join(f"held.{name} as new_{name}" for name in SIDE)
    connection.execute(f"""
        insert into restated by name
        select {", ".join(f"held.{name}" for name in ROW_KEY)}, held.period_end, {before}, {now}, held.is_complete,
            case when was.kpi is null then published.kpi is not null else not was.is_gone end as was_there,
            not held.is_gone as is_there, true as is_closed, true as is_held
        from newly_held as held
        left join was_pending as was on {same_key("held", "was", ROW_KEY)}
        left join published.main.{FIGURES} as published on {same_key("held", "published", ROW_KEY)}""")


def start_from_pending(connection: duckdb.DuckDBPyConnection) -> None:
    """Let `restated` say by how much tonight moved what is computed: figures that are let in start from what was
    pending; published_then keeps what was published, and let_in_rows the causes and rows of the nights before.
    """
    old = ", ".join(f"old_{name}" for name in SIDE)
    connection.execute(f"""
        create or replace temp table published_then as
        select figure, was_there, {old}, coalesce(let_in.causes, '{BACKFILL}') as causes
        from restated inner join let_in on {same_key("restated", "let_in", ROW_KEY)}""")
    said = ", ".join(f"old_{name} = let_in.{name}" for name in SIDE)
    connection.execute(
        f"update restated set {said}, was_there = not let_in.is_gone from let_in "
        f"where {same_key('restated', 'let_in', ROW_KEY)}"
    )
    connection.execute(f"""
        create or replace temp table let_in_rows as
        select figure, {", ".join(f"was_rows.{name}" for name in FOUND_COLUMNS)}
        from was_rows inner join restated on {same_key("was_rows", "restated", ROW_KEY)}
        where figure in (select figure from published_then)""")


def note_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """Add tonight's causes to those for which figures are held back."""
    connection.execute(f"""
        update {PENDING} set causes = found.causes
        from (
            select {KEYS}, string_agg(cause, ', ' order by case cause {ORDER} end) as causes
            from (
                select {KEYS}, cause from cell_causes inner join restated using (figure) where is_held
                union
                select {KEYS}, unnest(string_split(causes, ', ')) from was_pending where causes is not null
            )
            group by {KEYS}
        ) as found
        where {same_key(PENDING, "found", ROW_KEY)}
            and ({", ".join(f"{PENDING}.{name}" for name in ROW_KEY)}) in (select ({KEYS}) from newly_held)""")


def let_in_causes(connection: duckdb.DuckDBPyConnection) -> None:
    """all_causes: cell_causes, of figures that are let in with those for which they were held back. What is let in is
    again the step from what was published, and cause_parts has the parts of all nights; where these do not make up the
    whole step, say because of a night without a value, none are known (whole_let_in).
    """
    connection.execute(f"""
        create or replace temp table all_causes as
        select *, row_number() over (partition by figure order by case cause {ORDER} end) as place
        from (
            select figure, cause from cell_causes
            union
            select figure, unnest(string_split(causes, ', ')) from published_then
        )""")
    said = ", ".join(f"old_{name} = step.old_{name}" for name in SIDE)
    connection.execute(
        f"update restated set {said}, was_there = step.was_there from published_then as step "
        "where restated.figure = step.figure"
    )
    connection.execute(f"""
        insert into cause_parts
        select figure, cause, {", ".join(f"coalesce({added(name)}, 0)" for name in PARTS)}, false
        from let_in_rows where numerator_delta is not null or denominator_delta is not null
        group by figure, cause""")
    connection.execute(f"""
        create or replace temp table whole_let_in as
        select figure
        from (from ({whole_parts()}) semi join published_then using (figure)) as steps
        left join (
            select figure, {added("numerator_delta")} as numerator, {added("denominator_delta")} as denominator
            from cause_parts group by figure
        ) as parts using (figure)
        where not steps.is_sum
            or abs(steps.numerator_delta - coalesce(parts.numerator, 0)) > {TOLERANCE} + near
            or abs(steps.denominator_delta - coalesce(parts.denominator, 0)) > {TOLERANCE} + near_by""")
    connection.execute("delete from cause_parts where figure in (from whole_let_in)")


def write_found_rows(connection: duckdb.DuckDBPyConnection, now: Publication) -> None:
    """Tonight's rows, of what is published into `restatement_rows`, of what is held back into this table; with what is
    let in go the rows of the nights before.
    """
    listed = ", ".join(FOUND_COLUMNS)
    without_parts = ", ".join(f"null as {name}" if name in PARTS else name for name in FOUND_COLUMNS)
    held, whole = "figure in (select figure from restated where is_held)", "figure in (from whole_let_in)"
    before = f"""
        (select figure, {listed} from let_in_rows
        where cause in ({CAUSES_OF_ROWS}) and customer_id is distinct from {sql_text(NOT_LISTED)})"""
    connection.execute(f"""
        create or replace temp table published_rows as
        select figure, {listed} from (from {FOUND} union all from {before}) where not ({held}) and not ({whole})
        union all
        select distinct figure, {without_parts} from (from {FOUND} union all from {before})
        where {whole} and dataset is not null""")
    published = f"""
        select figure, cause, numerator_delta, denominator_delta from cell_deltas
        where not ({held}) and cause in ({CAUSES_OF_ROWS})"""
    _insert(connection, f"{RESTATED_ROWS} select {now.generation}, ", published, "published_rows")
    connection.execute(f"""
        create or replace temp table held_rows as
        select figure, {listed} from {FOUND} where {held}
        union all
        select figure, cause, null, null, null, null, {", ".join(added(name) for name in PARTS)}
        from cause_parts where {held} and cause not in ({CAUSES_OF_ROWS}) group by figure, cause""")
    moved = f"""
        select figure, cause, {", ".join(f"{added(name)} as {name}" for name in PARTS)} from cause_parts
        where {held} and cause in ({CAUSES_OF_ROWS}) group by figure, cause
        union all
        select figure, cause, null, null from cell_causes
        where {held} and place = 1 and cause in ({CAUSES_OF_ROWS}) and figure not in (select figure from cause_parts)"""
    _insert(connection, f"{TABLE} select ", moved, "held_rows")


def _insert(connection: duckdb.DuckDBPyConnection, into: str, moved: str, rows: str) -> None:
    """Write rows with the keys of their figures, and what they leave out of `moved` (_not_listed)."""
    listed = ", ".join(f"rows.{name}" for name in FOUND_COLUMNS)
    connection.execute(f"""
        insert into {into} {", ".join(f"restated.{name}" for name in ROW_KEY)}, {listed}
        from (from {rows} union all {_not_listed(moved, rows)}) as rows inner join restated using (figure)
        order by figure, {listed}""")


def _not_listed(moved: str, rows: str) -> str:
    """SQL: a line for each figure and cause of `moved` (SQL: with the parts of numerator and denominator) of which no
    row is listed, or whose rows do not make up its parts: with what is missing, null where a part has no meaning.
    """
    missing = [f"moved.{name} - coalesce(listed.{name}, 0)" for name in PARTS]
    is_some = [
        f"abs({one}) > {TOLERANCE} * greatest(1, abs(moved.{name}), listed.most)"
        for one, name in zip(missing, PARTS, strict=True)
    ]
    said = [
        f"case when {one} is null or {some} then {one} else 0 end" for one, some in zip(missing, is_some, strict=True)
    ]
    return f"""
        select figure, cause, {sql_text(NOT_LISTED)}, null, null, null, {", ".join(said)}
        from ({moved}) as moved
        left join (
            select figure, cause, {", ".join(f"{added(name)} as {name}" for name in PARTS)},
                greatest(max(abs(numerator_delta)), max(abs(denominator_delta))) as most, true as is_some
            from {rows} group by figure, cause
        ) as listed using (figure, cause)
        where listed.is_some is null or {" or ".join(is_some)}"""


def is_moved() -> str:
    """SQL over restated: tonight moved it, so tonight's causes may be behind it."""
    return differs("old_", "new_", MEASURES)
