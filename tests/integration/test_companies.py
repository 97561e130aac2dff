"""Companies whose figures were computed elsewhere: each is computed with its settings as they stand, cell by cell."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from oracle.comparison import differences
from oracle.folders import COHORT_COLUMNS, COHORT_KEY, COMPANIES, KPI_COLUMNS, KPI_KEY, cells, read_folder
from support.computed_home import compute_home
from support.member_sums import assert_members_add_up
from support.oracle_members import assert_members_of_every_kpi
from support.published_cells import published_cells

FOLDERS = sorted(path for path in COMPANIES.glob("*") if path.is_dir())


@pytest.mark.skipif(not FOLDERS, reason="the companies are not laid out beside the repository")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_company_gives_every_expected_figure_and_cohort_cell_and_no_other(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "home"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("expected_*"))
    _, _, as_of = read_folder(folder)
    compute_home(root, as_of)
    kpis, cohorts = published_cells(root)
    expected_kpis = cells(duckdb.read_parquet(str(folder / "expected_kpis.parquet")), KPI_KEY, KPI_COLUMNS)
    expected_cohorts = cells(duckdb.read_parquet(str(folder / "expected_cohorts.parquet")), COHORT_KEY, COHORT_COLUMNS)
    assert expected_kpis and expected_cohorts
    # KPIs that came later are compared in test_companies2.py.
    named = {key[0] for key in expected_kpis}
    kpis = {key: row for key, row in kpis.items() if key[0] in named}
    problems = [differences(expected_kpis, kpis), differences(expected_cohorts, cohorts)]
    assert not any(problems), "\n".join(["", *problems])
    assert_members_add_up(root, cells=2)
    assert_members_of_every_kpi(root, folder)
