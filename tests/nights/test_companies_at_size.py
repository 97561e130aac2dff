"""Random companies of thousands of customers, full of twins, on compiled models against the oracle: every KPI, grain,
basis, segment and cohort, and the tables beside them.

RETENTION_LARGE_COMPANIES says how many of the largest are tried, RETENTION_SEED which. A company is reproduced from the
seed that is printed.
"""

from __future__ import annotations

import os
from datetime import datetime, time
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from oracle.answers import expected_cohorts, expected_kpis, kpi_cells, read_company
from oracle.companies import MadeCompany, made_company, write_home
from oracle.comparison import differences
from oracle.folders import COHORT_COLUMNS, COHORT_KEY, INTERVAL, KPI_COLUMNS, KPI_KEY, cells
from oracle.intervals import with_intervals
from support.oracle_tables import differing_tables, expected_tables

from nights.compiled_models import compile_models
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.ingest import ingest
from retention_pipeline.kpis import compute_kpis
from retention_pipeline.settings import Home, Settings

LARGE = int(os.environ.get("RETENTION_LARGE_COMPANIES", "1"))
SEED = os.environ.get("RETENTION_SEED", "0")

pytestmark = pytest.mark.proof


def with_twins(company: MadeCompany, random: Random) -> MadeCompany:
    """Every third order and subscription once more under another id, alike in all else."""
    rows = dict(company.rows)
    for dataset, name in (("orders", "order_id"), ("subscriptions", "subscription_id")):
        ids = sorted({row[name] for row in rows.get(dataset, [])})
        twins = {one: f"{one}t" for one in ids if random.random() < 0.33}
        found = rows.get(dataset, [])
        rows[dataset] = [*found, *({**row, name: twins[row[name]]} for row in found if row[name] in twins)]
    return MadeCompany({name: found for name, found in rows.items() if found}, company.settings, company.as_of)


def problems_of(seed: int, customers: int, folder: Path, days: int = 700) -> list[str]:
    """What differs between the product and the oracle on one company."""
    random = Random(seed)
    company = with_twins(made_company(random, customers, days), random)
    home = Home(folder / "home")
    write_home(company, home.root)
    settings = Settings.model_validate(company.settings)
    now = datetime.combine(company.as_of, time(2))
    result = ingest(home, settings, now=now)
    assert not result.refused and sum(load.bad for load in result.loads) == 0
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
        Warehouse(connection, compile_models(settings, folder / "compiled")).full_refresh(company.as_of)
        arguments: dict[str, Any] = {
            "as_of": company.as_of,
            "run_id": "test",
            "connected_datasets": settings.connected_datasets,
        }
        compute_kpis(connection, settings, computed_at=now, **arguments)
        kpis = cells(connection.table("retention_kpis"), KPI_KEY, (*KPI_COLUMNS, *INTERVAL))
        cohorts = cells(connection.table("cohort_retention"), COHORT_KEY, COHORT_COLUMNS)
        expected = read_company(company.rows, company.settings, company.as_of)
        answers = expected_kpis(expected)
        tables = differing_tables(connection, expected_tables(expected, company.rows, answers))
    found = [
        tables,
        differences(with_intervals(kpi_cells(answers)), kpis),
        differences(expected_cohorts(expected), cohorts),
    ]
    return [f"seed {seed}, {customers} customers", *found] if any(found) else []


def test_a_company_of_hundreds_of_customers_gives_the_cells_of_the_oracle(tmp_path: Path) -> None:
    problems = problems_of(20261128, 400, tmp_path)
    assert not problems, "\n".join(problems)


@pytest.mark.long
def test_half_a_year_of_thousands_of_customers_gives_the_cells_of_the_oracle(tmp_path: Path) -> None:
    problems = problems_of(20261129, 3_000, tmp_path, days=200)
    assert not problems, "\n".join(problems)


@pytest.mark.long
@pytest.mark.parametrize("number", range(LARGE))
def test_companies_of_thousands_of_customers_give_the_cells_of_the_oracle(number: int, tmp_path: Path) -> None:
    seed, customers = Random(f"{SEED} {number}").randrange(2**32), (3_000, 5_000, 10_000)[number % 3]
    print(f"seed {seed}, {customers} customers")
    problems = problems_of(seed, customers, tmp_path)
    assert not problems, "\n".join(problems)
