"""Facts of both generations in one table: profiles that say the same have one number, whatever their keys."""

import duckdb

from retention_pipeline.history.both_generations import Facts
from retention_pipeline.history.figures import number_figures
from retention_pipeline.history.parts import find_profiles

VALUES = "(values {}) as t (profile_key, segment_dimension, segment_value)"


def test_all_keys_of_profiles_have_the_numbers_of_both_generations() -> None:
    """NL has key 2 before and key 5 now; a customer moves from nowhere to NL in both, and on to DE now."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as published")
        for database, nl, de in (("published", 2, 5), ("memory", 5, 2)):
            rows = f"(0, 'country', '(unknown)'), ({nl}, 'country', 'NL'), ({de}, 'country', 'DE')"
            connection.execute(f"create table {database}.main.int_profile_values as from {VALUES.format(rows)}")
            moved = f"(7, 1, {nl}, 0)" + (f", (7, 2, {de}, {nl})" if database == "memory" else "")
            connection.execute(
                f"create table {database}.main.int_profile_spans as "
                f"from (values {moved}) as t (customer_key, span, profile_key, profile_before)"
            )
        connection.execute("""
            create temp table restated as
            select 'orders' as kpi, 'month' as grain, date '2026-02-01' as period_start, 'order' as basis,
                'country' as segment_dimension, unnest(['NL', 'DE']) as segment_value""")
        connection.execute("create temp table run_customers as select 7 as customer_key, true as is_early")
        connection.execute("create temp table kpi_causes as select 'late' as cause")
        number_figures(connection)
        find_profiles(connection)
        number = dict(
            connection.execute(
                "select distinct segment_value, profile from profile_segments "
                "inner join restated_segments using (segment)"
            ).fetchall()
        )
        spans = Facts(connection).named("int_profile_spans", is_early=True)
        found = connection.execute(f"select customer_key, span, profile_key, profile_before from {spans} order by all")
        assert found.fetchall() == [
            (-8, 1, number["NL"], 0),
            (7, 1, number["NL"], 0),
            (7, 2, number["DE"], number["NL"]),
        ]
