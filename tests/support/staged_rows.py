"""Rows as a source delivers them, loaded by the real ingest, and the rows that staging models make of them."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.ingest import ingest
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.warehouse import opened_raw

ZONE = "Europe/Amsterdam"
Row = dict[str, str | None]


def lines_of(path: Path) -> list[Row]:
    """The rows of a CSV file; an empty field is nothing."""
    with path.open(newline="") as file:
        return [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]


def source(folder: str, **settings: Any) -> dict[str, Any]:
    return {"type": "files", "path": f"landing/{folder}/*", "timezone": "UTC", **settings}


def load(home: Home, sources: dict[str, Any], now: datetime) -> None:
    business = {"timezone": ZONE, "reporting_currency": "EUR"}
    ingest(home, parse_settings({"business": business, "sources": sources, "max_quarantine_rate": 1.0}), now=now)


def deliver(home: Home, dataset: str, rows: list[Row], kind: str, name: str = "delivery") -> None:
    """Write rows as a file of the landing folder; a missing value is missing in JSON, null in Parquet."""
    path = home.root / "landing" / dataset / f"{name}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "jsonl":
        path.write_text("".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows))
        return
    columns = ", ".join(f'"{column}" varchar' for column in rows[0])
    with duckdb.connect() as connection:
        connection.execute(f"create table given ({columns})")
        connection.executemany(
            f"insert into given values ({', '.join('?' * len(rows[0]))})", [[*r.values()] for r in rows]
        )
        connection.execute(f"copy given to '{path}' (format {kind})")


def staged(home: Home, sql: str, columns: list[str]) -> list[Row]:
    """Rows of a staging model as text, in the columns of an expected.csv."""
    named = [f"cast({name} as varchar) as {name}" for name in columns if name != "customer_id"]
    if "customer_id" in columns:
        named.insert(columns.index("customer_id"), "customer_keys.customer_id")
    join = "left join raw.customer_keys using (customer_key)" if "customer_id" in columns else ""
    with opened_raw(home) as connection:
        relation = connection.execute(f"select {', '.join(named)} from ({sql}) as staged {join}")
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def in_order(rows: list[Row]) -> list[list[str]]:
    return sorted([text or "" for text in row.values()] for row in rows)
