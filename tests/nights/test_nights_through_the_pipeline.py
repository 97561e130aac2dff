"""Nights through the whole product (ingest, dbt's materializations, KPIs, audit) end where a full refresh would.

Fewer histories than test_nights plays, as every run takes seconds; RETENTION_RANDOM_RUNS says how many.
"""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path
from random import Random

import duckdb
import pytest
from oracle.companies import made_company, write_delivery, write_home
from oracle.nights import made_nights
from support.plain_run import backfill, run
from support.sizes import SEED, size

from nights.test_nights import OWN_KEYS
from retention_pipeline.settings import Home, load_settings

HISTORIES = size("RETENTION_RANDOM_RUNS")

pytestmark = pytest.mark.proof

NIGHTS = 4
OF_THE_RUN = {"as_of", "computed_at", "run_id"}
NOT_OF_FIGURES = {
    "pipeline_runs",
    "pipeline_state",
    "pipeline_loads",
    "data_quality",
    "kpi_definitions",
    "missing_fx_rates",
    "publications",
    "retention_kpi_history",
}


def night_home(seed: int, root: Path) -> Home:
    """A home after its nights, all through the product; the last day is the company's as_of."""
    random = Random(seed)
    company = made_company(random, customers=25, days=500, further=True)
    nights = made_nights(random, company, NIGHTS)
    write_home(company, root)
    for landed in (root / "landing").rglob("*.csv"):
        landed.unlink()
    home = Home(root)
    for number, night in enumerate(nights):
        write_delivery(root, f"night_{number}", night.rows)
        settings = load_settings(home).model_copy(update={"exchange_from_rows": 0})
        result = run(home, settings, night.as_of, now=datetime(2024, 1, 1 + number))
        assert result.mode.name == ("night" if number else "full refresh"), result.mode.reason
    return home


def differences(one: Path, other: Path) -> list[str]:
    """A line per published table whose rows differ, but for what names the run."""
    found = []
    with duckdb.connect() as connection:
        connection.execute(f"attach '{one}' as one (read_only)")
        connection.execute(f"attach '{other}' as other (read_only)")
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'other' order by table_name"
        ).fetchall()
        for (table,) in tables:
            if table in OWN_KEYS | NOT_OF_FIGURES or table.startswith(("night_", "kpi_cells")):
                continue
            names = [column[0] for column in connection.execute(f"select * from other.{table} limit 0").description]
            columns = ", ".join(f'"{name}"' for name in names if name not in OF_THE_RUN)
            rows = [f"select {columns} from {database}.{table}" for database in ("one", "other")]
            more = connection.execute(f"{rows[0]} except all {rows[1]}").fetchall()
            fewer = connection.execute(f"{rows[1]} except all {rows[0]}").fetchall()
            if more or fewer:
                found.append(f"{table}: {len(more)} more, {len(fewer)} fewer; {more[:2]} {fewer[:2]} ({columns})")
    return found


@pytest.fixture(scope="module", params=range(SEED, SEED + HISTORIES))
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return night_home(1000 + request.param, tmp_path_factory.mktemp("nights") / "home")


def test_nights_end_where_a_full_refresh_would(home: Home, tmp_path: Path) -> None:
    again = Home(tmp_path / "again")
    shutil.copytree(home.root, again.root, symlinks=True)
    settings = load_settings(again)
    as_of = published_as_of(home)
    run(again, settings, as_of, full_refresh=True, now=datetime(2024, 2, 1), with_ingest=False)
    assert not differences(home.current.resolve(), again.current.resolve())


def test_a_backfill_changes_nothing_without_a_cause_and_repairs_damaged_sums(home: Home, tmp_path: Path) -> None:
    sound = home.current.resolve()
    damaged = Home(tmp_path / "damaged")
    shutil.copytree(home.root, damaged.root, symlinks=True)
    as_of = published_as_of(home)
    month = date(as_of.year - (as_of.month == 1), as_of.month - 1 or 12, 1)
    unchanged = backfill(damaged, load_settings(damaged), month, month, now=datetime(2024, 2, 1))
    assert unchanged.run.mode.name == "backfill"
    assert not unchanged.differences
    assert not differences(sound, damaged.current.resolve())
    published = damaged.current.resolve()
    published.chmod(0o644)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{published}' as damaged")
        connection.execute(
            "update damaged.int_customer_flows set customers_new = customers_new + 1 "
            "where grain = 'month' and period_start = ?",
            [month],
        )
        connection.execute("detach damaged")
    repaired = backfill(damaged, load_settings(damaged), month, month, now=datetime(2024, 2, 2))
    assert not differences(sound, damaged.current.resolve())
    assert repaired.differences == []  # the published figures were right; only the sums behind them were not


def published_as_of(home: Home) -> date:
    """The day of the current generation."""
    with duckdb.connect(str(home.current.resolve()), read_only=True) as connection:
        as_of: date = connection.execute("select as_of from pipeline_state").fetchall()[0][0]
    return as_of
