"""A database with a table of orders on a real MariaDB server, and the home of the pipeline that reads it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pymysql

from retention_pipeline.ingest import LoadResult, ingest
from retention_pipeline.settings import Home, Settings, parse_settings
from retention_pipeline.warehouse import opened_raw

NOW = datetime(2024, 5, 1, 3)
TABLE = """
create table orders (
    order_id bigint unsigned primary key, customer_id bigint, ordered_at datetime(6) not null,
    amount decimal(18, 4) not null, currency char(3) not null,
    status enum('paid', 'pending', 'cancelled', 'refunded') not null, refunded_amount decimal(12, 4), refunded_at date,
    is_test bit(1), channel text, details json, updated_at timestamp not null default current_timestamp,
    deleted_at datetime, key (updated_at)
)
"""


class MysqlShop:
    def __init__(self, database: pymysql.Connection, home: Home) -> None:
        self.database, self.home = database, home
        self.source: dict[str, Any] = {
            "type": "mysql", "dsn": {"env": "SHOP"}, "table": "orders", "timezone": "Europe/Amsterdam",
        }  # fmt: skip

    def write(self, statement: str, *values: Any) -> None:
        with self.database.cursor() as cursor:
            cursor.execute(statement, values or None)

    def add(self, number: int, amount: str = "10.50", **columns: Any) -> None:
        row = {
            "order_id": number, "customer_id": number % 7, "amount": amount, "ordered_at": "2024-03-01 12:00:00",
            "currency": "EUR", "status": "paid", **columns,
        }  # fmt: skip
        self.write(f"insert into orders ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})", *row.values())

    @property
    def settings(self) -> Settings:
        business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
        return parse_settings({"business": business, "sources": {"orders": self.source}, "max_quarantine_rate": 0.5})

    def pull(self) -> LoadResult:
        return ingest(self.home, self.settings, now=NOW).loads[0]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with opened_raw(self.home) as connection:
            return connection.execute(sql).fetchall()

    def assert_raw_equals_the_table(self) -> None:
        with self.database.cursor() as cursor:
            cursor.execute("select cast(order_id as char), cast(customer_id as char), amount, status from orders")
            there = sorted(cursor.fetchall())
        assert self.query("select order_id, customer_id, amount, status from raw.orders order by order_id") == there
