"""Amounts as wide as the contract go through every model and come out exact; what is wider is refused at the door."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nights.compiled_models import compile_models
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.audit import audit
from retention_pipeline.ingest import ingest
from retention_pipeline.kpis import compute_kpis, validate_kpis
from retention_pipeline.settings import Home, Settings

AS_OF, NOW = date(2024, 6, 20), datetime(2024, 6, 20, 2)
WIDEST_ORDER, WIDEST_PRICE, WIDEST_RATE = "9999999999999999.99", "999999999999.999999", "99999.99999999"
ORDERS = "order_id,customer_id,ordered_at,amount,currency,status,refunded_amount"
SUBSCRIPTIONS = (
    "subscription_id,customer_id,plan,amount,quantity,recurring_discount,currency,interval,interval_count,status,"
    "started_at,ended_at"
)
CUSTOMERS = 30


def files() -> dict[str, list[str]]:
    """Customers who buy twice a day at the greatest amount, and pay two subscriptions of the greatest price by day."""
    orders, subscriptions = [ORDERS], [SUBSCRIPTIONS]
    for i in range(CUSTOMERS):
        currency = "BTC" if i % 2 else "JPY"
        for k, day in enumerate(("2024-01-05", "2024-01-05", "2024-03-05")):
            orders.append(f"o{i}-{k},c{i},{day},{WIDEST_ORDER},{currency},paid,{'0.01' if k == 1 else ''}")
        for k in range(2):
            subscriptions += [
                f"s{i}-{k},c{i},pro,{WIDEST_PRICE},1,0,{currency},day,1,active,2024-01-05,2024-04-05",
                f"s{i}-{k},c{i},pro,{WIDEST_PRICE},1,{WIDEST_PRICE},{currency},day,1,active,2024-04-05,",
                f"u{i}-{k},c{i},units,0.000001,999999999999,0,{currency},year,36600,active,2024-02-05,2024-05-05",
            ]
    customers = ["customer_id,valid_from,country", *(f"c{i},,NL" for i in range(CUSTOMERS))]
    customers += [f"c{i},2024-02-10,DE" for i in range(0, CUSTOMERS, 3)]
    rates = ["date,currency,rate_to_reporting", f"2020-01-01,BTC,{WIDEST_RATE}"]
    return {"orders": orders, "subscriptions": subscriptions, "customers": customers, "fx_rates": rates}


def made_settings() -> Settings:
    return Settings.model_validate(
        {
            "business": {"reporting_currency": "JPY", "timezone": "UTC", "fx_max_age_days": 3650, "min_n": 1},
            "segments": ["country", "plan"],
            "max_quarantine_rate": 1.0,
            "sources": {
                name: {"type": "files", "path": f"landing/{name}/*.csv", "timezone": "UTC"}
                for name in ("orders", "subscriptions", "customers", "fx_rates")
            },
        }
    )


def deliver(root: Path, delivered: dict[str, list[str]]) -> Home:
    for name, lines in delivered.items():
        folder = root / "landing" / name
        folder.mkdir(parents=True)
        (folder / "all.csv").write_text("\n".join([*lines, ""]))
    return Home(root)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("wide")
    settings = made_settings()
    home = deliver(folder / "home", files())
    result = ingest(home, settings, now=NOW)
    assert sum(load.bad for load in result.loads) == 0, [load for load in result.loads if load.bad]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
        models = compile_models(settings, folder / "compiled")
        Warehouse(connection, models).full_refresh(AS_OF)
        arguments: dict[str, Any] = {
            "as_of": AS_OF,
            "run_id": "test",
            "connected_datasets": settings.connected_datasets,
        }
        compute_kpis(connection, settings, computed_at=NOW, **arguments)
        yield connection


def value(connection: duckdb.DuckDBPyConnection, query: str) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_the_widest_orders_add_up_to_the_last_digit(warehouse: duckdb.DuckDBPyConnection) -> None:
    cent, widest, rate = Decimal("0.01"), Decimal(WIDEST_ORDER), Decimal(WIDEST_RATE)
    with_rates = [(widest * rate).quantize(cent), ((widest - cent) * rate).quantize(cent)]
    expected = CUSTOMERS // 2 * (widest + widest - cent + with_rates[0] + with_rates[1])
    assert expected == value(
        warehouse,
        "select order_revenue from period_orders where grain = 'month' and period_start = '2024-01-01'"
        " and segment_dimension = 'all'",
    )


def test_the_widest_prices_add_up_to_the_last_digit(warehouse: duckdb.DuckDBPyConnection) -> None:
    millionth, rate = Decimal("0.000001"), Decimal(WIDEST_RATE)
    mrr = (Decimal(WIDEST_PRICE) * 365 / 12).quantize(millionth)
    foreign = (2 * mrr * rate).quantize(millionth)
    assert CUSTOMERS // 2 * (2 * mrr + foreign) == value(
        warehouse,
        "select mrr_end from period_mrr where grain = 'month' and period_start = '2024-01-01'"
        " and segment_dimension = 'all' and currency = 'all'",
    )


def test_every_rule_holds_of_the_widest_amounts(warehouse: duckdb.DuckDBPyConnection) -> None:
    result = audit(warehouse, made_settings())
    assert len(result.rules) > 40 and result.violations == []
    assert validate_kpis(warehouse, made_settings()) == []


@pytest.mark.parametrize(
    ("dataset", "line", "reason"),
    [
        ("orders", "x,c1,2024-01-05,10000000000000000.00,JPY,paid,", "too large"),
        ("subscriptions", "x,c1,pro,1000000000000,1,0,JPY,month,1,active,2024-01-05,", "too large"),
        ("subscriptions", f"x,c1,pro,{WIDEST_PRICE},2,0,JPY,month,1,active,2024-01-05,", "amount × quantity is too"),
        (
            "subscriptions",
            "x,c1,pro,1,999999999999999999,0,JPY,month,1,active,2024-01-05,",
            "quantity is",
        ),
        ("subscriptions", "x,c1,pro,1,1,0,JPY,month,36601,active,2024-01-05,", "interval_count is greater than"),
        ("fx_rates", "2024-01-05,USD,100000", "rate_to_reporting is too large"),
    ],
)
def test_what_is_wider_is_refused_at_the_door(dataset: str, line: str, reason: str, tmp_path: Path) -> None:
    delivered = files()
    delivered[dataset].append(line)
    home = deliver(tmp_path, delivered)
    result = ingest(home, made_settings(), now=NOW)
    assert [load.dataset for load in result.loads if load.bad] == [dataset]
    with duckdb.connect(str(home.raw_file), read_only=True) as connection:
        ((said,),) = connection.execute("select reason from raw.raw.quarantine").fetchall()
    assert reason in said
