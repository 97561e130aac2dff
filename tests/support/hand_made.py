"""Small hand-made warehouses for the tests of KPIs: empty period tables, and a few words to put rows into them."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import duckdb

from retention_pipeline.kpis import KpiResult, compute_kpis
from retention_pipeline.kpis.registry import FAMILIES
from retention_pipeline.kpis.rules import Rules
from retention_pipeline.settings import Business

KEY = "grain varchar, period_start date, basis varchar, segment_dimension varchar, segment_value varchar"
BASIS = {"period_orders": "order", "period_mrr": "subscription", "period_customers": "order"}
BASIS |= dict.fromkeys(
    ("period_engagement", "period_payments", "period_surveys", "period_emails", "period_tickets"), "all"
)
MONTHS = [date(2023, month, 1) for month in range(1, 13)] + [date(2024, 1, 1)]


def settings(**business: Any) -> SimpleNamespace:
    """Settings as far as KPIs read them; min_n is 1 unless given."""
    chosen: dict[str, Any] = {"timezone": "UTC", "reporting_currency": "EUR", "min_n": 1}
    return SimpleNamespace(business=Business(**(chosen | business)))


def rules(**chosen: Any) -> Rules:
    """Rules for statements that are tried without a warehouse."""
    return Rules(date(2024, 1, 1), settings(**chosen).business, orders_connected=True)


class Warehouse:
    """An in-memory warehouse with the period tables that KPIs read."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.columns: dict[str, list[str]] = {}
        for family in FAMILIES:
            extra = ", currency varchar" if family.rows else ""
            measures = ", ".join(f"{name} {self.measure_type(name)}" for name in family.measure_names)
            self.connection.execute(f"create table {family.period_table} ({KEY}{extra}, {measures})")
            if family.months_table:
                self.connection.execute(
                    f"create view {family.months_table} as select * from {family.period_table} where grain = 'month'"
                )
            for histogram in family.histograms:
                self.connection.execute(
                    f"create table {histogram.table} ({KEY}, {histogram.value} bigint, {histogram.count} bigint)"
                )
        self.connection.execute(
            "create table periods (grain varchar, period_start date, period_end date, is_complete boolean)"
        )

    @staticmethod
    def measure_type(name: str) -> str:
        """Decimals as the period tables have them: 2 for orders, 6 for MRR."""
        if "mrr" in name:
            return "decimal(38, 6)"
        if name == "months_are_short":
            return "boolean"
        return "decimal(38, 2)" if "revenue" in name or "cost" in name or name == "refunds_by_refund_date" else "bigint"

    def months(self, *starts: date, as_of: date) -> None:
        """Calendar months that have figures."""
        for start in starts:
            self.connection.execute(
                "insert into periods select 'month', $s, cast($s + interval 1 month as date), "
                "cast($s + interval 1 month as date) <= $a",
                {"s": start, "a": as_of},
            )

    def put(
        self, table: str, period_start: date, segment: str = "all=all", basis: str | None = None, **measures: Any
    ) -> None:
        """One row of a period table; measures that are not named are 0."""
        if table not in self.columns:
            self.columns[table] = [row[0] for row in self.connection.execute(f"describe {table}").fetchall()]
        names = self.columns[table]
        dimension, _, value = segment.partition("=")
        row: dict[str, Any] = dict.fromkeys(names, 0)
        row |= {"grain": "month", "period_start": period_start, "basis": basis or BASIS[table]}
        row |= {"segment_dimension": dimension, "segment_value": value} | measures
        if "currency" in names:
            row["currency"] = measures.get("currency", "all")
        assert set(row) == set(names), f"no such measure: {set(row) - set(names)}"
        self.connection.execute(
            f"insert into {table} values ({', '.join('?' * len(names))})", [row[name] for name in names]
        )

    def put_gaps(self, period_start: date, **days: int) -> None:
        """The histogram of purchase gaps of a month: `d7=2` puts two gaps of 7 days."""
        for name, gaps in days.items():
            self.connection.execute(
                "insert into period_purchase_gaps values ('month', ?, 'order', 'all', 'all', ?, ?)",
                [period_start, int(name[1:]), gaps],
            )

    def compute(
        self, as_of: date = date(2024, 1, 1), run: int = 1, datasets: str = "orders subscriptions", **business: Any
    ) -> KpiResult:
        """Compute the KPIs as run number `run`."""
        return compute_kpis(
            self.connection,
            settings(**business),
            as_of=as_of,
            run_id=f"run-{run}",
            computed_at=datetime(2024, 1, 1, run),
            connected_datasets=datasets.split(),
        )

    def row(self, kpi: str, period_start: date, segment: str = "all=all", basis: str | None = None) -> SimpleNamespace:
        """The one row of retention_kpis with this key."""
        dimension, _, value = segment.partition("=")
        cursor = self.connection.execute(
            "select * from retention_kpis where kpi = ? and period_start = ? and segment_dimension = ? and "
            "segment_value = ? "
            "and basis = coalesce(?, basis)",
            [kpi, period_start, dimension, value, basis],
        )
        names = [column[0] for column in cursor.description]
        (only,) = cursor.fetchall()
        return SimpleNamespace(**dict(zip(names, only, strict=True)))

    def all_rows(self) -> list[tuple[Any, ...]]:
        """Every row of retention_kpis without the run's columns, in order of key."""
        return self.connection.execute(
            "select * exclude (as_of, computed_at, run_id) from retention_kpis order by all"
        ).fetchall()


@cache
def one_month(table: str, as_of: date = date(2024, 1, 1), month: date = date(2023, 6, 1), **measures: Any) -> Warehouse:
    """A warehouse with one row of one period table, KPIs computed; only to be read, as tests share it."""
    warehouse = Warehouse()
    warehouse.months(month, as_of=as_of)
    warehouse.put(table, month, **measures)
    warehouse.compute(as_of)
    return warehouse
