"""The rule that purchase days are unique, against a count of all days, over every customer of three rows at most."""

from itertools import product

import duckdb

from retention_pipeline.audit.facts import fact_rules

DAYS = (1, 2, 3)
ROWS = [(day, before) for day in DAYS for before in (None, *DAYS)]


def test_a_purchase_day_that_is_there_twice_is_found_whatever_its_neighbours_say() -> None:
    customers = [rows for count in (1, 2, 3) for rows in product(ROWS, repeat=count)]
    days = [(key, *row) for key, rows in enumerate(customers) for row in rows]
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table int_purchase_days as
            select customer_key, date '2024-01-01' + day as purchase_date, date '2024-01-01' + before as previous_date
            from (select unnest(?) as customer_key, unnest(?) as day, unnest(?) as before)
            """,
            [list(column) for column in zip(*days, strict=True)],
        )
        connection.execute("create table int_customers (customer_key bigint, customer_id varchar)")
        rule = next(rule for rule in fact_rules() if rule.name == "purchase_days_are_unique")
        found = {row[0] for row in connection.execute(rule.sql).fetchall()}
    assert found == {key for key, rows in enumerate(customers) if len({day for day, _ in rows}) < len(rows)}
    assert found
