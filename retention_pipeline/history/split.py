"""The delta of a restated figure, split by causes.

Where the parts of the customers who moved it are known (parts.py): a customer's part has the first cause that a row of
this customer has, else the first of those that need no row of theirs (settings, definition, rates, a backfill), else
the figure's first one; values of ratios are split by letting one cause after the other in. Elsewhere the whole delta
stands with the first cause, and `other_causes` names the others.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import BACKFILL, CAUSES, DEFINITION, FX, SETTINGS
from retention_pipeline.history.parts import added
from retention_pipeline.history.reported import ROW_KEY
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.warehouse import sql_text


def split(connection: duckdb.DuckDBPyConnection) -> None:
    """customer_causes: cell_parts with the cause of each; cell_deltas: one row per restated figure and cause with its
    deltas. From `restated`, `cell_causes`, `cell_parts`, `run_rows` and `kpi_causes`.
    """
    order = " ".join(f"when '{cause}' then {number}" for number, cause in enumerate(CAUSES))
    key = ", ".join(ROW_KEY)
    of_everybody = ", ".join(sql_text(cause) for cause in (SETTINGS, DEFINITION, FX, BACKFILL))
    connection.execute(f"""
        create or replace temp table customer_causes as
        with own as (
            select parts.*, arg_min(rows.cause, case rows.cause {order} end) as own_cause
            from cell_parts as parts
            left join kpi_causes as causes on parts.kpi = causes.kpi and parts.basis = causes.basis
                and parts.segment_dimension = causes.segment_dimension
            left join run_rows as rows on parts.customer_key = rows.customer_key
                and rows.dataset = causes.dataset and rows.cause = causes.cause
            group by all
        )
        select own.*, coalesce(own.own_cause, general.cause, firsts.cause) as cause
        from own
        left join (
            select {key}, arg_min(cause, place) as cause from cell_causes where cause in ({of_everybody}) group by {key}
        ) as general on {same_key("own", "general", ROW_KEY)}
        left join (from cell_causes where place = 1) as firsts on {same_key("own", "firsts", ROW_KEY)}""")
    connection.execute(f"""
        create or replace temp table cell_deltas as
        with by_cause as (
            select {key}, cause, case cause {order} end as place, {added("numerator_delta")} as numerator_delta,
                {added("denominator_delta")} as denominator_delta
            from customer_causes group by {key}, cause
            having {added("numerator_delta")} <> 0 or {added("denominator_delta")} <> 0
        ),
        added as (
            select by_cause.*, old_value, new_value, old_numerator is not null as is_ratio, old_numerator,
                old_denominator,
                sum(by_cause.numerator_delta) over so_far as numerator_so_far,
                coalesce(sum(by_cause.denominator_delta) over so_far, 0) as denominator_so_far,
                lead(place) over by_place is null as is_last
            from by_cause inner join restated on {same_key("by_cause", "restated", ROW_KEY)}
            window by_place as (partition by {", ".join(f"by_cause.{name}" for name in ROW_KEY)} order by place),
                so_far as (partition by {", ".join(f"by_cause.{name}" for name in ROW_KEY)} order by place
                    rows unbounded preceding)
        ),
        valued as (
            select *,
                case
                    when is_last then coalesce(new_value, 0)
                    when not is_ratio then coalesce(old_value, 0) + numerator_so_far
                    else coalesce(old_value / nullif(old_numerator / nullif(old_denominator, 0), 0)
                        * (old_numerator + numerator_so_far) / nullif(old_denominator + denominator_so_far, 0), 0)
                end as value_so_far
            from added
        ),
        split as (
            select {key}, cause, place, numerator_delta, denominator_delta,
                value_so_far - lag(value_so_far, 1, coalesce(old_value, 0)) over (
                    partition by {key} order by place
                ) as delta
            from valued
        )
        select {key}, cause, place, numerator_delta, denominator_delta, delta, cast(null as varchar) as other_causes
        from split
        union all
        select {", ".join(f"restated.{name}" for name in ROW_KEY)}, causes.cause, 1,
            new_numerator - old_numerator, new_denominator - old_denominator,
            coalesce(new_value, 0) - coalesce(old_value, 0), others.names
        from restated
        inner join (from cell_causes where place = 1) as causes on {same_key("restated", "causes", ROW_KEY)}
        left join (
            select {key}, string_agg(cause, ', ' order by place) as names
            from cell_causes where place > 1 group by {key}
        ) as others on {same_key("restated", "others", ROW_KEY)}
        anti join split on {same_key("restated", "split", ROW_KEY)}""")
