"""Companies with the further datasets, whose figures and tables were computed elsewhere: each is computed with its
settings as they stand, every row of every KPI in the registry and of every table in TABLES, none missing, none more.
"""

from __future__ import annotations

import csv
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from oracle.comparison import differences
from oracle.folders import COMPANIES, KPI_COLUMNS, KPI_KEY, cells, plain
from support.computed_home import compute_home
from support.explained import assert_explanations_add_up
from support.member_sums import assert_members_add_up
from support.oracle_members import assert_members_of_every_kpi

from retention_pipeline.kpis.registry import BY_ID, KPIS
from retention_pipeline.read.members import parts_of
from retention_pipeline.settings import Home

Cells = dict[tuple[Any, ...], dict[str, Any]]

FOLDERS = sorted(path for path in (COMPANIES.parent / "companies2").glob("*") if path.is_dir())
SEGMENT = ("segment_dimension", "segment_value")
CELL = ("grain", "period_start", *SEGMENT)
# A table and the columns that name a row of it; the others are compared.
TABLES: dict[str, tuple[str, ...]] = {
    "order_value_by_rank": (*CELL, "rank"),
    "revenue_by_tenure": (*CELL, "tenure_half_years"),
    "payment_failures": (*CELL, "failure_reason"),
    "engagement_lness": (*CELL, "active_days"),
    "tickets_by_reason": (*CELL, "reason"),
    "survival_curves": ("basis", *SEGMENT, "t"),
    "survival_left_out": ("basis", *SEGMENT),
    "customer_profiles": ("customer_id",),
    "rfm_cut_points": ("measure", "quantile"),
    "at_risk": ("customer_id",),
    "customer_actions": ("customer_id", "action", "subject", "due_on"),
    "kpi_attainment": ("kpi", "grain", "basis", *SEGMENT, "start_on"),
    "kpi_with_benchmark": ("kpi", "grain", "period_start", "basis"),
}
INTERVAL = ("ci_low", "ci_high")  # of the KPIs and dimensions for which the expected figures have one
# Dimensions for which only some KPIs have expected rows.
BEHAVIOUR = ("engagement_group", "nps_class")


@pytest.mark.skipif(not FOLDERS, reason="the companies are not laid out beside the repository")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_company_gives_every_expected_figure_and_row_of_its_tables_and_no_other(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "home"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("expected_*"))
    compute_home(root, date.fromisoformat((folder / "as_of").read_text().strip()))
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        problems = [differences(*of_kpis(connection, folder))]
        problems += [differences(*of_table(connection, folder, name)) for name in TABLES]
    assert not any(problems), "\n".join(["", *problems])
    assert_members_add_up(root, cells=2)
    assert_members_of_every_kpi(root, folder)
    assert_explanations_add_up(root, figures=10)


@pytest.mark.skipif(not FOLDERS, reason="the companies are not laid out beside the repository")
def test_every_kpi_that_counts_or_sums_has_a_figure_in_some_company() -> None:
    """So the members of all of them are compared. Those without members are named in tests/unit/test_members.py."""
    files = [str(path) for path in COMPANIES.parent.glob("companies*/*/expected_kpis.parquet")]
    some = duckdb.read_parquet(files, union_by_name=True).filter("value <> 0 or numerator <> 0 or denominator <> 0")
    found = {kpi for (kpi,) in some.select("kpi").distinct().fetchall()}
    assert {kpi.id for kpi in KPIS if parts_of(kpi)} <= found


def of_kpis(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[Cells, Cells]:
    """(expected, published) cells of the KPIs in the registry."""
    expected = cells(duckdb.read_parquet(str(folder / "expected_kpis.parquet")), KPI_KEY, (*KPI_COLUMNS, *INTERVAL))
    published = cells(connection.table("retention_kpis"), KPI_KEY, (*KPI_COLUMNS, *INTERVAL))
    with_interval = {(key[0], key[4] in BEHAVIOUR) for key, row in expected.items() if row["ci_low"] is not None}
    for key, row in (*expected.items(), *published.items()):
        if (key[0], key[4] in BEHAVIOUR) not in with_interval:
            del row["ci_low"], row["ci_high"]
    by_behaviour = {key[0] for key in expected if key[4] in BEHAVIOUR}
    return (
        {key: row for key, row in expected.items() if key[0] in BY_ID},
        {key: row for key, row in published.items() if key[4] not in BEHAVIOUR or key[0] in by_behaviour},
    )


def of_table(connection: duckdb.DuckDBPyConnection, folder: Path, table: str) -> tuple[Cells, Cells]:
    """(expected, published) rows of a table, by the table's name and the columns that name a row."""
    path = folder / "expected_tables" / f"{table}.csv"
    with path.open(newline="") as file:
        columns = next(csv.reader(file))
    exists = connection.execute("select count(*) from duckdb_columns() where table_name = ?", [table]).fetchall()[0][0]
    as_typed, published = ", ".join(columns), []
    if exists:
        kinds = dict(
            connection.execute(
                "select column_name, data_type from duckdb_columns() where table_name = ?", [table]
            ).fetchall()
        )
        published = connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
        as_typed = ", ".join(f"cast(nullif({column}, '') as {kinds[column]})" for column in columns)
    expected = connection.execute(
        f"select {as_typed} from read_csv($1, all_varchar = true, header = true, delim = ',', quote = '\"')",
        [str(path)],
    ).fetchall()
    return by_key(table, columns, expected), by_key(table, columns, published)


def by_key(table: str, columns: list[str], rows: list[Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by (table, key), dates and other names as they are, decimals as doubles."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        named = dict(zip(columns, row, strict=True))
        key = (table, *(named.pop(column) for column in TABLES[table]))
        assert key not in found, f"two rows of {key}"
        found[key] = {column: value if isinstance(value, date) else plain(value) for column, value in named.items()}
    return found
