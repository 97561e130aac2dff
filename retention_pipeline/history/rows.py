"""The rows of `restatement_rows`: the rows of raw behind restated figures, and each customer's part of the change.

Rows go from generation to generation, so there is a limit to those of a publication: figures of everybody come first,
then late periods before early ones. A figure has the rows of all its customers or one line per cause with all of the
part (customer NOT_LISTED).
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import CAUSES_OF_ROWS, FX
from retention_pipeline.history.parts import CELL, Diffs, added, by_segment, listed_parts
from retention_pipeline.history.reported import ROW_KEY
from retention_pipeline.history.restatement_tables import NOT_LISTED, ROW_COLUMNS
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.warehouse import sql_text

FOUND = "found_rows"
FOUND_COLUMNS = {name: kind for name, kind in ROW_COLUMNS.items() if name != "generation"}
ROWS_AT_MOST = 100_000
FIRST = "segment_dimension <> 'all', period_start desc, grain, kpi, basis, segment_dimension, segment_value"


def find_rows_behind(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs]) -> None:
    """The temporary table found_rows: the rows behind `restated`, once it is split (split.py)."""
    columns = ", ".join(f"{name} {kind}" for name, kind in FOUND_COLUMNS.items())
    connection.execute(f"create or replace temp table {FOUND} ({columns})")
    _choose(connection, diffs)
    connection.execute(
        "create or replace temp table customer_parts (kpi varchar, grain varchar, period_start date, basis varchar, "
        "segment_dimension varchar, segment_value varchar, customer_key bigint, numerator_delta double, "
        "denominator_delta double)"
    )
    for one in diffs:
        _add_customers(connection, one)
    _write_of_customers(connection)
    _write_not_listed(connection)
    _write_candidates(connection)


def _choose(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs]) -> None:
    """chosen_cells: the split figures whose customers are listed."""
    kpis = ", ".join(f"({text_literal(kpi)}, '{one.table}')" for one in diffs for kpi in one.parts) or "('', '')"
    connection.execute(f"""
        create or replace temp table chosen_cells as
        select * from (
            select *, sum(customers) over (order by {FIRST} rows unbounded preceding) as so_far
            from (
                select {", ".join(f"cells.{name}" for name in ROW_KEY)}, tables.diffs,
                    coalesce(counts.customers, 0) as customers
                from split_cells as cells
                inner join (values {kpis}) as tables (kpi, diffs) on cells.kpi = tables.kpi
                left join cell_customers as counts
                    on tables.diffs = counts.diffs and {same_key("cells", "counts", CELL)}
            )
        ) where so_far <= {ROWS_AT_MOST}""")


def _add_customers(connection: duckdb.DuckDBPyConnection, one: Diffs) -> None:
    """customer_parts of the chosen figures of a family."""
    cell = ", ".join(CELL)
    sums = ", ".join(f"sum({name}) as {name}" for name in one.columns)
    connection.execute(f"""
        create or replace temp table chosen_diffs as
        select {cell}, customer_key, {sums} from ({by_segment(one.table)})
        where ({cell}) in (select ({cell}) from chosen_cells where diffs = '{one.table}')
        group by {cell}, customer_key""")
    of_kpis = " union all ".join(
        f"select {text_literal(kpi)} as kpi, {cell}, customer_key, {listed_parts(parts)} from chosen_diffs"
        for kpi, parts in one.parts.items()
    )
    connection.execute(f"""
        insert into customer_parts
        select parts.* from ({of_kpis}) as parts
        inner join chosen_cells as cells on {same_key("parts", "cells", ROW_KEY)}
        where numerator_delta <> 0 or denominator_delta <> 0""")


def _write_of_customers(connection: duckdb.DuckDBPyConnection) -> None:
    """A customer's rows, the part on the first of them; one line without a customer for what is left of a change."""
    key = ", ".join(f"ordered.{name}" for name in ROW_KEY)
    connection.execute(f"""
        insert into {FOUND}
        with caused as (
            select parts.*, coalesce(own.cause, general.cause) as cause
            from customer_parts as parts
            inner join run_customers as customers on parts.customer_key = customers.customer_key
            inner join general_causes as general on {same_key("parts", "general", ROW_KEY)}
            left join signature_causes as own on customers.signature = own.signature and parts.kpi = own.kpi
                and parts.basis = own.basis and parts.segment_dimension = own.segment_dimension
        ),
        matched as (
            select caused.*, rows.row_key, rows.load_id, causes.dataset, causes.cause as row_cause,
                row_number() over (
                    partition by {", ".join(f"caused.{name}" for name in ROW_KEY)}, caused.customer_key
                    order by causes.cause is null, causes.cause <> caused.cause, causes.dataset, rows.row_key
                ) as place
            from caused
            left join run_rows as rows on caused.customer_key = rows.customer_key
            left join (select distinct kpi, basis, segment_dimension, dataset, cause from kpi_causes) as causes
                on rows.dataset = causes.dataset and rows.cause = causes.cause and caused.kpi = causes.kpi
                and caused.basis = causes.basis and caused.segment_dimension = causes.segment_dimension
            where caused.cause in ({CAUSES_OF_ROWS})
        ),
        ordered as (
            select * replace (case when row_cause is not null then row_key end as row_key,
                case when row_cause is not null then load_id end as load_id)
            from matched where row_cause is not null or place = 1
        )
        select {key}, coalesce(row_cause, ordered.cause), ids.customer_id, dataset, row_key, load_id,
            case when place = 1 then numerator_delta end, case when place = 1 then denominator_delta end
        from ordered left join raw_store.raw.customer_keys as ids on ordered.customer_key = ids.customer_key
        union all
        select {key.replace("ordered", "rest")}, rest.cause, null, null, null, null,
            numerator_delta, denominator_delta
        from cause_parts as rest
        inner join chosen_cells as cells on {same_key("rest", "cells", ROW_KEY)}
        where is_rest and cause in ({CAUSES_OF_ROWS})""")


