"""A home of a hundred orders that come in every way there is: files of each kind, and databases that are read whole, by
a cursor, with keys compared. What comes before a night is a function of a seed and the night.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import yaml

from retention_pipeline.settings import Home

COLUMNS = ("order_id", "customer_id", "ordered_at", "amount", "currency", "status", "updated_at")
TABLE = (
    "create table orders (order_id varchar(20) primary key, customer_id varchar(20), ordered_at timestamp,"
    " amount numeric(18, 2), currency varchar(3), status varchar(20), updated_at timestamp)"
)
INSERT = "insert into orders values (?, ?, ?, ?, ?, ?, ?)"
KINDS = ("csv", "gz", "jsonl", "array", "parquet", "sqlite", "duckdb", "postgres")
FIRST = date(2024, 3, 10)
AN_HOUR = 3600
Row = dict[str, Any]


@dataclass(frozen=True)
class Shop:
    """Everything that was ever delivered. `dsn`: of a PostgreSQL database, where there is one."""

    seed: int
    dsn: str | None

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in KINDS if kind != "postgres" or self.dsn]

    def settings(self) -> str:
        """Text of settings.yaml."""
        files = {
            "csv": {"path": "landing/csv/*.csv"},
            "gz": {"path": "landing/gz/*.csv.gz"},
            "jsonl": {"path": "landing/jsonl/*.jsonl"},
            "array": {"path": "landing/array/*.json"},
            "parquet": {"path": "landing/parquet/*.parquet", "delivery": "whole"},
        }
        sources: dict[str, Any] = {kind: {"type": "files", **more} for kind, more in files.items()}
        sources["sqlite"] = {"type": "sqlite", "path": "shop.sqlite", "table": "orders", "deletes": "compare_keys"}
        sources["duckdb"] = {"type": "duckdb", "path": "shop.duckdb", "table": "orders"}
        if self.dsn:
            sources["postgres"] = {
                "type": "postgres", "dsn": {"env": "KILLED_SHOP"}, "table": "orders", "cursor": "updated_at",
                "deletes": "compare_keys",
            }  # fmt: skip
        for one in sources.values():
            one |= {"dataset": "orders", "timezone": "UTC", "max_quarantine_rate": 0.5}
        return yaml.safe_dump(
            {
                "business": {"timezone": "UTC", "reporting_currency": "EUR", "min_n": 1},
                "history_start": date(2024, 1, 1),
                "grains": ["month"],
                "exchange_from_rows": 0,
                "sources": sources,
            }
        )

    def open(self, root: Path) -> Home:
        """The home before its first run."""
        home = Home(root)
        home.root.mkdir(parents=True)
        home.settings_file.write_text(self.settings())
        self.deliver(home, 0)
        return home

    def deliver(self, home: Home, night: int) -> None:
        """What comes before a night: new orders everywhere, corrections, rows that are gone, rows that are refused."""
        for kind in self.kinds:
            made = WRITERS[kind](self, home, night)
            if made is not None:
                before = made.stat().st_mtime - AN_HOUR
                os.utime(made, (before, before))

    def new_rows(self, kind: str, night: int) -> list[Row]:
        """What a source has new in a night, as delivered then."""
        dice = random.Random(f"{self.seed} {kind} {night}")
        day = FIRST + timedelta(days=night)
        rows = []
        for number in range(12 if night == 0 else 3):
            back = dice.randrange(90) if night == 0 or dice.random() < 0.3 else 1  # some are late
            rows.append(_row(f"{kind}-{night}-{number}", dice, day - timedelta(days=back), day))
        for number in dice.sample(range(12), 2 if night else 0):  # of the first night, corrected or moved
            rows.append(_row(f"{kind}-0-{number}", dice, day - timedelta(days=dice.randrange(90)), day))
        return rows

    def table(self, kind: str, night: int) -> list[Row]:
        """All rows of a source as they are in a night; each night one is gone."""
        rows: dict[str, Row] = {}
        for one in range(night + 1):
            rows |= {row["order_id"]: row for row in self.new_rows(kind, one)}
        gone = {f"{kind}-0-{number}" for number in range(night)}
        return [row for key, row in rows.items() if key not in gone]


def _row(key: str, dice: random.Random, day: date, seen: date) -> Row:
    return {
        "order_id": key,
        "customer_id": f"c{dice.randrange(20)}",
        "ordered_at": datetime(day.year, day.month, day.day, dice.randrange(24)),
        "amount": dice.randrange(100, 9999) / 100,
        "currency": "EUR",
        "status": dice.choice(("paid", "paid", "paid", "cancelled", "pending")),
        "updated_at": datetime(seen.year, seen.month, seen.day),
    }


def _folder(home: Home, kind: str) -> Path:
    folder = home.root / "landing" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _lines(rows: list[Row]) -> str:
    return "".join(",".join(str(row[name]) for name in COLUMNS) + "\n" for row in rows)


def _csv(shop: Shop, home: Home, night: int) -> Path:
    file = _folder(home, "csv") / f"{night}.csv"
    refused = f"bad-{night},c1,2024-02-30,nine,EUR,paid,\n"
    file.write_text(",".join(COLUMNS) + "\n" + _lines(shop.new_rows("csv", night)) + refused)
    return file


def _gz(shop: Shop, home: Home, night: int) -> Path:
    file = _folder(home, "gz") / f"{night}.csv.gz"
    file.write_bytes(gzip.compress((",".join(COLUMNS) + "\n" + _lines(shop.new_rows("gz", night))).encode(), mtime=0))
    return file


def _jsonl(shop: Shop, home: Home, night: int) -> Path:
    file = _folder(home, "jsonl") / f"{night}.jsonl"
    file.write_text("".join(json.dumps(row, default=str) + "\n" for row in shop.new_rows("jsonl", night)))
    return file


def _array(shop: Shop, home: Home, night: int) -> Path:
    file = _folder(home, "array") / f"{night}.json"
    file.write_text(json.dumps(shop.new_rows("array", night), default=str, indent=1) + "\n")
    return file


def _parquet(shop: Shop, home: Home, night: int) -> Path:
    file = _folder(home, "parquet") / f"{night}.parquet"
    pyarrow.parquet.write_table(pa.Table.from_pylist(shop.table("parquet", night)), file)
    return file


def _values(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [tuple(str(row[name]) for name in COLUMNS) for row in rows]


def _sqlite(shop: Shop, home: Home, night: int) -> None:
    with closing(sqlite3.connect(home.root / "shop.sqlite")) as connection, connection:
        connection.execute("drop table if exists orders")
        connection.execute(TABLE)
        connection.executemany(
            f"insert into orders values ({', '.join('?' * 7)})", _values(shop.table("sqlite", night))
        )


def _duckdb(shop: Shop, home: Home, night: int) -> None:
    with duckdb.connect(str(home.root / "shop.duckdb")) as connection:
        connection.execute("drop table if exists orders")
        connection.execute(TABLE)
        connection.executemany(
            f"insert into orders values ({', '.join('?' * 7)})", _values(shop.table("duckdb", night))
        )


def _postgres(shop: Shop, home: Home, night: int) -> None:
    import psycopg

    assert shop.dsn is not None
    with psycopg.connect(shop.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists orders")
        cursor.execute(TABLE)
        cursor.executemany(INSERT.replace("?", "%s"), _values(shop.table("postgres", night)))


WRITERS: dict[str, Callable[[Shop, Home, int], Path | None]] = {
    "csv": _csv, "gz": _gz, "jsonl": _jsonl, "array": _array, "parquet": _parquet, "sqlite": _sqlite,
    "duckdb": _duckdb, "postgres": _postgres,
}  # fmt: skip
