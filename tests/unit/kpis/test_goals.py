"""Goals and benchmarks: the tables of the made-up companies from their expected figures, and each rule by itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from support.hand_made import rules, settings

from retention_pipeline.kpis.goals import impossible, write_goals
from retention_pipeline.kpis.rules import Rules

COMPANIES = Path(__file__).parents[4] / "shared" / "data" / "companies2"
NAMES = sorted(folder.name for folder in COMPANIES.glob("*")) if COMPANIES.exists() else []
GIVEN = {
    "kpi_targets": "kpi varchar, grain varchar, basis varchar, segment_dimension varchar, segment_value varchar, "
    "start_on date, due_on date, baseline decimal(38, 6), target decimal(38, 6)",
    "kpi_benchmarks": "kpi varchar, grain varchar, industry varchar, value decimal(38, 6), source varchar, year int",
}
LENGTH = "case grain when 'week' then interval 7 day when 'month' then interval 1 month when 'quarter' then interval 3 month else interval 1 year end"  # noqa: E501
AS_OF = date(2024, 1, 1)


@pytest.mark.skipif(not NAMES, reason="the companies' data are not beside the repository")
@pytest.mark.parametrize("name", NAMES or ["none"])
@pytest.mark.parametrize("table", ["kpi_attainment", "kpi_with_benchmark"])
def test_a_company_has_every_expected_row_and_no_other(name: str, table: str) -> None:
    folder = COMPANIES / name
    business = yaml.safe_load((folder / "settings.yaml").read_text())["business"]
    connection = duckdb.connect()
    connection.execute(
        f"create table retention_kpis as select *, cast(period_start + {LENGTH} as date) as period_end "
        f"from '{folder}/expected_kpis.parquet'"
    )
    connection.execute(  # also of KPIs that this company has no data for
        "create table kpi_definitions as select kpi, string_agg(distinct basis, ', ') as bases "
        f"from '{COMPANIES}/*/expected_kpis.parquet' group by kpi"
    )
    for given, columns in GIVEN.items():
        connection.execute(f"create table int_{given} ({columns})")
        for file in sorted((folder / "landing" / given).glob("*.csv")):
            connection.execute(f"insert into int_{given} by name select * from read_csv('{file}', header = true)")
    as_of = date.fromisoformat((folder / "as_of").read_text().strip())
    chosen = settings(industry=business.get("industry")).business
    write_goals(connection, Rules(as_of, chosen, orders_connected=True))
    connection.execute(f"create table expected as from read_csv('{folder}/expected_tables/{table}.csv', header = true)")
    expected = connection.execute("select * from expected order by all").fetchall()
    names = [row[0] for row in connection.execute("describe expected").fetchall()]
    found = connection.execute(f"select {', '.join(names)} from {table} order by all").fetchall()
    assert [comparable(row) for row in found] == [
        tuple(pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in comparable(row))
        for row in expected
    ]


def comparable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Whole numbers as floats, as a CSV does not tell them apart."""
    return tuple(float(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell for cell in row)


class Goals:
    """A warehouse with figures of one KPI, `arpc`, per month of 2023, and what they are held against."""

    def __init__(self, *values: float | None) -> None:
        self.connection = duckdb.connect()
        run = self.connection.execute
        run(
            "create table retention_kpis (kpi varchar, grain varchar, period_start date, period_end date, "
            "basis varchar, segment_dimension varchar, segment_value varchar, value double)"
        )
        run("create table kpi_definitions (kpi varchar, bases varchar)")
        run("insert into kpi_definitions values ('arpc', 'subscription'), ('dau', 'all'), ('mau', 'all')")
        for table, columns in GIVEN.items():
            run(f"create table int_{table} ({columns})")
        for month, value in enumerate(values, start=1):
            start = date(2023, month, 1)
            end = date(2023, month + 1, 1) if month < 12 else AS_OF
            run(
                "insert into retention_kpis values ('arpc', 'month', ?, ?, 'subscription', 'all', 'all', ?)",
                [start, end, value],
            )

    def target(
        self,
        kpi: str,
        start: str,
        due: str,
        target: float,
        baseline: float | None = None,
        basis: str | None = None,
    ) -> None:
        self.connection.execute(
            "insert into int_kpi_targets values (?, 'month', ?, null, null, ?, ?, ?, ?)",
            [kpi, basis, start, due, baseline, target],
        )

    def benchmark(self, kpi: str, value: float, source: str, year: int) -> None:
        self.connection.execute(
            "insert into int_kpi_benchmarks values (?, 'month', 'saas', ?, ?, ?)", [kpi, value, source, year]
        )

    def rows(self, table: str, columns: str = "*", as_of: date = AS_OF) -> list[tuple[Any, ...]]:
        chosen = rules(industry="saas").business
        write_goals(self.connection, Rules(as_of, chosen, orders_connected=True))
        return self.connection.execute(f"select {columns} from {table} order by all").fetchall()


@pytest.mark.parametrize(
    ("as_of", "value", "progress", "status"),
    [
        (date(2023, 6, 1), 55.0, 0.5, "ahead"),  # after 31 of 184 days
        (date(2023, 8, 1), 55.0, 0.5, "on_track"),  # after 92: the values of June and July are not given
        (date(2023, 9, 1), 52.0, 0.2, "behind"),
        (date(2023, 11, 1), 52.0, 0.2, "missed"),
        (date(2023, 5, 1), None, None, None),
    ],
)
def test_a_target_is_measured_against_the_way_and_the_time(
    as_of: date, value: float | None, progress: float | None, status: str | None
) -> None:
    goals = Goals(40, 45, 50, 50, 55, None, None, 52)
    goals.target("arpc", "2023-05-01", "2023-11-01", 60)
    (row,) = goals.rows("kpi_attainment", "basis, baseline, value, progress, status", as_of)
    assert row == ("subscription", 50.0, value, pytest.approx(progress), status)


def test_a_target_below_the_baseline_asks_for_less_and_is_met_to_the_last_digit() -> None:
    goals = Goals(0.3, 0.1)
    goals.target("arpc", "2023-02-01", "2024-02-01", 0.1)
    assert goals.rows("kpi_attainment", "progress, status") == [(pytest.approx(1), "met")]


def test_a_target_equal_to_its_baseline_has_no_progress() -> None:
    goals = Goals(50, 60)
    goals.target("arpc", "2023-02-01", "2024-02-01", 50)
    assert goals.rows("kpi_attainment", "value, progress, status") == [(60.0, None, None)]


def test_the_benchmark_is_of_the_latest_year_up_to_the_period_and_of_the_first_source_by_code_points() -> None:
    goals = Goals(50)
    for source, year in (("beta", 2023), ("Zeta", 2023), ("Alpha", 2022), ("Alpha", 2024)):
        goals.benchmark("arpc", 40, source, year)
    assert goals.rows("kpi_with_benchmark", "benchmark, gap, source, year") == [(40.0, 10.0, "Zeta", 2023)]


def test_more_daily_than_monthly_actives_cannot_be_and_both_rows_are_left_out() -> None:
    goals = Goals(50)
    goals.target("dau", "2023-02-01", "2024-02-01", 4000)
    goals.target("mau", "2023-02-01", "2024-02-01", 2000)
    goals.target("mau", "2023-03-01", "2024-02-01", 2000)
    for kpi, value, year in (("dau", 4000, 2023), ("mau", 2000, 2023), ("mau", 2000, 2022), ("dau", 2000, 2022)):
        goals.benchmark(kpi, value, "Alpha", year)
    assert goals.rows("kpi_attainment", "kpi, start_on") == [("mau", date(2023, 3, 1))]
    assert impossible(goals.connection) == {"kpi_targets": 2, "kpi_benchmarks": 2}


def test_a_target_that_is_given_with_and_without_its_basis_is_one() -> None:
    goals = Goals(50, 60)
    for basis in (None, "subscription"):
        goals.target("arpc", "2023-02-01", "2024-02-01", 70, basis=basis)
    assert goals.rows("kpi_attainment", "basis, value, progress") == [("subscription", 60.0, pytest.approx(0.5))]
    assert impossible(goals.connection) == {}


@pytest.mark.parametrize(
    ("due", "target", "baseline"), [("2023-03-01", 70, None), ("2024-02-01", 71, None), ("2024-02-01", 70, 50)]
)
def test_two_different_targets_of_one_figure_and_start_cannot_be(
    due: str, target: float, baseline: float | None
) -> None:
    goals = Goals(50, 60, 65)
    goals.target("arpc", "2023-02-01", "2024-02-01", 70)
    goals.target("arpc", "2023-02-01", due, target, baseline, basis="subscription")
    goals.target("arpc", "2023-03-01", "2024-02-01", 70)
    assert goals.rows("kpi_attainment", "start_on, value") == [(date(2023, 3, 1), 65.0)]
    assert impossible(goals.connection) == {"kpi_targets": 2}


def test_what_is_no_longer_given_leaves_no_table_behind() -> None:
    goals = Goals(50)
    goals.rows("kpi_attainment")
    goals.connection.execute("drop table int_kpi_targets")
    write_goals(goals.connection, rules())
    names = {row[0] for row in goals.connection.execute("show tables").fetchall()}
    assert "kpi_attainment" not in names and "kpi_with_benchmark" in names
