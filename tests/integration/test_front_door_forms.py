"""Exports that come in by short forms alone: each as one source of one home, told apart by the month of its orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from support.computed_home import compute_home

from retention_pipeline.cli import runs
from retention_pipeline.settings import Home

ORDERS = "order_id,customer_id,ordered_at,amount,currency,status"
PAID = {"currency": {"constant": "EUR"}, "status": {"constant": "paid"}}
LINE_ITEMS = {"order_id": "InvoiceNo", "customer_id": "CustomerID", "ordered_at": "InvoiceDate", "amount": "LineTotal"}
SOURCES: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "line_items": (
        {"columns": {**LINE_ITEMS, **PAID}, "rows": {"one_per": "InvoiceNo", "sum": ["LineTotal"]}},
        {
            "lines.csv": [
                "InvoiceNo,InvoiceDate,LineTotal,CustomerID",
                "5001,2025-01-06,10.00,L1",
                "5001,2025-01-06,15.00,L1",
                "5002,2025-01-07,7.00,L2",
                "5002,2025-01-07,7.00,L2",
            ]
        },
    ),
    "title_lines": ({"skip_lines": 1}, {"1.csv": ["Orders report,,,,,", ORDERS, "t1,k1,2025-02-05,10.00,EUR,paid"]}),
    "blank_columns": ({}, {"1.csv": [f"{ORDERS},,,", "b1,k2,2025-03-05,11.00,EUR,paid,,,"]}),
    "natural_order": (
        {},
        {
            "export_10.csv": [ORDERS, "n1,k3,2025-04-05,12.00,EUR,paid"],
            "export_9.csv": [ORDERS, "n1,k3,2025-04-05,12.00,EUR,pending"],
        },
    ),
    "email_case": (
        {"ids": {"lower": True}},
        {"1.csv": [ORDERS, "e1,mira@shop.test,2025-05-05,1.00,EUR,paid", "e2,Mira@Shop.test,2025-05-06,1,EUR,paid"]},
    ),
    "refunds": (
        {"refund_of": "order_id"},
        {"1.csv": [ORDERS, "r1,k4,2025-06-05,20.00,EUR,paid", "r1,k4,2025-06-06,-5.00,EUR,paid"]},
    ),
    "dutch_shop": (
        {
            "delimiter": ";",
            "quotes": "none",
            "skip_lines": 1,
            "timezone": "Europe/Amsterdam",
            "rows": {"one_per": ["Nr", "Status"], "sum": ["Totaal"]},
            "where": "Status is not null",
            "refund_of": "Nr",
            "columns": {
                "order_id": "Nr",
                "customer_id": "Klant",
                "ordered_at": {"column": "Datum", "format": "%d-%m-%Y %H:%M"},
                "amount": {"expression": 'number("Totaal")'},
                "currency": {"constant": "EUR"},
                "status": "Status",
            },
            "values": {"status": {"paid": "betaald", "cancelled": "geannuleerd", "refunded": "terugbetaald"}},
        },
        {
            "1.csv": [
                "Overzicht;;;;;",
                "Nr;Klant;Datum;Artikel;Totaal;Status",
                'D1;D1;05-07-2025 10:12;Kaasplank "luxe";€ 1.012,50;Betaald',
                'D1;D1;05-07-2025 10:12;Mes 5";€ 9,00;Betaald',
                "D1;D1;20-07-2025 10:12;Mes retour;€ -9,00;Terugbetaald",
                "D2;D2;06-07-2025 00:30;Kaas;€ 20,00;Geannuleerd",
                "Totaal;;;;€ 1.032,50;",
            ]
        },
    ),
}
ITEMS = [
    "subscription_id,customer_id,plan,amount,currency,interval,status,started_at",
    "S1,a,base,50,EUR,month,active,2025-01-15",
    "S1,a,addon,30,EUR,month,active,2025-01-15",
]
SUBSCRIPTIONS: dict[str, dict[str, Any]] = {
    "items_added_up": {"rows": {"one_per": "subscription_id", "sum": ["amount"]}},
    "items_by_themselves": {"columns": {"subscription_id": {"expression": "subscription_id || ' ' || plan"}}},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("forms")
    sources = {}
    for name, (settings, files) in SOURCES.items():
        sources[name] = {"dataset": "orders", **settings}
        deliver(root, name, files)
    sources["large"] = {"dataset": "subscriptions"}
    deliver(root, "large", {"1.csv": [ITEMS[0], "L1,l,pro,1000000,EUR,year,active,2025-02-15"]})
    for name, settings in SUBSCRIPTIONS.items():
        sources[name] = {"dataset": "subscriptions", **settings}
        deliver(root, name, {"items.csv": [line.replace("S1,a", f"{name},{name}") for line in ITEMS]})
    with duckdb.connect(str(computed(root, sources)), read_only=True) as connection:
        yield connection


def deliver(root: Path, name: str, files: dict[str, list[str]]) -> None:
    (root / "landing" / name).mkdir(parents=True)
    for file, lines in files.items():
        (root / "landing" / name / file).write_text("\n".join([*lines, ""]))


def computed(root: Path, sources: dict[str, dict[str, Any]]) -> Path:
    content = {
        "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"},
        "sources": {
            name: {"type": "files", "path": f"landing/{name}/*.csv", "timezone": "UTC", **settings}
            for name, settings in sources.items()
        },
    }
    (root / "settings.yaml").write_text(yaml.safe_dump(content))
    return compute_home(root, date(2025, 8, 1))


def figure(published: duckdb.DuckDBPyConnection, kpi: str, month: int, basis: str = "order") -> Any:
    [row] = published.execute(
        f"select value from retention_kpis where kpi = '{kpi}' and grain = 'month' and segment_dimension = 'all'"
        f" and period_start = date '2025-{month:02}-01' and basis in ('{basis}', 'all')"
    ).fetchall()
    return row[0]


@pytest.mark.parametrize(
    ("month", "revenue", "buyers", "orders"),
    [(1, 39, 2, 2), (2, 10, 1, 1), (3, 11, 1, 1), (4, 12, 1, 1), (5, 2, 1, 2), (6, 15, 1, 1), (7, 1012.5, 1, 1)],
)
def test_orders_come_in_right(
    published: duckdb.DuckDBPyConnection, month: int, revenue: float, buyers: int, orders: int
) -> None:
    assert figure(published, "order_revenue", month) == revenue
    assert figure(published, "customers_new", month) == buyers
    counted = published.execute(f"select sum(orders) from int_purchase_days where month(purchase_date) = {month}")
    assert counted.fetchall() == [(orders,)]


def test_items_of_a_subscription_are_worth_their_sum(published: duckdb.DuckDBPyConnection) -> None:
    assert figure(published, "mrr_end", 1, "subscription") == 160
    assert figure(published, "customers_end", 1, "subscription") == 2


def test_a_large_price_of_a_year_is_worth_its_twelfth(published: duckdb.DuckDBPyConnection) -> None:
    found = published.execute(
        "select distinct mrr_end from period_mrr where grain = 'month' and period_start = date '2025-02-01'"
        " and segment_dimension = 'all'"
    )
    assert found.fetchall() == [(160 + Decimal("83333.333333"),)]


def test_surveys_alone_give_their_figures(tmp_path: Path) -> None:
    lines = ["response_id,customer_id,responded_at,kind,score,scale_max", "q1,c1,2025-01-05,nps,9,10"]
    deliver(tmp_path, "surveys", {"1.csv": lines})
    with duckdb.connect(str(computed(tmp_path, {"surveys": {}})), read_only=True) as published:
        assert figure(published, "nps", 1, "all") == Decimal(100)
        [tried] = [words for words, _ in runs._tries(Home(tmp_path), "nps", []) if " query " in words]
        assert published.execute(tried.split('"')[1]).fetchall()
