"""Tables and intervals of the oracle: those that were worked out elsewhere for the companies with further datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from oracle import cell_tables, goals
from oracle.answers import expected_kpis, kpi_cells, read_company
from oracle.comparison import differences
from oracle.folders import INTERVAL, KPI_COLUMNS, KPI_KEY, cells, read_folder
from oracle.intervals import NO_INTERVAL, of_nps, wilson, with_intervals
from oracle.tables import read_rows
from oracle.test_oracle import BEHAVIOUR, FURTHER_FOLDERS, MARKS

TABLES = cell_tables.TABLES | goals.TABLES
# No expected rows: what these say is compared with the product alone.
UNTOLD = {"order_exclusions", "mrr_by_currency", "mrr_by_plan", "mrr_movements"}


@pytest.mark.skipif(not FURTHER_FOLDERS, reason="the companies are not laid out beside the repository")
@pytest.mark.parametrize(
    "folder", [pytest.param(one, marks=MARKS.get(one.name, ()), id=one.name) for one in FURTHER_FOLDERS]
)
def test_the_oracle_gives_every_expected_row_and_interval_of_a_company_and_no_other(folder: Path) -> None:
    rows, settings, as_of = read_folder(folder)
    company = read_company(rows, settings, as_of)
    answers = expected_kpis(company)
    given = cell_tables.cell_tables(company)
    given |= goals.kpi_attainment(rows.get("kpi_targets", []), answers, as_of)
    given |= goals.kpi_with_benchmark(rows.get("kpi_benchmarks", []), answers, company.rules)
    told: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table in TABLES.keys() - UNTOLD:
        told |= read_rows(folder, table, TABLES[table])
    problems = differences(told, {key: row for key, row in given.items() if key[0] not in UNTOLD})

    columns = (*KPI_COLUMNS, *INTERVAL)
    expected = cells(duckdb.read_parquet(str(folder / "expected_kpis.parquet")), KPI_KEY, columns)
    # Where the expected figures leave intervals of a KPI out, they are not told.
    with_interval = {(key[0], key[4] in BEHAVIOUR) for key, cell in expected.items() if cell["ci_low"] is not None}
    intervals = with_intervals(kpi_cells(answers))
    asked = [key for key in expected if (key[0], key[4] in BEHAVIOUR) in with_interval]
    problems += differences(only_intervals(expected, asked), only_intervals(intervals, asked))
    assert not problems, problems


def only_intervals(found: dict[tuple[Any, ...], dict[str, Any]], keys: list[Any]) -> dict[Any, dict[str, Any]]:
    return {key: {name: found[key][name] for name in INTERVAL} for key in keys}


def test_an_interval_is_that_of_the_textbook() -> None:
    low, high = wilson(1, 10)
    assert (low, high) == pytest.approx((0.0178762, 0.4041500), abs=1e-6)
    assert wilson(0, 4)[0] == pytest.approx(0.0)
    # Scores 0 7 7 9 9 9: a variance of 0.5556 over 6 answers.
    low, high = of_nps(3, 1, 6)
    assert low is not None and high is not None
    assert (low, high) == pytest.approx((33.3333333 - 59.6408, 33.3333333 + 59.6408), abs=1e-3)
    assert of_nps(1, 0, 1) == NO_INTERVAL
    assert of_nps(0, 2, 2) == (-100, -100)
