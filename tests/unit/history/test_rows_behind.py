"""Which rows of a night may be behind what it changed: those that count before the last changed period ends."""

from collections.abc import Iterator
from datetime import date, datetime

import duckdb
import pytest

from retention_pipeline.history.causes import find_rows
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reach import Reach, reach
from retention_pipeline.settings import Settings, parse_settings

SETTINGS = parse_settings(
    {
        "business": {"timezone": "UTC", "reporting_currency": "EUR"},
        "sources": {"orders": {"type": "files", "path": "orders/*.csv"}},
    }
)
NIGHT = Publication(datetime(2026, 3, 5, 2), 2, "night", date(2026, 3, 5), "run-2", "s", "c", "k", "{}")


@pytest.fixture
def raw() -> Iterator[duckdb.DuckDBPyConnection]:
    """Load 2: a late order and one of today of customer 1, one of today of customer 2, and a late order that is moved
    to today.
    """
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as published")
        connection.execute("attach ':memory:' as raw_store")
        connection.execute("create schema raw_store.raw")
        connection.execute("create table raw_store.raw.ledger as select 2 as load_id")
        columns = (
            "order_id varchar, _customer_key bigint, ordered_at timestamp, _load_id bigint, ordered_at_is_date boolean"
        )
        connection.execute(f"create table raw_store.raw.orders ({columns})")
        connection.execute(f"create table raw_store.raw.orders_history ({columns}, _superseded_by bigint)")
        connection.execute("""
            insert into raw_store.raw.orders values ('late', 1, '2026-02-10 12:00', 2, false),
                ('today', 1, '2026-03-04', 2, false), ('other', 2, '2026-03-04', 2, false),
                ('moved', 3, '2026-03-04', 2, false), ('known', 4, '2026-02-01', 1, false)""")
        connection.execute("insert into raw_store.raw.orders_history values ('moved', 3, '2026-02-20', 1, false, 2)")
        for table in ("orders", "orders_history"):
            connection.execute(f"create temp view raw_{table} as from raw_store.raw.{table}")
        yield connection


def found(connection: duckdb.DuckDBPyConnection, settings: Settings, until: Reach | None) -> list[tuple[int, str, str]]:
    find_rows(connection, settings, NIGHT, NIGHT, by_content=False, applied=1, until=until)
    rows = connection.execute("select customer_key, row_key, cause from run_rows order by all").fetchall()
    return [(int(key), str(row), str(cause)) for key, row, cause in rows]


def test_rows_that_count_later_are_behind_nothing(raw: duckdb.DuckDBPyConnection) -> None:
    assert found(raw, SETTINGS, Reach(date(2026, 3, 1))) == [(1, "late", "late"), (3, "moved", "corrected")]
    assert len(found(raw, SETTINGS, None)) == 4


def test_where_no_row_reaches_what_changed_the_run_still_has_its_causes(raw: duckdb.DuckDBPyConnection) -> None:
    assert found(raw, SETTINGS, Reach(date(2026, 1, 1))) == found(raw, SETTINGS, None)


def test_rows_count_behind_the_last_period_where_a_kpi_of_their_dataset_looks_there(
    raw: duckdb.DuckDBPyConnection,
) -> None:
    figures = [("active_customers", "all", "all", date(2026, 3, 1)), ("aov", "all", "all", date(2026, 2, 1))]
    assert reach(figures, SETTINGS) == Reach(date(2026, 3, 1))
    further = reach([*figures, ("repurchase_within_30d", "order", "country", date(2026, 2, 20))], SETTINGS)
    assert further == Reach(
        date(2026, 3, 1), {name: date(2026, 3, 22) for name in ("customer_aliases", "customers", "orders")}
    )
    rows = [(1, "late", "late"), (1, "today", "late"), (2, "other", "late"), (3, "moved", "corrected")]
    assert found(raw, SETTINGS, further) == rows
    assert found(raw, SETTINGS, Reach(date(2026, 3, 1), {"emails": date(2026, 3, 22)})) == rows[::3]
