"""The table `retention_kpi_history`: every value that was published, and from when to when it was the published one.

Of complete periods all rows, of open ones those of segment `all`. A figure that did not change adds nothing: a row is
added where value, numerator, denominator, n or the reason why there is no value differ from the row before, which ends
at that moment. A figure that is no longer published ends without a successor.

Only rows that the run wrote into `retention_kpis` are looked at, unless the history holds more than the generation that
the run started from.
"""

from __future__ import annotations

from datetime import datetime

import duckdb

from retention_pipeline.history.publications import Publication
from retention_pipeline.kpis.keys import KEY, same_key
from retention_pipeline.kpis.store import RELATIVE_TOLERANCE
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.warehouse import has_table, sql_text

TABLE = "retention_kpi_history"
CHANGES = "history_changes"
ROW_KEY = ("kpi", *KEY)
MEASURES = ("value", "numerator", "denominator", "n")
COLUMNS = {
    "kpi": "varchar not null",
    "grain": "varchar not null",
    "period_start": "date not null",
    "period_end": "date not null",
    "basis": "varchar not null",
    "segment_dimension": "varchar not null",
    "segment_value": "varchar not null",
    "value": "double",
    "numerator": "double",
    "denominator": "double",
    "n": "bigint",
    "null_reason": "varchar",
    "definition_version": "integer",
    "settings_fingerprint": "varchar",
    "known_from": "timestamp not null",
    "known_to": "timestamp",
}
SAID = tuple(name for name in COLUMNS if name not in (*ROW_KEY, "known_from", "known_to"))
DESCRIPTION = (
    "One row per KPI row and spell in which it was published as it stands here: of complete periods all, of open ones "
    "those of segment all. The present figures are those without known_to."
)
COMMENTS = {
    "known_from": "The moment (UTC) of the publication that first had this value",
    "known_to": "The moment (UTC) of the publication that had another one, or none; empty while it stands",
    "definition_version": "Of the definition with which the value was first published",
    "settings_fingerprint": "Of the settings with which the value was first published",
    "null_reason": "Why there was no value, as in retention_kpis",
}


def create_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create it where it is not there yet."""
    if has_table(connection, TABLE):
        return
    connection.execute(f"create table {TABLE} ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
    connection.execute(f"comment on table {TABLE} is {sql_text(DESCRIPTION)}")
    for column, words in COMMENTS.items():
        connection.execute(f"comment on column {TABLE}.{column} is {sql_text(words)}")


def differs(old: str, new: str, columns: tuple[str, ...] = MEASURES) -> str:
    """SQL: two rows of one key say something else; doubles are equal to 1e-12 relative. old, new: what stands before
    the columns' names (`old.`, `old_`).
    """
    conditions = []
    for column in columns:
        a, b = f"{old}{column}", f"{new}{column}"
        same = f"abs({a} - {b}) <= {RELATIVE_TOLERANCE} * greatest(abs({a}), abs({b}))"
        near = f" and not coalesce({same}, false)" if column in MEASURES[:3] else ""
        conditions.append(f"({a} is distinct from {b}{near})")
    return " or ".join(conditions)


def find_changes(connection: duckdb.DuckDBPyConnection, *, run_id: str | None, removed: bool) -> int:
    """The temporary table history_changes: one row per key whose published row is not the last one of the history, with
    what the history has (old_*) and what is published now (new_*); returns their number.

    run_id: only rows that this run wrote can differ; None: any may. removed: rows were taken out of `retention_kpis`.
    """
    create_table(connection)
    listed = "is_complete or segment_dimension = 'all'"
    written = "true" if run_id is None else f"run_id = {sql_text(run_id)}"
    old = ", ".join(f"old.{name} as old_{name}" for name in (*SAID, "known_from"))
    new = ", ".join(f"new.{name} as new_{name}" for name in SAID if name != "settings_fingerprint")
    key = ", ".join(f"coalesce(new.{name}, old.{name}) as {name}" for name in ROW_KEY)
    last = f"(select * from {TABLE} where known_to is null)"
    changed = f"""
        select {key}, {old}, {new}, coalesce(new.is_complete, false) as is_complete,
            old.kpi is not null as was_there, new.kpi is not null and new.is_listed as is_there
        from (select *, {listed} as is_listed from {FIGURES} where {written}) as new
        left join {last} as old on {same_key("old", "new", ROW_KEY)}
        where (new.is_listed and (old.kpi is null or {differs("old.", "new.", (*MEASURES, "null_reason"))}))
            or (not new.is_listed and old.kpi is not null)"""
    gone = f"""
        select {key}, {old}, {new}, false as is_complete, true as was_there, false as is_there
        from {last} as old
        left join {FIGURES} as new on {same_key("old", "new", ROW_KEY)}
        where new.kpi is null"""
    both = f"{changed} union all {gone}" if removed or run_id is None else changed
    connection.execute(f"create or replace temp table {CHANGES} as {both}")
    return count(connection, CHANGES)


def write_changes(connection: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    """Bring the history up to the publication, from history_changes."""
    if not count(connection, CHANGES):
        return
    moment = instant(publication.published_at)
    connection.execute(
        f"update {TABLE} set known_to = {moment} from {CHANGES} as changes "
        f"where {TABLE}.known_to is null and changes.was_there and {same_key(TABLE, 'changes', ROW_KEY)}"
    )
    said = [
        sql_text(publication.settings_fingerprint) if name == "settings_fingerprint" else f"new_{name}" for name in SAID
    ]
    connection.execute(
        f"insert into {TABLE} ({', '.join((*ROW_KEY, *SAID, 'known_from'))}) "
        f"select {', '.join((*ROW_KEY, *said))}, {moment} from {CHANGES} where is_there "
        f"order by kpi, basis, segment_dimension, segment_value, grain, period_start"
    )


def events_of(table: str = TABLE, key: tuple[str, ...] = ROW_KEY, said: tuple[str, ...] = SAID) -> str:
    """SQL: a history as what happened at each publication: one row per key and publication that gave it another value
    (is_gone: or none any more).
    """
    gone = ", ".join(f"earlier.{name}" for name in (*key, *said))
    return f"""
        select {", ".join((*key, *said))}, known_from as published_at, false as is_gone from {table}
        union all
        select {gone}, earlier.known_to, true from {table} as earlier
        left join {table} as later
            on {same_key("earlier", "later", key)} and earlier.known_to = later.known_from
        where earlier.known_to is not null and later.kpi is null"""


def folded(events: str, key: tuple[str, ...] = ROW_KEY, said: tuple[str, ...] = SAID) -> str:
    """SQL: the rows of the history that such events make."""
    return f"""
        select {", ".join((*key, *said))}, known_from, known_to from (
            select *, published_at as known_from,
                lead(published_at) over (partition by {", ".join(key)} order by published_at) as known_to
            from ({events})
        ) where not is_gone"""


def instant(moment: datetime) -> str:
    """SQL: a moment."""
    return f"timestamp '{moment.isoformat(sep=' ')}'"


def count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Rows of a relation."""
    return int(connection.execute(f"select count(*) from {relation}").fetchall()[0][0])
