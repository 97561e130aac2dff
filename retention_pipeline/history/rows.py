"""The rows of `restatement_rows`: the rows of raw behind restated figures, and each customer's part of the change.

Rows go from generation to generation, so there is one limit to those of a publication: figures that are split come
first, then those of everybody, then late periods before early ones. Where there are more, a figure of many
customers has the rows of those with the largest parts. A night with early rows of many customers lists rows of
everybody's figures alone, which would fill all room, and of those that are not split if the rows are few. What the
rows of a figure and cause do not say is one line (NOT_LISTED; pending.py).
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import CAUSES_OF_ROWS, FX
from retention_pipeline.history.figures import NUMBERED
from retention_pipeline.history.parts import Diffs, by_segment, listed_parts, sums
from retention_pipeline.history.reported import ROW_KEY
from retention_pipeline.history.restatement_tables import ROW_COLUMNS
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.read.members import ALL

FOUND = "found_rows"
FOUND_COLUMNS = {name: kind for name, kind in ROW_COLUMNS.items() if name not in ("generation", *ROW_KEY)}
ROWS_AT_MOST = 100_000
# Where there are more: of one figure a thousandth of them, found among so many times as many parts of customers.
FIGURES_WITH_ROWS, LOOKED_AT = 1_000, 3
FIGURES_OF_CUSTOMER = 100  # everybody's figures that one customer's rows of complete periods move: some hundred
FIRST = "not is_split, figure"  # figures are numbered in the order in which their rows are listed


def is_of_everybody(customers: int, at_most: int) -> bool:
    """Whether a night with rows of so many customers in complete periods lists those of everybody's figures alone."""
    return customers > at_most // FIGURES_OF_CUSTOMER


def find_rows_behind(
    connection: duckdb.DuckDBPyConnection, diffs: list[Diffs], *, of_everybody: bool, at_most: int = ROWS_AT_MOST
) -> None:
    """The temporary table found_rows: the rows behind `restated`, once it is split (split.py); so many at most."""
    columns = ", ".join(f"{name} {kind}" for name, kind in FOUND_COLUMNS.items())
    connection.execute(f"create or replace temp table {FOUND} (figure integer, {columns})")
    _find_listable(connection, diffs, of_everybody, at_most)
    connection.execute(
        "create or replace temp table customer_parts "
        "(figure integer, customer_key bigint, numerator_delta double, denominator_delta double)"
    )
    for one in diffs:
        _add_customers(connection, one, at_most)
    _find_caused(connection)
    _find_candidates(connection, _of_one_figure(at_most) if of_everybody else None)
    _choose(connection, at_most)
    _write_of_customers(connection)
    _write_candidates(connection)


