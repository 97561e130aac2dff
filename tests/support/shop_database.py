"""A database with a table of orders on a real PostgreSQL server, and the home of the pipeline that reads it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from retention_pipeline.ingest import IngestResult, LoadResult, ingest
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.warehouse import opened_raw

NOW = datetime(2024, 5, 1, 3)
TABLE = """
create type order_state as enum ('paid', 'pending', 'cancelled', 'refunded');
create table orders (
    order_id uuid primary key, customer_id bigint, ordered_at timestamptz not null, amount numeric not null,
    currency text not null, status order_state not null, refunded_amount numeric(12, 4), refunded_at date,
    is_test boolean, channel text, details jsonb, updated_at timestamptz not null default now(), deleted_at timestamptz
);
create index on orders (updated_at);
"""


class Shop:
    """A database with a table of orders, and the home of the pipeline that reads it."""

    def __init__(self, dsn: str, home: Home) -> None:
        self.dsn, self.home = dsn, home
        self.source: dict[str, Any] = {"type": "postgres", "dsn": {"env": "SHOP"}, "table": "public.orders"}
        self.others: dict[str, Any] = {}
        self.database = psycopg.connect(dsn, autocommit=True)

    def write(self, statement: str, *values: Any) -> None:
        self.database.execute(statement, values)

    def add(self, number: int, amount: str = "10.50", **columns: Any) -> None:
        row = {
            "order_id": f"00000000-0000-0000-0000-{number:012}", "customer_id": number % 7, "amount": amount,
            "ordered_at": "2024-03-01 12:00:00+02", "currency": "EUR", "status": "paid", **columns,
        }  # fmt: skip
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.write(f"insert into orders ({names}) values ({marks})", *row.values())

    def ingest(self) -> IngestResult:
        business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
        settings = parse_settings(
            {"business": business, "sources": {"orders": self.source, **self.others}, "max_quarantine_rate": 0.5}
        )
        return ingest(self.home, settings, now=NOW)

    def pull(self) -> LoadResult:
        return self.ingest().loads[0]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with opened_raw(self.home) as connection:
            return connection.execute(sql).fetchall()

    def assert_raw_equals_the_table(self, where: str = "true") -> None:
        there = self.database.execute(
            f"""
            select order_id::text, customer_id::text, ordered_at at time zone 'UTC', amount::numeric(18, 2), currency,
                status::text, refunded_amount::numeric(18, 2), refunded_at::timestamp, is_test, channel,
                updated_at at time zone 'UTC' from orders where {where} order by 1
            """
        ).fetchall()
        here = self.query(
            "select order_id, customer_id, ordered_at, amount, currency, status, refunded_amount, refunded_at, is_test,"
            " channel, updated_at from raw.orders order by 1"
        )
        assert here == there
