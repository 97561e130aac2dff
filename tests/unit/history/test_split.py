"""The delta of a figure split by causes: the same to the last bit, in whatever order the customers' parts come."""

import duckdb
import pytest

from retention_pipeline.history.split import split

CELL = "'orders_revenue' as kpi, 'month' as grain, date '2024-01-01' as period_start, 'order' as basis"
CELL += ", 'all' as segment_dimension, 'all' as segment_value"
CUSTOMERS = 5_000


def deltas(order: str) -> list[tuple]:
    """cell_deltas of one figure, moved by many customers with parts of cents; order: SQL of customer i."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute(f"""
            create temp table cell_parts as
            select {CELL}, i as customer_key, cast((hash(i) % 1000003) / 100.0 as double) as numerator_delta,
                cast(null as double) as denominator_delta
            from range({CUSTOMERS}) as t(i) order by {order}""")
        connection.execute(f"""
            create temp table restated as select {CELL}, 0.0::double as old_value, sum(numerator_delta) as new_value,
                null::double as old_numerator, null::double as new_numerator, null::double as old_denominator,
                null::double as new_denominator from cell_parts""")
        connection.execute(f"""
            create temp table cell_causes as
            select {CELL}, cause, place, 2 as causes from (values ('corrected', 1), ('late', 2)) as t(cause, place)""")
        connection.execute(
            "create temp table kpi_causes as select 'orders_revenue' as kpi, 'order' as basis, "
            "'all' as segment_dimension, unnest(['late', 'corrected']) as cause, 'orders' as dataset"
        )
        connection.execute(
            "create temp table run_rows as select i as customer_key, 'orders' as dataset, "
            f"case when i % 3 = 0 then 'late' else 'corrected' end as cause from range({CUSTOMERS}) as t(i)"
        )
        split(connection)
        return connection.execute("select cause, numerator_delta from cell_deltas order by place").fetchall()


@pytest.mark.parametrize("order", ["i desc", "hash(i)", "(hash(i) % 1000003)"])
def test_a_split_does_not_depend_on_the_order_of_the_parts(order: str) -> None:
    expected = deltas("i")
    assert [cause for cause, _ in expected] == ["corrected", "late"]
    assert deltas(order) == expected
