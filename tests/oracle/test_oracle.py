"""The oracle itself: it gives what was worked out elsewhere, and what it gives adds up."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from oracle.answers import expected_cohorts, expected_kpis, kpi_cells, read_company
from oracle.comparison import differences
from oracle.folders import COHORT_COLUMNS, COHORT_KEY, COMPANIES, KPI_COLUMNS, KPI_KEY, cells, read_folder
from oracle.tables import KEYS, expected_rows, read_rows

FOLDERS = sorted(path for path in COMPANIES.glob("*") if path.is_dir())
FURTHER_FOLDERS = sorted(path for path in (COMPANIES.parent / "companies2").glob("*") if path.is_dir())
# Python takes minutes for 2,500 customers, and a tenth of that for two others; what the product makes of all companies
# is compared in integration/test_companies.py and test_companies2.py.
MARKS = {"nutmeg": pytest.mark.long, "hazel": pytest.mark.proof, "juniper": pytest.mark.proof}
BEHAVIOUR = ("engagement_group", "nps_class")  # dimensions for which only some KPIs have expected rows


@pytest.mark.skipif(not FOLDERS, reason="the companies are not laid out beside the repository")
@pytest.mark.parametrize(
    "folder",
    [pytest.param(one, marks=MARKS.get(one.name, ()), id=one.name) for one in FOLDERS],
)
def test_the_oracle_gives_every_expected_cell_of_a_company_and_no_other(folder: Path) -> None:
    company = read_company(*read_folder(folder))
    kpis = cells(duckdb.read_parquet(str(folder / "expected_kpis.parquet")), KPI_KEY, KPI_COLUMNS)
    cohorts = cells(duckdb.read_parquet(str(folder / "expected_cohorts.parquet")), COHORT_KEY, COHORT_COLUMNS)
    assert kpis and cohorts
    asked = {key[0] for key in kpis}  # later KPIs are expected in companies2 alone
    given = {key: cell for key, cell in kpi_cells(expected_kpis(company)).items() if key[0] in asked}
    problems = differences(kpis, given)
    problems += differences(cohorts, expected_cohorts(company))
    assert not problems, problems


@pytest.mark.skipif(not FURTHER_FOLDERS, reason="the companies are not laid out beside the repository")
@pytest.mark.parametrize(
    "folder", [pytest.param(one, marks=MARKS.get(one.name, ()), id=one.name) for one in FURTHER_FOLDERS]
)
def test_the_oracle_gives_every_expected_cell_of_a_company_with_further_datasets_and_no_other(folder: Path) -> None:
    company = read_company(*read_folder(folder))
    given = kpi_cells(expected_kpis(company))
    expected = cells(duckdb.read_parquet(str(folder / "expected_kpis.parquet")), KPI_KEY, KPI_COLUMNS)
    by_behaviour = {key[0] for key in expected if key[4] in BEHAVIOUR}
    problems = differences(
        expected, {key: cell for key, cell in given.items() if key[4] not in BEHAVIOUR or key[0] in by_behaviour}
    )
    tables = KEYS.keys() - {"lost_by_reason"}  # which no company expects
    told = {key: row for table in tables for key, row in read_rows(folder, table, KEYS[table]).items()}
    problems += differences(told, {key: row for key, row in expected_rows(company).items() if key[0] in tables})
    assert not problems, problems
