"""The tables `restatements` and `restatement_rows`: what a publication changed in complete periods, and why.

A figure is restated where value, numerator, denominator or n differ in a period that was complete in the publication
before and is in this one. A figure that was or becomes `immature` is not: it is not known yet. Neither are figures of a
KPI, a dimension or a period that had none before, or has none any more.

Where only one cause may move a figure, it is the cause; where several may, the delta is split (split.py).
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import (
    BACKFILL,
    CAUSES,
    DEFINITION,
    FX,
    OF_ROWS,
    find_causes,
    find_rows,
    rates_differ,
)
from retention_pipeline.history.closing import TABLE as PENDING
from retention_pipeline.history.closing import newly_held
from retention_pipeline.history.parts import find_parts
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.record import Recorded
from retention_pipeline.history.reported import CHANGES, ROW_KEY, TABLE, count, differs, instant
from retention_pipeline.history.split import split
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import sql_text, tables_in

RESTATEMENTS, ROWS = "restatements", "restatement_rows"
KEY_COLUMNS = {name: "date not null" if name == "period_start" else "varchar not null" for name in ROW_KEY}
COLUMNS = {
    "generation": "bigint not null",
    "published_at": "timestamp not null",
    **KEY_COLUMNS,
    "cause": "varchar not null",
    "old": "double",
    "new": "double",
    "delta": "double not null",
    "old_numerator": "double",
    "new_numerator": "double",
    "numerator_delta": "double",
    "old_denominator": "double",
    "new_denominator": "double",
    "denominator_delta": "double",
    "old_n": "bigint",
    "new_n": "bigint",
    "other_causes": "varchar",
    "is_closed": "boolean not null",
}
ROW_COLUMNS = {
    "generation": "bigint not null",
    **KEY_COLUMNS,
    "cause": "varchar not null",
    "customer_id": "varchar",
    "dataset": "varchar",
    "row_key": "varchar",
    "load_id": "bigint",
    "numerator_delta": "double",
    "denominator_delta": "double",
}
DESCRIPTIONS = {
    RESTATEMENTS: "One row per publication, figure of a complete period that it changed, and cause; the deltas of a "
    "figure's causes add up to the whole change.",
    ROWS: "One row per publication, restated figure and row of raw that may be behind it: the customer, the dataset, "
    "the row's key and the load that brought it.",
}
COMMENTS = {
    RESTATEMENTS: {
        "old": "The value that was published before; empty where there was none",
        "new": "The value that is published now; empty where there is none",
        "delta": "This cause's part of the change of the value, an empty value counting as 0",
        "cause": f"One of {', '.join(sorted(CAUSES))}",
        "other_causes": "Causes that may be in the delta, too, and are not known apart",
        "is_closed": "Whether the period was closed (close_after_days)",
    },
    ROWS: {
        "customer_id": "The customer whom the row belongs to, or belonged to before; empty for rows of nobody",
        "row_key": "The values of the contract's key, with blanks between",
        "numerator_delta": "The customer's part of the change of numerator (of a count or sum: value), on the first of "
        "the customer's rows; empty where parts are not known",
        "denominator_delta": "The same of the denominator",
    },
}
# Rows go from generation to generation: with more than this, those of everybody and of late periods come first.
ROWS_AT_MOST = 20_000


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create both where they are not there yet."""
    there = tables_in(connection)
    for table, columns in ((RESTATEMENTS, COLUMNS), (ROWS, ROW_COLUMNS)):
        if table in there:
            continue
        connection.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        connection.execute(f"comment on table {table} is {sql_text(DESCRIPTIONS[table])}")
        for column, words in COMMENTS[table].items():
            connection.execute(f"comment on column {table}.{column} is {sql_text(words)}")


