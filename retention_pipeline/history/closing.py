"""Closed periods: complete ones that are no longer expected to change (`close_after_days` after their end).

A change in a period that the publication before had closed is published and told; with `closed_periods: hold` it is
kept out of `retention_kpis`: the row that was published stays, and the computed one stands in `pending_restatements`
until `retention restate` lets its period in. Figures are always computed from what is pending, never from what was
held: a run begins by putting pending rows in their places (`put_in`) and ends by holding back what is to be held.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import duckdb

from retention_pipeline.history.maturing import is_maturing
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reported import MEASURES, ROW_KEY, count, differs, instant
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.store import COLUMNS as FIGURE_COLUMNS
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import has_table, sql_text

TABLE = "pending_restatements"
COLUMNS = FIGURE_COLUMNS | {"is_gone": "boolean", "causes": "varchar", "held_since": "timestamp"}
DESCRIPTION = (
    "One row per figure of a closed period whose change is held back (closed_periods: hold): the row as it is "
    "computed, while retention_kpis has the one that was published. retention restate lets a period in."
)
Period = tuple[str, date]


def create_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create it where it is not there yet."""
    if not has_table(connection, TABLE):
        connection.execute(f"create table {TABLE} ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        connection.execute(f"comment on table {TABLE} is {sql_text(DESCRIPTION)}")


def is_closed(settings: Settings, before: Publication | None) -> str:
    """SQL over period_end: the publication before had the period closed."""
    if settings.close_after_days is None or before is None:
        return "false"
    return f"period_end + {settings.close_after_days} <= date '{before.as_of}'"


def put_in(connection: duckdb.DuckDBPyConnection, *, run_id: str) -> None:
    """Put pending rows in the places of those that were held, as if this run had written them."""
    if not has_table(connection, TABLE) or not count(connection, TABLE):
        return
    key = ", ".join(ROW_KEY)
    connection.execute(f"delete from {FIGURES} where ({key}) in (select ({key}) from {TABLE})")
    listed = ", ".join(sql_text(run_id) if name == "run_id" else name for name in FIGURE_COLUMNS)
    connection.execute(
        f"insert into {FIGURES} ({', '.join(FIGURE_COLUMNS)}) select {listed} from {TABLE} where not is_gone"
    )


def hold(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    before: Publication | None,
    now: Publication,
    released: Collection[Period],
) -> int:
    """Hold back what changed in closed periods, and note what is let in (the temporary table let_in); returns how many
    figures are pending. `published` is the generation before. Call once the figures are audited.
    """
    create_table(connection)
    keep_as_it_was(connection, TABLE, "was_pending")
    connection.execute(f"delete from {TABLE}")
    if settings.closed_periods == "hold" and has_table(connection, FIGURES, database="published"):
        settled = f"not {is_maturing(settings, before.as_of)}" if before else "true"
        _find_held(connection, f"{is_closed(settings, before)} and {settled}", now, released)
        key = ", ".join(ROW_KEY)
        columns = ", ".join(FIGURE_COLUMNS)
        again = f"left join was_pending as was on {same_key('held', 'was', ROW_KEY)}"
        listed = ", ".join(f"held.{name}" for name in FIGURE_COLUMNS)
        connection.execute(f"""
            insert into {TABLE} ({", ".join(COLUMNS)})
            select {listed}, held.is_gone, was.causes, coalesce(was.held_since, {instant(now.published_at)})
            from held {again} order by all""")
        connection.execute(f"delete from {FIGURES} where ({key}) in (select ({key}) from held)")
        connection.execute(
            f"insert into {FIGURES} ({columns}) select {columns} from published.main.{FIGURES} "
            f"where ({key}) in (select ({key}) from held)"
        )
    connection.execute(f"""
        create or replace temp table let_in as
        select was.* from was_pending as was anti join {TABLE} as pending on {same_key("was", "pending", ROW_KEY)}""")
    return count(connection, TABLE)


def keep_as_it_was(connection: duckdb.DuckDBPyConnection, table: str, name: str) -> None:
    """The temporary table `name`: the rows that a table has in the generation before (`published`). A step that
    replaces them can then be done again.
    """
    there = has_table(connection, table, database="published")
    source = f"published.main.{table}" if there else f"{table} where false"
    connection.execute(f"create or replace temp table {name} as select * from {source}")


def _find_held(
    connection: duckdb.DuckDBPyConnection, closed: str, now: Publication, released: Collection[Period]
) -> None:
    """held: rows as they are computed that restate a figure of a closed period."""
    free = ", ".join(f"({sql_text(grain)}, date '{start}')" for grain, start in released)
    is_free = f"(grain, period_start) in ({free})" if free else "false"
    published = f"(select * from published.main.{FIGURES} where {closed} and not ({is_free}))"
    columns = ", ".join(f"new.{name}" for name in FIGURE_COLUMNS)
    gone = ", ".join(
        f"old.{name}" if name in (*ROW_KEY, "period_end", "unit", "currency", "is_complete") else f"null as {name}"
        for name in FIGURE_COLUMNS
    )
    connection.execute(f"""
        create or replace temp table held as
        select {columns}, false as is_gone
        from (select * from {FIGURES} where run_id = {sql_text(now.run_id)} and {closed} and not ({is_free})) as new
        left join {published} as old on {same_key("old", "new", ROW_KEY)}
        where coalesce(new.null_reason, '') <> 'immature' and coalesce(old.null_reason, '') <> 'immature'
            and (
                (old.kpi is not null and ({differs("old.", "new.", MEASURES)}))
                or (old.kpi is null
                    and (new.kpi, new.basis, new.segment_dimension) in (
                        select (kpi, basis, segment_dimension) from published.main.{FIGURES})
                    and (new.grain, new.period_start) in (select (grain, period_start) from published.main.{FIGURES}))
            )
        union all by name
        select {gone}, true as is_gone
        from {published} as old anti join {FIGURES} as new on {same_key("old", "new", ROW_KEY)}
        where coalesce(old.null_reason, '') <> 'immature'
            and (old.kpi, old.basis, old.segment_dimension) in (select (kpi, basis, segment_dimension) from {FIGURES})
            and (old.grain, old.period_start) in (select (grain, period_start) from {FIGURES})""")


def newly_held(connection: duckdb.DuckDBPyConnection) -> int:
    """The temporary table newly_held: pending rows that were not, or with other figures; returns their number."""
    connection.execute(f"""
        create or replace temp table newly_held as
        select pending.* from {TABLE} as pending
        left join was_pending as was on {same_key("pending", "was", ROW_KEY)}
        where was.kpi is null or pending.is_gone <> was.is_gone or {differs("was.", "pending.", MEASURES)}""")
    return count(connection, "newly_held")


def shadow(connection: duckdb.DuckDBPyConnection) -> None:
    """Let everything that is asked on this connection about `retention_kpis` be answered with pending figures in their
    places: what was computed, and what rules hold of.
    """
    if not has_table(connection, TABLE) or not count(connection, TABLE):
        return
    key, columns = ", ".join(ROW_KEY), ", ".join(FIGURE_COLUMNS)
    connection.execute(f"""
        create temp table with_pending as
        select {columns} from {FIGURES} where ({key}) not in (select ({key}) from {TABLE})
        union all select {columns} from {TABLE} where not is_gone""")
    connection.execute(f"alter table with_pending rename to {FIGURES}")


def pending_periods(connection: duckdb.DuckDBPyConnection) -> dict[Period, int]:
    """The periods of which figures are pending, with their number."""
    if not has_table(connection, TABLE):
        return {}
    rows = connection.execute(f"select grain, period_start, count(*) from {TABLE} group by all order by all").fetchall()
    return {(grain, start): number for grain, start, number in rows}
