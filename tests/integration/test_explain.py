"""`retention explain` and `retention check --cell` on the figures of a made-up company with every dataset."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import duckdb
import pytest
from oracle.companies import made_company, write_home
from support.computed_home import compute_home
from support.explained import assert_explanations_add_up
from support.member_sums import assert_members_add_up

from retention_pipeline.cli.app import main
from retention_pipeline.publish.customers_in_period import write_customers_in_period
from retention_pipeline.read.explain import as_data, explain
from retention_pipeline.read.facts import FACTS
from retention_pipeline.read.members import Cell, members
from retention_pipeline.settings import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explained") / "home"
    company = made_company(Random(58), customers=40, further=True)
    write_home(company, root)
    compute_home(root, company.as_of)
    return root


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "80")
    yield


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    captured = capsys.readouterr()
    assert ended.value.code in (0, None), captured.err
    return captured.out


def busy_month(home: Path, kpi: str) -> str:
    """The month in which most customers are behind a figure of everyone."""
    with duckdb.connect(str(Home(home).current), read_only=True) as connection:
        month: str = connection.execute(
            "select strftime(period_start, '%Y-%m') from retention_kpis where kpi = ? and grain = 'month' "
            "and segment_dimension = 'all' and value is not null and is_complete "
            "order by numerator desc, 1 desc limit 1",
            [kpi],
        ).fetchall()[0][0]
    return month


def test_members_and_explanations_add_up(home: Path) -> None:
    assert_members_add_up(home, cells=3, seed=3)
    assert_explanations_add_up(home, figures=15, seed=3)


def test_every_kind_of_fact_is_a_query_over_the_published_facts(home: Path) -> None:
    names = {"basis": "any", "opening": "2023-01-01", "close": "2023-02-01", "previous": "2022-12-01"}
    with duckdb.connect(str(Home(home).current), read_only=True) as connection:
        for query in FACTS.values():
            for name in ("months", "year_ago", "year", "window", "week", "as_of"):
                query = query.replace(f"${name}", "date '2023-01-15'")
            for name, value in names.items():
                query = query.replace(f"${name}", f"'{value}'" if name == "basis" else f"date '{value}'")
            found = connection.execute(f"describe {query}").fetchall()
            assert [(name, kind) for name, kind, *_ in found] == [
                ("customer_key", "BIGINT"),
                ("day", "DATE"),
                ("words", "VARCHAR"),
            ]


def test_an_explanation_is_read_in_80_columns_and_lists_whom_it_counts(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    month = busy_month(home, "customer_churn_rate")
    arguments = ("explain", "customer_churn_rate", month, "--home", str(home))
    text = asked(capsys, *arguments, "--customers", "--csv", str(tmp_path / "members.csv"))
    assert max(map(len, text.splitlines())) <= 80
    for words in ("Customer churn rate:", "Numerator", "Denominator", "customers_lost", "Change", "within", "mix"):
        assert words in text
    explained = json.loads(asked(capsys, *arguments, "--customers", "--json"))
    with (tmp_path / "members.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["customer_id", "numerator", "denominator", "facts"]
    for part in ("numerator", "denominator"):
        assert sum(int(row[part]) for row in rows) == explained["row"][part]
        assert sum(member["parts"][part] for member in explained["members"]) == explained["row"][part]
    assert all(re.search("active (again )?from", row["facts"]) for row in rows)


@pytest.mark.parametrize("kpi", ["mrr_end", "repeat_customer_rate", "time_between_purchases_median", "clv"])
def test_customers_as_json_are_those_listed(home: Path, kpi: str) -> None:
    with duckdb.connect(str(Home(home).current), read_only=True) as connection:
        month = busy_month(home, kpi)
        listed = explain(connection, kpi, month, everybody=True)
        written = explain(connection, kpi, month, everybody=True, as_json=True)
    assert listed.members and written.members is None
    assert [json.loads(line) for line in written.members_as_json or []] == as_data(listed.members)


def test_forms_of_a_figure_are_reconciled(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    month = busy_month(home, "churn_rate_stripe")
    arguments = ("explain", "churn_rate_stripe", month, "--variants", "--home", str(home))
    assert "joined in the period" in asked(capsys, *arguments, "--csv", str(tmp_path / "variants.csv"))
    rows = json.loads(asked(capsys, *arguments, "--json"))
    assert list(rows[0]) == (tmp_path / "variants.csv").read_text().splitlines()[0].split(",")
    joined = sum(row["difference"] for row in rows if row["variant_a"] == "churn_rate_events")
    with duckdb.connect(str(Home(home).current), read_only=True) as connection:
        ((expected,),) = connection.execute(
            "select customers_joined from period_customers where grain = 'month' and basis = 'any' "
            "and segment_dimension = 'all' and strftime(period_start, '%Y-%m') = ?",
            [month],
        ).fetchall()
    assert joined == expected > 0


def test_members_of_an_attached_generation_are_those_of_its_own(home: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{Home(home).current.resolve()}' as beside (read_only)")
        grain, start, lost = connection.execute(
            "select grain, period_start, customers_lost from beside.period_customers where basis = 'any' "
            "and segment_dimension = 'all' and grain = 'quarter' order by customers_lost desc, period_start limit 1"
        ).fetchall()[0]
        relation = members(connection, "customers_lost", Cell(grain, start, "any"), database="beside")
        behind = {customer for _, customer, value in relation.fetchall() if value == 1}
        viewed = connection.execute(
            "select customer_id from beside.customers_in_period where basis = 'any' and grain = ? and period_start = ? "
            "and movement = 'lost'",
            [grain, start],
        ).fetchall()
    assert len(behind) == lost > 0
    assert behind == {customer for (customer,) in viewed}


def test_the_view_of_customers_says_what_it_is() -> None:
    with duckdb.connect() as connection:
        connection.execute("create table int_periods (grain varchar, period_start date, close_date date)")
        connection.execute(
            "create table int_active_spans (basis varchar, customer_key bigint, span_number int, start_date date, "
            "end_date date, is_only_basis boolean)"
        )
        connection.execute("create table int_customers (customer_key bigint, customer_id varchar)")
        connection.execute(
            "create table int_profile_spans (rule varchar, grain varchar, customer_key bigint, from_period date, "
            "to_period date, profile_key bigint)"
        )
        connection.execute(
            "create table int_profile_values as select 0 as profile_key, 'movement' as segment_dimension"
        )
        connection.execute("alter table int_profile_values add column segment_value varchar")
        write_customers_in_period(connection)
        about = connection.execute("select comment from duckdb_views() where view_name = 'customers_in_period'")
        assert about.fetchall()[0][0].startswith("One row per grain, period_start, basis and customer")
        columns = connection.execute("select column_name from (describe customers_in_period)").fetchall()
        assert columns[-2:] == [("movement",), ("segment_movement",)]
        connection.execute("drop table int_active_spans")
        write_customers_in_period(connection)
        assert connection.execute("select view_name from duckdb_views() where not internal").fetchall() == []


def test_the_members_of_a_cell_are_checked_against_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    month = busy_month(home, "customer_churn_rate")
    text = asked(capsys, "check", "--cell", f"customers_lost {month} any", "--home", str(home))
    assert "customers_lost" in text and " no " not in text
    rows = json.loads(asked(capsys, "check", "--cell", f"mrr_end {month}", "--json", "--home", str(home)))
    assert {row["measure"] for row in rows} >= {"mrr_end", "mrr_kept", "value of mrr_end"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", "customer_churn", "2023-01"), "did you mean customer_churn_rate"),
        (("explain", "customer_churn_rate", "soon"), "is not a period"),
        (("explain", "customer_churn_rate", "1999"), "There is no year 1999"),
        (("explain", "orders", "2023-01", "--basis", "any"), "it has order"),
        (("explain", "orders", "2023-01", "--segment", "country"), "--segment country=NL"),
        (("explain", "orders", "2023-01", "--variants"), "has no other forms"),
        (("check", "--cell", "customers_lost"), "A cell is KPI PERIOD"),
        (("check", "--cell", "customers_lost 2023-01 nowhere"), "neither a segment"),
    ],
)
def test_what_cannot_be_explained_is_said(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--home", str(home)])
    assert ended.value.code == 1
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