def _write_not_listed(connection: duckdb.DuckDBPyConnection) -> None:
    """The parts of all customers in one, of figures whose customers would be too many."""
    connection.execute(f"""
        insert into {FOUND}
        select {", ".join(f"parts.{name}" for name in ROW_KEY)}, cause, {sql_text(NOT_LISTED)},
            null, null, null, {added("numerator_delta")}, {added("denominator_delta")}
        from cause_parts as parts anti join chosen_cells as cells on {same_key("parts", "cells", ROW_KEY)}
        where cause in ({CAUSES_OF_ROWS})
        group by all""")


def _write_candidates(connection: duckdb.DuckDBPyConnection) -> None:
    """The rows that may be behind figures that are not split, and the rates behind those that rates moved."""
    key = ", ".join(f"chosen.{name}" for name in ROW_KEY)
    connection.execute(f"""
        insert into {FOUND}
        with numbers as (select dataset, cause, count(*) as rows from run_rows group by dataset, cause),
        reached as (
            select restated.*, causes.cause, causes.dataset, causes.horizon_days, numbers.rows
            from restated
            inner join cell_causes on {same_key("restated", "cell_causes", ROW_KEY)}
            inner join kpi_causes as causes on restated.kpi = causes.kpi and restated.basis = causes.basis
                and restated.segment_dimension = causes.segment_dimension and cell_causes.cause = causes.cause
            inner join numbers on causes.dataset = numbers.dataset and causes.cause = numbers.cause
            left join split_cells on {same_key("restated", "split_cells", ROW_KEY)}
            left join (select distinct {", ".join(ROW_KEY)} from cause_parts where cause = '{FX}') as by_rates
                on {same_key("restated", "by_rates", ROW_KEY)}
            where causes.cause in ({CAUSES_OF_ROWS})
                and (split_cells.kpi is null or (causes.cause = '{FX}' and by_rates.kpi is not null))
        ),
        chosen as (
            select * from reached
            qualify sum(rows) over (order by {FIRST}, cause, dataset rows unbounded preceding) <= {ROWS_AT_MOST}
        )
        select {key}, chosen.cause, ids.customer_id, rows.dataset,
            rows.row_key, rows.load_id, null, null
        from chosen
        inner join run_rows as rows on chosen.dataset = rows.dataset and chosen.cause = rows.cause
            and (rows.first_day is null or rows.first_day < chosen.period_end + chosen.horizon_days)
        left join raw_store.raw.customer_keys as ids on rows.customer_key = ids.customer_key""")