def _of_one_figure(at_most: int) -> int:
    """How many customers a figure may have where all of them are too many."""
    return max(1, at_most // FIGURES_WITH_ROWS)


def _find_listable(connection: duckdb.DuckDBPyConnection, diffs: list[Diffs], of_everybody: bool, at_most: int) -> None:
    """listable_figures: the split figures of which customers may be listed; is_cut: those with the largest parts."""
    kpis = ", ".join(f"({text_literal(kpi)}, '{one.table}')" for one in diffs for kpi in one.parts) or "('', '')"
    of_one, so_far = _of_one_figure(at_most), f"over (order by {FIRST} rows unbounded preceding)"
    connection.execute(f"""
        create or replace temp table listable_figures as
        with counted as (
            select figure, kpi, period, segment, series, tables.diffs, general.cause, true as is_split,
                coalesce(counts.customers, 0) as customers
            from split_figures as figures
            inner join (values {kpis}) as tables (kpi, diffs) using (kpi)
            inner join general_causes as general using (figure)
            left join cell_customers as counts using (diffs, period, segment)
            where {f"segment_dimension = '{ALL}'" if of_everybody else "true"}
        ),
        cut as (
            select *, customers > {of_one} and sum(customers) over () > {at_most} as is_cut from counted
        ),
        looked_at as (
            from cut
            qualify not is_cut or sum(case when is_cut then customers end) {so_far} <= {LOOKED_AT * at_most}
        )
        from looked_at qualify sum(case when is_cut then {of_one} else customers end) {so_far} <= {at_most}""")


def _add_customers(connection: duckdb.DuckDBPyConnection, one: Diffs, at_most: int) -> None:
    """customer_parts of the listable figures of a family."""
    connection.execute(f"""
        create or replace temp table listable_diffs as
        select period, segment, customer_key, {sums(one.columns)}
        from ({by_segment(one.table)}) as diffs
        semi join (from listable_figures where diffs = '{one.table}') as figures using (period, segment)
        group by all""")
    of_kpis = " union all ".join(
        f"select {text_literal(kpi)} as kpi, period, segment, customer_key, {listed_parts(parts)} from listable_diffs"
        for kpi, parts in one.parts.items()
    )
    connection.execute(f"""
        insert into customer_parts
        select figure, customer_key, numerator_delta, denominator_delta
        from ({of_kpis}) as parts
        inner join listable_figures using (kpi, period, segment)
        where numerator_delta <> 0 or denominator_delta <> 0
        qualify not is_cut or row_number() over (
            partition by figure
            order by abs(numerator_delta) desc nulls last, abs(denominator_delta) desc nulls last, customer_key
        ) <= {_of_one_figure(at_most)}""")


def _find_caused(connection: duckdb.DuckDBPyConnection) -> None:
    """caused_parts: customer_parts of causes with rows, with the cause and how many rows of the customer may be behind
    the part. rows_of_series: which rows may move a series; `kind`: the dataset and cause of rows of listed customers,
    numbered_rows.
    """
    connection.execute("""
        create or replace temp table kinds as
        select row_number() over () as kind, * from (select distinct dataset, cause from run_rows)""")
    connection.execute(f"""
        create or replace temp table rows_of_series as
        select distinct series, kind from kpi_causes
        inner join restated_series using ({", ".join(NUMBERED["series"])})
        inner join kinds using (dataset, cause)""")
    connection.execute("""
        create or replace temp table numbered_rows as
        select customer_key, kind, row_key, load_id from run_rows inner join kinds using (dataset, cause)
        where customer_key in (select customer_key from customer_parts)""")
    connection.execute(f"""
        create or replace temp table caused_parts as
        with parts as (
            select parts.*, figures.series, coalesce(own.cause, figures.cause) as cause
            from customer_parts as parts
            inner join listable_figures as figures using (figure)
            inner join run_customers as customers using (customer_key)
            left join signature_causes as own
                on customers.signature = own.signature and figures.series = own.series
        ),
        numbers as (
            select figure, customer_key, sum(of_kind.number) as number
            from parts
            inner join rows_of_series using (series)
            inner join (
                select customer_key, kind, count(*) as number from numbered_rows group by all
            ) as of_kind using (customer_key, kind)
            group by all
        )
        select parts.*, coalesce(number, 1) as number
        from parts left join numbers using (figure, customer_key)
        where cause in ({CAUSES_OF_ROWS})""")


def _find_candidates(connection: duckdb.DuckDBPyConnection, of_one_figure: int | None) -> None:
    """candidates: the datasets and causes of rows that may be behind figures that are not split, with their number, and
    of the rates behind those that rates moved. of_one_figure: those of everybody's figures, and at most so many of one.
    """
    reached = f"and restated.segment_dimension = '{ALL}'" if of_one_figure is not None else ""
    few = f"where numbers.number <= {of_one_figure}" if of_one_figure is not None else ""
    connection.execute(f"""
        create or replace temp table candidates as
        with reached as (
            select figure, causes.cause, causes.dataset, restated.period_end + causes.horizon_days as before_day
            from restated
            inner join cell_causes using (figure)
            inner join (
                select distinct series, cause, dataset, horizon_days from kpi_causes
                inner join restated_series using ({", ".join(NUMBERED["series"])})
                where dataset <> ''
            ) as causes using (series, cause)
            left join (
                select figure, bool_or(cause = '{FX}') as has_rates from cause_parts group by figure
            ) as parts using (figure)
            where causes.cause in ({CAUSES_OF_ROWS})
                and (has_rates is null or (causes.cause = '{FX}' and has_rates)) {reached}
        ),
        numbers as (
            select asked.dataset, asked.cause, asked.before_day, count(*) as number
            from (select distinct dataset, cause, before_day from reached) as asked
            inner join run_rows as rows on asked.dataset = rows.dataset and asked.cause = rows.cause
                and (rows.first_day is null or rows.first_day < asked.before_day)
            group by all
        )
        select reached.*, numbers.number from reached inner join numbers using (dataset, cause, before_day) {few}""")


def _choose(connection: duckdb.DuckDBPyConnection, at_most: int) -> None:
    """chosen_figures: those whose rows are listed."""
    connection.execute(f"""
        create or replace temp table chosen_figures as
        with numbers as (
            select figure, true as is_split, sum(number) as number from caused_parts group by figure
            union all
            select figure, true, 1 from cause_parts where is_rest and {_is_of_nobody()}
            union all
            select figure, false, number from candidates
        )
        select figure from (
            select figure, bool_or(is_split) as is_split, sum(number) as number from numbers group by figure
            having sum(number) <= {at_most}
        )
        qualify sum(number) over (order by {FIRST} rows unbounded preceding) <= {at_most}""")


def _is_of_nobody() -> str:
    """SQL over cause_parts: what is left has a line of its own. What rates moved is of customers, but of too many."""
    return f"cause in ({CAUSES_OF_ROWS}) and cause <> '{FX}'"


def _write_of_customers(connection: duckdb.DuckDBPyConnection) -> None:
    """A customer's rows, the part on the first of them; one line without a customer for what is left of a change."""
    connection.execute(f"""
        insert into {FOUND}
        with matched as (
            select caused.figure, caused.customer_key, caused.cause, numerator_delta, denominator_delta,
                case when of_series.kind is not null then row_key end as row_key,
                case when of_series.kind is not null then load_id end as load_id,
                kinds.dataset, kinds.cause as row_cause,
                row_number() over (
                    partition by caused.figure, caused.customer_key
                    order by kinds.cause is null, kinds.cause <> caused.cause, kinds.dataset, rows.row_key
                ) as place
            from (from caused_parts semi join chosen_figures using (figure)) as caused
            left join numbered_rows as rows on caused.customer_key = rows.customer_key
            left join rows_of_series as of_series on caused.series = of_series.series and rows.kind = of_series.kind
            left join kinds on of_series.kind = kinds.kind
        )
        select figure, coalesce(row_cause, matched.cause), ids.customer_id, dataset, row_key, load_id,
            case when place = 1 then numerator_delta end, case when place = 1 then denominator_delta end
        from matched
        left join raw_store.raw.customer_keys as ids on matched.customer_key = ids.customer_key
        where row_cause is not null or place = 1
        union all
        select figure, cause, null, null, null, null, numerator_delta, denominator_delta
        from (from cause_parts semi join chosen_figures using (figure)) where is_rest and {_is_of_nobody()}""")


def _write_candidates(connection: duckdb.DuckDBPyConnection) -> None:
    """The rows that may be behind a figure, without parts."""
    connection.execute(f"""
        insert into {FOUND}
        select figure, chosen.cause, ids.customer_id, rows.dataset, rows.row_key, rows.load_id, null, null
        from (from candidates semi join chosen_figures using (figure)) as chosen
        inner join run_rows as rows on chosen.dataset = rows.dataset and chosen.cause = rows.cause
            and (rows.first_day is null or rows.first_day < chosen.before_day)
        left join raw_store.raw.customer_keys as ids on rows.customer_key = ids.customer_key""")
