"""Companies with the further datasets, whose figures and tables were computed elsewhere: each is computed with its
settings as they stand, every row of every KPI in the registry and of every table in TABLES, none missing, none more.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from oracle.comparison import differences
from oracle.folders import COMPANIES, KPI_COLUMNS, KPI_KEY, cells_apart, plain
from oracle.tables import KEYS, SEGMENT
from support.computed_home import compute_home
from support.explained import assert_explanations_add_up
from support.member_sums import assert_members_add_up
from support.oracle_members import EVERY_KPI, assert_members_of_every_kpi, companies_with_members

from retention_pipeline.kpis.registry import BY_ID, KPIS
from retention_pipeline.read.members import parts_of
from retention_pipeline.settings import Home

Cells = dict[tuple[Any, ...], dict[str, Any]]

FOLDERS = sorted(path for path in (COMPANIES.parent / "companies2").glob("*") if path.is_dir())
CELL = ("grain", "period_start", *SEGMENT)
# A table and the columns that name a row of it; the others are compared.
TABLES: dict[str, tuple[str, ...]] = {
    "order_value_by_rank": (*CELL, "rank"),
    "revenue_by_tenure": (*CELL, "tenure_half_years"),
    "payment_failures": (*CELL, "failure_reason"),
    "engagement_lness": (*CELL, "active_days"),
    "tickets_by_reason": (*CELL, "reason"),
    **{name: key for name, key in KEYS.items() if name != "lost_by_reason"},
    "kpi_attainment": ("kpi", "grain", "basis", *SEGMENT, "start_on"),
    "kpi_with_benchmark": ("kpi", "grain", "period_start", "basis"),
}
INTERVAL = ("ci_low", "ci_high")  # of the KPIs and dimensions for which the expected figures have one
# Dimensions for which only some KPIs have expected rows.
BEHAVIOUR = ("engagement_group", "nps_class")


pytestmark = pytest.mark.skipif(not FOLDERS, reason="the companies are not laid out beside the repository")


@pytest.fixture(scope="module")
def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A company's folder, and the home that was computed from it."""
    folder: Path = request.param
    root = tmp_path_factory.mktemp(folder.name) / "home"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("expected_*"))
    compute_home(root, date.fromisoformat((folder / "as_of").read_text().strip()))
    yield folder, root
    shutil.rmtree(root)


@pytest.mark.parametrize("company", FOLDERS, ids=lambda folder: folder.name, indirect=True)
def test_a_company_gives_every_expected_figure_and_row_of_its_tables_and_no_other(company: tuple[Path, Path]) -> None:
    folder, root = company
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        problems = [differences(*of_kpis(connection, folder))]
        problems += [differences(*of_table(connection, folder, name)) for name in TABLES]
    assert not any(problems), "\n".join(["", *problems])


@pytest.mark.parametrize("company", companies_with_members(FOLDERS), indirect=True)
def test_the_customers_behind_every_kpi_are_those_of_the_oracle_and_add_up(company: tuple[Path, Path]) -> None:
    folder, root = company
    assert_members_of_every_kpi(root, folder)
    assert_members_add_up(root, cells=3)
    assert_explanations_add_up(root, figures=15)


def test_every_kpi_that_counts_or_sums_has_a_figure_in_the_companies_whose_members_are_always_compared() -> None:
    """So that leaving the others to `make proof` leaves no KPI, basis or kind of cell to it. Those without members are
    named in tests/unit/test_members.py.
    """
    of_some = _kinds_of_cells([folder for folder in COMPANIES.parent.glob("companies*/*") if folder.name in EVERY_KPI])
    assert {kpi.id for kpi in KPIS if parts_of(kpi)} <= {kpi for kpi, *_ in of_some}
    assert of_some == _kinds_of_cells(list(COMPANIES.parent.glob("companies*/*")))


def _kinds_of_cells(folders: list[Path]) -> set[tuple[str, str, bool]]:
    """(KPI, basis, whether it is of everybody) that have a figure other than 0 in some of the companies."""
    files = [str(folder / "expected_kpis.parquet") for folder in folders]
    some = duckdb.read_parquet(files, union_by_name=True).filter("value <> 0 or numerator <> 0 or denominator <> 0")
    found = some.select("kpi, basis, segment_dimension = 'all'").distinct().fetchall()
    with_members = {kpi.id for kpi in KPIS if parts_of(kpi)}
    return {(kpi, basis, is_all) for kpi, basis, is_all in found if kpi in with_members}


def of_kpis(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[Cells, Cells]:
    """(expected, published) cells of the KPIs in the registry that are not equal to the last digit."""
    expected = connection.read_parquet(str(folder / "expected_kpis.parquet"))
    published = connection.table("retention_kpis")
    behaviour = f"segment_dimension in {BEHAVIOUR}"
    with_interval = expected.filter("not isnan(ci_low)").project(f"kpi, {behaviour}").distinct().fetchall()
    of_behaviour = [kpi for (kpi,) in expected.filter(behaviour).project("kpi").distinct().fetchall()]
    has_one = f"(kpi, {behaviour}) in {(*with_interval, ('', False))}"
    intervals = ", ".join(f"case when {has_one} then {name} end as {name}" for name in INTERVAL)
    return cells_apart(
        expected.filter(f"kpi in {tuple(BY_ID)}").project(f"* replace ({intervals})"),
        published.filter(f"not {behaviour} or kpi in {(*of_behaviour, '')}").project(f"* replace ({intervals})"),
        KPI_KEY,
        (*KPI_COLUMNS, *INTERVAL),
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
