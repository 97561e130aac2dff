"""Companies whose figures were computed elsewhere: each is computed with its settings as they stand, cell by cell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from oracle.comparison import differences
from oracle.folders import COHORT_COLUMNS, COHORT_KEY, COMPANIES, KPI_COLUMNS, KPI_KEY, cells_apart, read_folder
from support.computed_home import compute_home
from support.member_sums import assert_members_add_up
from support.oracle_members import assert_members_of_every_kpi, companies_with_members

from retention_pipeline.settings import Home

FOLDERS = sorted(path for path in COMPANIES.glob("*") if path.is_dir())


pytestmark = pytest.mark.skipif(not FOLDERS, reason="the companies are not laid out beside the repository")


@pytest.fixture(scope="module")
def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A company's folder, and the home that was computed from it."""
    folder: Path = request.param
    root = tmp_path_factory.mktemp(folder.name) / "home"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("expected_*"))
    _, _, as_of = read_folder(folder)
    compute_home(root, as_of)
    yield folder, root
    shutil.rmtree(root)


@pytest.mark.parametrize("company", FOLDERS, ids=lambda folder: folder.name, indirect=True)
def test_a_company_gives_every_expected_figure_and_cohort_cell_and_no_other(company: tuple[Path, Path]) -> None:
    folder, root = company
    with duckdb.connect(str(Home(root).current), read_only=True) as connection:
        expected = connection.read_parquet(str(folder / "expected_kpis.parquet"))
        # KPIs that came later are compared in test_companies2.py.
        named = [kpi for (kpi,) in expected.project("kpi").distinct().fetchall()]
        kpis = connection.table("retention_kpis").filter(f"kpi in {(*named, '')}")
        cohorts = connection.read_parquet(str(folder / "expected_cohorts.parquet"))
        problems = [
            differences(*cells_apart(expected, kpis, KPI_KEY, KPI_COLUMNS)),
            differences(*cells_apart(cohorts, connection.table("cohort_retention"), COHORT_KEY, COHORT_COLUMNS)),
        ]
    assert not any(problems), "\n".join(["", *problems])


@pytest.mark.parametrize("company", companies_with_members(FOLDERS), indirect=True)
def test_the_customers_behind_every_kpi_are_those_of_the_oracle_and_add_up(company: tuple[Path, Path]) -> None:
    folder, root = company
    assert_members_of_every_kpi(root, folder)
    assert_members_add_up(root, cells=3)