def find_restated(
    connection: duckdb.DuckDBPyConnection, before: Publication | None, now: Publication, closed: str = "false"
) -> int:
    """The temporary table restated: rows of history_changes that restate a figure; returns their number. Call once the
    changes are written into the history. closed: SQL over period_end.
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
            and (is_there or was_there)""")
    if count(connection, "(from restated where not was_there)"):
        connection.execute(f"""
            delete from restated where not was_there and (
                (kpi, basis, segment_dimension) not in (select (kpi, basis, segment_dimension) from {TABLE} where {was})
                or (grain, period_start) not in (select (grain, period_start) from {TABLE} where {was}))""")
    if count(connection, "(from restated where not is_there)"):
        connection.execute(f"""
            delete from restated where not is_there and (
                (kpi, basis, segment_dimension) not in (select (kpi, basis, segment_dimension) from {FIGURES})
                or (grain, period_start) not in (select (grain, period_start) from {FIGURES}))""")
    return count(connection, "restated")


def restate(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    recorded: Recorded,
    *,
    applied: int,
    by_content: bool,
    closed: str,
) -> int:
    """Write what the publication changed in complete periods, and why; returns how many figures. Call once it is
    recorded, with the generation before as `published` and raw as `raw_store`.

    applied, by_content: of find_rows (causes.py); closed: SQL over period_end.
    """
    create_tables(connection)
    restated = find_restated(connection, recorded.before, recorded.publication, closed)
    held = newly_held(connection)
    if recorded.before is None or not restated + held:
        return 0
    find_rows(connection, settings.connected_datasets, by_content=by_content, applied=applied)
    find_causes(connection, settings, recorded.before, recorded.publication, fx=rates_differ(connection))
    if held:
        find_cell_causes(connection, "newly_held")
        connection.execute(f"""
            update {PENDING} set causes = found.causes
            from (
                select {", ".join(ROW_KEY)}, string_agg(cause, ', ' order by place) as causes
                from cell_causes group by all
            ) as found where {same_key(PENDING, "found", ROW_KEY)}""")
    if restated:
        find_cell_causes(connection, "restated")
        write_restatements(connection, recorded.publication)
    return restated


def find_cell_causes(connection: duckdb.DuckDBPyConnection, figures: str) -> None:
    """cell_causes: one row per figure of a relation and cause that may have moved it, with its place in their order and
    their number. What was held back and is let in has the causes for which it was held.
    """
    order = " ".join(f"when '{cause}' then {number}" for number, cause in enumerate(CAUSES))
    key = ", ".join(f"figures.{name}" for name in ROW_KEY)
    versions = {name for (name,) in connection.execute(f"select column_name from (describe {figures})").fetchall()}
    changed = "old_definition_version <> new_definition_version" if "old_definition_version" in versions else "false"
    connection.execute(f"""
        create or replace temp table cell_causes as
        select *, row_number() over (partition by {", ".join(ROW_KEY)} order by case cause {order} end) as place,
            count(*) over (partition by {", ".join(ROW_KEY)}) as causes
        from (
            select distinct {key}, coalesce(causes.cause, '{BACKFILL}') as cause
            from {figures} as figures
            anti join let_in on {same_key("figures", "let_in", ROW_KEY)}
            left join (
                select kpi, basis, segment_dimension, cause, first_day, horizon_days from kpi_causes
                union all
                select distinct kpi, basis, segment_dimension, '{DEFINITION}', cast(null as date), 0 from {figures}
                where {changed}
            ) as causes on figures.kpi = causes.kpi and figures.basis = causes.basis
                and figures.segment_dimension = causes.segment_dimension
                and (causes.first_day is null or causes.first_day - 1 < figures.period_end + causes.horizon_days)
            union
            select {key}, unnest(string_split(coalesce(let_in.causes, '{BACKFILL}'), ', '))
            from {figures} as figures inner join let_in on {same_key("figures", "let_in", ROW_KEY)}
        )""")


