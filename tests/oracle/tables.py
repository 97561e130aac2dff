"""The tables of customers and survival, by the columns that name a row, and as they stand in CSV files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from oracle.care_tables import at_risk, customer_actions
from oracle.company import Company
from oracle.customer_tables import customer_profiles, rfm_cut_points
from oracle.folders import plain
from oracle.loss_tables import lost_by_reason
from oracle.survival_tables import survival_curves, survival_left_out

SEGMENT = ("segment_dimension", "segment_value")
Cells = dict[tuple[Any, ...], dict[str, Any]]


class Table(NamedTuple):
    """The columns that name a row, and what gives its rows by them."""

    key: tuple[str, ...]
    rows: Callable[[Company], Cells]


TABLES = {
    "survival_curves": Table(("basis", *SEGMENT, "t"), survival_curves),
    "survival_left_out": Table(("basis", *SEGMENT), survival_left_out),
    "lost_by_reason": Table(("grain", "period_start", *SEGMENT, "churn_class", "end_reason"), lost_by_reason),
    "customer_profiles": Table(("customer_id",), customer_profiles),
    "rfm_cut_points": Table(("measure", "quantile"), rfm_cut_points),
    "at_risk": Table(("customer_id",), at_risk),
    "customer_actions": Table(("customer_id", "action", "subject", "due_on"), customer_actions),
}


# What a CSV file leaves open.
KINDS = {
    **dict.fromkeys(("customer_id", "subject", "segment_value", "failure_reason", "reason", "source"), "varchar"),
    "quantile": "decimal(2, 1)",
}
KEYS = {name: table.key for name, table in TABLES.items()}


def expected_rows(company: Company) -> Cells:
    """The rows of all of them by (table, *key)."""
    return {(name, *key): row for name, table in TABLES.items() for key, row in table.rows(company).items()}


def read_rows(folder: Path, table: str, names: tuple[str, ...]) -> Cells:
    """The rows of a table that a company's folder expects, by (table, *key); `names`: the columns of the key."""
    path = folder / "expected_tables" / f"{table}.csv"
    header = path.read_text(encoding="utf-8").split("\n", 1)[0].strip().split(",")
    types = {name: kind for name, kind in KINDS.items() if name in header}
    relation = duckdb.read_csv(str(path), header=True, dtype=types)
    found: Cells = {}
    for row in relation.fetchall():
        named = dict(zip(relation.columns, row, strict=True))
        key = (table, *(named.pop(column) for column in names))
        found[key] = {name: value if isinstance(value, date) else plain(value) for name, value in named.items()}
    return found
