"""The view `customers_in_period`: the customers behind the figures of a period, derived from facts when it is asked.

It reads tables of its own file by unqualified names, so that it holds wherever the file is attached. Filter by grain
and period: a million customers over ten years are a billion rows.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.warehouse import sql_name, sql_text, tables_in

VIEW = "customers_in_period"
READS = ("int_periods", "int_active_spans", "int_customers", "int_profile_spans", "int_profile_values")
DESCRIPTION = (
    "One row per grain, period_start, basis and customer active at the opening, at the close or in between: the "
    "customers behind customers_start, customers_end and the movements. A view over spans; filter by grain and period."
)
COLUMNS = {
    "grain": "week, month, quarter or year",
    "period_start": "First day of the period",
    "basis": "order, subscription or any",
    "customer_id": "The customer; of merged ones the surviving id",
    "state_at_opening": "active or inactive, at the end of the day before period_start",
    "state_at_close": "active or inactive, at the end of the day before the close",
    "movement": "retained, new, reactivated, lost or transient, as in period_customers",
}


def write_customers_in_period(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the view in the open warehouse; where no orders and no subscriptions are connected there is none."""
    if not tables_in(connection).issuperset(READS):
        connection.execute(f"drop view if exists {VIEW}")
        return
    found = connection.execute(
        "select distinct segment_dimension from int_profile_values where segment_dimension <> 'all' order by all"
    ).fetchall()
    dimensions = {dimension: column_of(dimension) for (dimension,) in found}
    connection.execute(f"create or replace view {VIEW} as {query(dimensions)}")
    connection.execute(f"comment on view {VIEW} is {sql_text(DESCRIPTION)}")
    about = COLUMNS | {column: f"The customer's {name} in the period" for name, column in dimensions.items()}
    for column, words in about.items():
        connection.execute(f"comment on column {VIEW}.{sql_name(column)} is {sql_text(words)}")


def column_of(dimension: str) -> str:
    """A dimension's column: its name, unless another column is called so."""
    return f"segment_{dimension}" if dimension in COLUMNS else dimension


def query(dimensions: dict[str, str]) -> str:
    """SQL of the view, with a column per segment dimension."""
    values = [f"segment_{number}.segment_value as {sql_name(name)}" for number, name in enumerate(dimensions.values())]
    joins = [
        f"left join int_profile_values as segment_{number} on segment_{number}.segment_dimension = {sql_text(name)} "
        f"and segment_{number}.profile_key = coalesce(profiles.profile_key, 0)"
        for number, name in enumerate(dimensions)
    ]
    return f"""
with spans as (
    select basis, customer_key, span_number, start_date, end_date from int_active_spans
    union all
    select 'any', customer_key, span_number, start_date, end_date from int_active_spans
    where is_only_basis and basis <> 'any'
),
states as (
    select
        periods.grain,
        periods.period_start,
        spans.basis,
        spans.customer_key,
        bool_or(spans.start_date < periods.period_start) as is_active_at_opening,
        bool_or(spans.end_date >= periods.close_date) as is_active_at_close,
        bool_or(spans.span_number = 1 and spans.start_date >= periods.period_start) as is_joining
    from int_periods as periods
    inner join spans on spans.start_date < periods.close_date and spans.end_date >= periods.period_start
    group by periods.grain, periods.period_start, spans.basis, spans.customer_key
)
select
    states.grain,
    states.period_start,
    states.basis,
    customers.customer_id,
    case when states.is_active_at_opening then 'active' else 'inactive' end as state_at_opening,
    case when states.is_active_at_close then 'active' else 'inactive' end as state_at_close,
    case
        when states.is_active_at_opening and states.is_active_at_close then 'retained'
        when states.is_active_at_opening then 'lost'
        when not states.is_active_at_close then 'transient'
        when states.is_joining then 'new'
        else 'reactivated'
    end as movement{"".join(f",{chr(10)}    {value}" for value in values)}
from states
inner join int_customers as customers on states.customer_key = customers.customer_key
left join int_profile_spans as profiles
    on states.customer_key = profiles.customer_key
    and (profiles.rule = 'any' or (profiles.rule = 'period' and profiles.grain = states.grain))
    and profiles.from_period <= states.period_start
    and states.period_start < profiles.to_period
{chr(10).join(joins)}"""
