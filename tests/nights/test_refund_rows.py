"""Refunds that come as negative rows are booked on their order and their own day, by night as by full refresh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nights.compiled_models import CompiledModels, compile_models
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.ingest import ingest
from retention_pipeline.settings import Home, Settings

SETTINGS = Settings.model_validate(
    {
        "business": {"reporting_currency": "EUR", "timezone": "UTC"},
        "grains": ["month"],  # the facts alone are looked at
        "sources": {"orders": {"type": "files", "path": "landing/*.csv", "refund_of": "Parent"}},
    }
)
HEADER = "order_id,Parent,customer_id,ordered_at,amount,currency,status,refunded_amount"
FIRST = [
    HEADER,
    "a,,anna,2024-01-05,100.00,EUR,paid,",
    "b,,ben,2024-01-06,50.00,EUR,paid,",
    "c,,cleo,2024-01-07,50.00,EUR,refunded,",
    "d,,dan,2024-01-08,50.00,EUR,paid,20.00",
    "e,,,2024-01-09,50.00,EUR,paid,",
    "r0,z,anna,2024-01-20,-3.00,EUR,paid,",
]
SECOND = [
    HEADER,
    "r1,a,anna,2024-02-03,-10.00,EUR,paid,",
    "r2,a,anna,2024-03-03,-20.00,EUR,paid,",
    "r3,b,,2024-02-04,-40.00,EUR,paid,",  # names no customer
    "r4,b,dan,2024-03-04,-40.00,EUR,paid,",  # names another, and more than is left of the order
    "r5,c,cleo,2024-02-05,-50.00,EUR,paid,",  # status refunded and a row: one refund
    "r6,d,dan,2024-02-06,-15.00,EUR,paid,",  # the row is a part of refunded_amount
    "r7,e,,2024-02-07,-50.00,EUR,paid,",
    "r8,d,dan,2024-02-06,-5.00,USD,paid,",  # another currency: of no order
    "r9,a,anna,2024-02-06,-5.00,EUR,cancelled,",
]
THIRD = [HEADER, "z,,zoe,2024-01-18,3.00,EUR,paid,", "r1,a,anna,2024-02-03,-12.00,EUR,paid,"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CompiledModels:
    return compile_models(SETTINGS, tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        yield connection


def load(home: Home, connection: duckdb.DuckDBPyConnection, name: str, lines: list[str], now: datetime) -> None:
    connection.execute("use memory")
    connection.execute("detach database if exists raw_store")
    path = home.root / "landing" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    assert not ingest(home, SETTINGS, now=now).refused
    connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    names = ("int_refunds", "int_excluded_orders", "int_purchase_days", "int_active_spans")
    return {name: connection.execute(f"from next.{name} order by all").fetchall() for name in names}


def refunds(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, Decimal]]:
    return connection.execute(
        """
        select coalesce(customer_id, ''), strftime(refunded_date, '%m-%d'), refunded
        from next.int_refunds left join raw_store.raw.customer_keys using (customer_key) order by all
        """
    ).fetchall()


def test_refund_rows_are_booked_on_their_order(
    tmp_path: Path, models: CompiledModels, connection: duckdb.DuckDBPyConnection
) -> None:
    home, warehouse = Home(tmp_path), Warehouse(connection, models)
    days = [date(2024, 4, day) for day in (1, 2, 3)]
    for number, (lines, day) in enumerate(zip((FIRST, SECOND, THIRD), days, strict=True)):
        load(home, connection, f"{number}.csv", lines, datetime(2024, 4, number + 1, 2))
        if number == 0:
            warehouse.full_refresh(day)
        else:
            warehouse.night(day, days[number - 1], number)
        by_night = tables(connection)
        warehouse.full_refresh(day)
        assert by_night == tables(connection)
        if number == 1:
            assert refunds(connection) == [
                ("", "02-07", Decimal(50)),
                ("anna", "02-03", Decimal(10)),
                ("anna", "03-03", Decimal(20)),
                ("ben", "02-04", Decimal(40)),
                ("ben", "03-04", Decimal(10)),
                ("cleo", "02-05", Decimal(50)),
                ("dan", "01-08", Decimal(5)),
                ("dan", "02-06", Decimal(15)),
            ]
    assert ("anna", "02-03", Decimal(12)) in refunds(connection)
    assert ("zoe", "01-20", Decimal(3)) in refunds(connection)
    excluded = connection.execute(
        "select exclusion_reason, sum(orders), sum(amount) from next.int_excluded_orders group by all order by all"
    ).fetchall()
    assert excluded == [
        ("cancelled", 1, Decimal(-5)),
        ("fully_refunded", 3, Decimal(103)),
        ("negative", 1, Decimal(0)),
        ("unattributed", 1, Decimal(50)),
    ]
