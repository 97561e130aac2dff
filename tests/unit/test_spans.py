"""The macro that merges intervals, on rows enough for DuckDB to put ties in another order in each window."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest

from retention_pipeline.transform.manifest import PROJECT

# The first day of customer i is 1 January 2025 + i days, so that starts differ from customer to customer.
DAY = "date '2025-01-01' + {customer}::int"
CUSTOMERS = 1024


def spans_of(intervals: str, threads: int = 2) -> list[tuple[Any, ...]]:
    """Customer, start and end of every span that the macro makes of a query of intervals."""
    source = (Path(PROJECT) / "macros" / "spans.sql").read_text() + "{{ merged_spans(intervals) }}"
    query = jinja2.Environment().from_string(source).render(intervals=intervals)
    with duckdb.connect(config={"threads": threads}) as connection:
        return connection.execute(f"select * from ({query}) as spans order by all").fetchall()


@pytest.mark.parametrize("twins", [2, 3, 7])
@pytest.mark.parametrize("threads", [1, 4])
def test_equal_intervals_are_one_span(twins: int, threads: int) -> None:
    day = DAY.format(customer=f"(i // {twins})")
    spans = spans_of(
        f"select (i // {twins})::bigint as customer_key, {day} as start_date, {day} + 90 as end_date"
        f" from range({CUSTOMERS * twins}) as t(i)",
        threads,
    )
    assert len(spans) == CUSTOMERS


def test_intervals_that_start_together_are_one_span_until_the_latest_end() -> None:
    day = DAY.format(customer="(i // 5)")
    spans = spans_of(
        f"select (i // 5)::bigint as customer_key, {day} as start_date, {day} + (10 + 7 * (i % 3))::int as end_date"
        f" from range({CUSTOMERS * 5}) as t(i)"
    )
    assert len(spans) == CUSTOMERS
    assert {(end - start).days for _, start, end in spans} == {24}


def test_touching_intervals_merge_and_a_day_between_them_keeps_them_apart() -> None:
    rows = [(1, 0, 10), (1, 0, 10), (1, 10, 20), (2, 0, 10), (2, 11, 20), (3, 0, 30), (3, 5, 10), (3, 31, 40)]
    values = ", ".join(str(row) for row in rows)
    first_day = date(2025, 1, 1)
    spans = spans_of(
        f"select customer_key, date '{first_day}' + s as start_date, date '{first_day}' + e as end_date"
        f" from (values {values}) as t(customer_key, s, e)"
    )
    assert [(key, (start - first_day).days, (end - first_day).days) for key, start, end in spans] == [
        (1, 0, 20),
        (2, 0, 10),
        (2, 11, 20),
        (3, 0, 30),
        (3, 31, 40),
    ]
