"""Companies as home folders: settings.yaml, landing/<dataset>/*.csv, as_of, and cells that stand in Parquet files."""

from __future__ import annotations

import csv
import math
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import yaml

KPI_KEY = ("kpi", "grain", "period_start", "basis", "segment_dimension", "segment_value")
KPI_COLUMNS = ("value", "numerator", "denominator", "n", "is_complete", "null_reason")
INTERVAL = ("ci_low", "ci_high")
COHORT_KEY = ("basis", "grain", "segment_dimension", "segment_value", "cohort_start", "age")
COHORT_COLUMNS = (
    "cohort_size",
    "active",
    "active_or_later",
    "revenue",
    "cumulative_revenue",
    "retention_rate",
    "revenue_retention_rate",
    "is_complete",
)
# Beside the repository, where it is laid out; tests that need it skip without it.
COMPANIES = Path(__file__).parents[3] / "shared" / "data" / "companies"


def read_folder(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any], date]:
    """(rows per dataset as text, settings, as_of) of a home folder."""
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    rows: dict[str, list[dict[str, Any]]] = {}
    for dataset in (folder / "landing").iterdir():
        for path in sorted(dataset.glob("*.csv")):
            with path.open(newline="") as file:
                rows.setdefault(dataset.name, []).extend(csv.DictReader(file))
    return rows, settings, date.fromisoformat((folder / "as_of").read_text().strip())


def cells(
    relation: duckdb.DuckDBPyRelation, key: tuple[str, ...], columns: tuple[str, ...]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of a table of figures by key; decimals as doubles, NaN as null."""
    return by_key(as_doubles(relation, key, columns), key, columns)


def cells_apart(
    expected: duckdb.DuckDBPyRelation,
    published: duckdb.DuckDBPyRelation,
    key: tuple[str, ...],
    columns: tuple[str, ...],
) -> tuple[dict[tuple[Any, ...], dict[str, Any]], dict[tuple[Any, ...], dict[str, Any]]]:
    """Two tables of figures of one connection without the cells that are equal to the last digit. Each must have some,
    and no key twice.
    """
    one, other = (as_doubles(relation, key, columns) for relation in (expected, published))
    for relation in (one, other):
        assert relation.limit(1).fetchall(), "a table without rows"
        twice = relation.aggregate(f"{', '.join(key)}, count(*) as rows").filter("rows > 1").limit(1).fetchall()
        assert not twice, f"two rows of {twice[0]}"
    return by_key(one.except_(other), key, columns), by_key(other.except_(one), key, columns)


def as_doubles(
    relation: duckdb.DuckDBPyRelation, key: tuple[str, ...], columns: tuple[str, ...]
) -> duckdb.DuckDBPyRelation:
    """Key and columns, decimals as doubles, NaN as null."""
    words = ("is_complete", "null_reason")
    numbers = [
        name if name in words else f"nullif(cast({name} as double), 'nan'::double) as {name}" for name in columns
    ]
    return relation.project(", ".join((*key, *numbers)))


def by_key(
    relation: duckdb.DuckDBPyRelation, key: tuple[str, ...], columns: tuple[str, ...]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in relation.fetchall():
        name = row[: len(key)]
        assert name not in found, f"two rows of {name}"
        found[name] = dict(zip(columns, row[len(key) :], strict=True))
    return found


def plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    number = float(value)
    return None if math.isnan(number) else number
