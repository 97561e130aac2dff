"""The delta of a figure split by causes: the same to the last bit, in whatever order the customers' parts come."""

from typing import Any

import duckdb
import pytest

from retention_pipeline.history.figures import number_figures
from retention_pipeline.history.parts import Diffs
from retention_pipeline.history.restatements import find_cell_causes
from retention_pipeline.history.split import find_deltas, split

CELL = "'order_revenue' as kpi, 'month' as grain, date '2024-01-01' as period_start, 'order' as basis"
CELL += ", 'all' as segment_dimension, 'all' as segment_value"
CUSTOMERS = 5_000
DIFFS = Diffs("diffs_orders", ("order_revenue",), {"order_revenue": {"value": "order_revenue"}})


def deltas(order: str) -> list[tuple[Any, ...]]:
    """cell_deltas of one figure, moved by many customers with parts of cents; order: SQL of customer i."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute(f"""
            create temp table diffs_orders as
            select 1 as period, i as customer_key,
                1 as profile, cast(null as bigint) as other_profile,
                cast((hash(i) % 1000003) / 100 as decimal(38, 6)) as order_revenue
            from range({CUSTOMERS}) as t(i) order by {order}""")
        connection.execute(
            "create temp table profile_segments as select 1 as profile, 'all' as segment_dimension, 1 as segment"
        )
        connection.execute(f"""
            create temp table restated as select {CELL}, 0.0::double as old_value,
                cast((select sum(order_revenue) from diffs_orders) as double) as new_value,
                null::double as old_numerator, null::double as new_numerator, null::double as old_denominator,
                null::double as new_denominator, true as was_there, true as is_there""")
        number_figures(connection)
        connection.execute("""
            create temp table cell_causes as
            select 1 as figure, cause, place from (values ('corrected', 1), ('late', 2)) as t(cause, place)""")
        connection.execute(
            "create temp table kpi_causes as select 'order_revenue' as kpi, 'order' as basis, "
            "'all' as segment_dimension, unnest(['late', 'corrected']) as cause, 'orders' as dataset"
        )
        connection.execute(f"""
            create temp table run_customers as select i as customer_key, true as is_early,
                case when i % 3 = 0 then 'orders late' else 'orders corrected' end as signature
            from range({CUSTOMERS}) as t(i) order by {order}""")
        connection.execute("create temp view all_causes as from cell_causes")
        split(connection, [DIFFS])
        find_deltas(connection)
        return connection.execute("select cause, numerator_delta from cell_deltas order by place").fetchall()


@pytest.mark.parametrize("order", ["i desc", "hash(i)", "(hash(i) % 1000003)"])
def test_a_split_does_not_depend_on_the_order_of_the_parts(order: str) -> None:
    expected = deltas("i")
    assert [cause for cause, _ in expected] == ["corrected", "late"]
    assert deltas(order) == expected


def causes_of(run_rows: str) -> list[tuple[Any, ...]]:
    """The causes of a figure that no cause of its own moved; run_rows: SQL of the causes of the run's rows."""
    with duckdb.connect() as connection:
        made = "date '2024-02-01' as period_end, 1 as old_definition_version, 1 as new_definition_version"
        measures = ", ".join(
            f"{side} as {name}_{measure}"
            for name, side in (("old", 0), ("new", 1))
            for measure in ("value", "numerator", "denominator", "n")
        )
        connection.execute(f"create temp table restated as select {CELL}, {measures}, {made}")
        connection.execute(
            "create temp table kpi_causes as select 'other' as kpi, 'order' as basis, 'all' as segment_dimension, "
            "'late' as cause, 'orders' as dataset, cast(null as date) as first_day, 0 as horizon_days"
        )
        connection.execute(f"create temp table run_rows as {run_rows}")
        number_figures(connection)
        find_cell_causes(connection)
        return connection.execute("select cause from cell_causes order by place").fetchall()


def test_a_figure_without_a_cause_of_its_own_has_that_of_the_run() -> None:
    assert causes_of("select unnest(['attribute', 'late', 'late']) as cause") == [("late",)]
    assert causes_of("select '' as cause where false") == [("backfill",)]