def write_restatements(connection: duckdb.DuckDBPyConnection, now: Publication) -> None:
    """Write both tables from `restated`, `kpi_causes` and `run_rows`."""
    connection.execute(f"delete from {RESTATEMENTS} where published_at = {instant(now.published_at)}")
    connection.execute(f"delete from {ROWS} where generation = {now.generation}")
    key = ", ".join(f"restated.{name}" for name in ROW_KEY)
    find_parts(connection)
    split(connection)
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
        from restated inner join cell_deltas as deltas on {same_key("restated", "deltas", ROW_KEY)}
        order by {key}, deltas.place""")
    _write_rows(connection, now)


def _write_rows(connection: duckdb.DuckDBPyConnection, now: Publication) -> None:
    """The rows of raw behind the restated figures, as far as there is room for them."""
    of_rows = ", ".join(sql_text(cause) for cause in OF_ROWS)
    key = ", ".join(f"restated.{name}" for name in ROW_KEY)
    connection.execute(f"""
        insert into {ROWS}
        with ordered as (
            select parts.*, rows.dataset, rows.row_key, rows.load_id, rows.cause as row_cause, row_number() over (
                partition by {", ".join(f"parts.{name}" for name in ROW_KEY)}, parts.customer_key
                order by rows.dataset nulls last, rows.row_key
            ) as place
            from customer_causes as parts
            left join (
                select rows.*, causes.kpi, causes.basis, causes.segment_dimension
                from run_rows as rows
                inner join (select distinct kpi, basis, segment_dimension, dataset, cause from kpi_causes) as causes
                    on rows.dataset = causes.dataset and rows.cause = causes.cause
            ) as rows on parts.customer_key = rows.customer_key and parts.kpi = rows.kpi and parts.basis = rows.basis
                and parts.segment_dimension = rows.segment_dimension
            where parts.cause in ({of_rows})
        )
        select {now.generation}, {key.replace("restated", "ordered")}, coalesce(row_cause, ordered.cause),
            ids.customer_id, dataset, row_key, load_id,
            case when place = 1 then numerator_delta end, case when place = 1 then denominator_delta end
        from ordered left join raw_store.raw.customer_keys as ids on ordered.customer_key = ids.customer_key
        qualify row_number() over (order by segment_dimension <> 'all', period_start desc, grain, kpi, basis,
            segment_dimension, segment_value, ordered.customer_key, place) <= {ROWS_AT_MOST}""")
    connection.execute(f"""
        insert into {ROWS}
        with numbers as (select dataset, cause, count(*) as rows from run_rows group by dataset, cause),
        reached as (
            select restated.*, causes.cause, causes.dataset, causes.horizon_days, numbers.rows
            from restated
            inner join cell_causes on {same_key("restated", "cell_causes", ROW_KEY)}
            inner join kpi_causes as causes on restated.kpi = causes.kpi and restated.basis = causes.basis
                and restated.segment_dimension = causes.segment_dimension and cell_causes.cause = causes.cause
            inner join numbers on causes.dataset = numbers.dataset and causes.cause = numbers.cause
            left join (select distinct {", ".join(ROW_KEY)} from cell_parts) as parts
                on {same_key("restated", "parts", ROW_KEY)}
            left join (select distinct {", ".join(ROW_KEY)} from customer_causes where cause = '{FX}') as by_rates
                on {same_key("restated", "by_rates", ROW_KEY)}
            where causes.cause in ({of_rows})
                and (parts.kpi is null or (causes.cause = '{FX}' and by_rates.kpi is not null))
        ),
        chosen as (
            select * from reached
            qualify sum(rows) over (
                order by segment_dimension <> 'all', period_start desc, grain, kpi, basis, segment_dimension,
                    segment_value, cause, dataset
                rows unbounded preceding
            ) <= {ROWS_AT_MOST}
        )
        select {now.generation}, {key.replace("restated", "chosen")}, chosen.cause, ids.customer_id, rows.dataset,
            rows.row_key, rows.load_id, null, null
        from chosen
        inner join run_rows as rows on chosen.dataset = rows.dataset and chosen.cause = rows.cause
            and (rows.first_day is null or rows.first_day - 1 < chosen.period_end + chosen.horizon_days)
        left join raw_store.raw.customer_keys as ids on rows.customer_key = ids.customer_key
        order by all""")
