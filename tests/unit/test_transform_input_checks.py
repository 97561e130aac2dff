"""Input that contradicts itself is named in the user's words."""

from contextlib import nullcontext
from datetime import date
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from retention_pipeline.settings import Home
from retention_pipeline.transform import InputError
from retention_pipeline.transform.input_checks import check_aliases, check_rates

AS_OF = date(2024, 5, 1)
Alias = tuple[str, str, str | None, bool | None]


def home_with_aliases(tmp_path: Path, aliases: list[Alias]) -> Home:
    home = Home(tmp_path)
    home.warehouse.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.raw_file}' as raw_store")
        connection.execute("use raw_store")
        connection.execute("create schema raw")
        connection.execute(
            "create table raw.customer_aliases "
            "(alias_id varchar, customer_id varchar, valid_from timestamp, valid_from_is_date boolean)"
        )
        for alias in aliases:
            connection.execute("insert into raw.customer_aliases values (?, ?, ?, ?)", list(alias))
    return home


def chain(*ids: str) -> list[Alias]:
    return [(one, other, None, None) for one, other in pairwise(ids)]


def check(home: Home, timezone: str = "UTC") -> None:
    check_aliases(home, timezone=timezone, as_of=AS_OF)


def test_chains_that_end_are_no_cycle(tmp_path: Path) -> None:
    check(home_with_aliases(tmp_path, chain("a", "b", "c", "d") + chain("e", "c")))


def test_a_cycle_is_named_from_its_smallest_id_back_to_it(tmp_path: Path) -> None:
    home = home_with_aliases(tmp_path, chain("c", "a", "b", "c") + chain("x", "c") + chain("y", "z"))
    with pytest.raises(InputError, match=r"contains a cycle: a → b → c → a\. "):
        check(home)


def test_every_cycle_is_named_and_an_alias_to_itself_is_none(tmp_path: Path) -> None:
    home = home_with_aliases(tmp_path, chain("a", "b", "a") + chain("c", "d", "c") + chain("self", "self"))
    with pytest.raises(InputError, match="a → b → a; c → d → c") as caught:
        check(home)
    assert "self" not in str(caught.value)


def test_an_alias_that_is_not_yet_known_closes_no_cycle(tmp_path: Path) -> None:
    later: Alias = ("b", "a", "2024-05-01", True)
    check(home_with_aliases(tmp_path, [*chain("a", "b"), later]))


def test_the_business_day_decides_whether_an_alias_is_known(tmp_path: Path) -> None:
    home = home_with_aliases(tmp_path, [*chain("a", "b"), ("b", "a", "2024-05-01 02:00", False)])
    check(home)
    with pytest.raises(InputError):
        check(home, timezone="America/New_York")


def warehouse(tmp_path: Path, rows: list[tuple[str, str, str]]) -> Path:
    path = tmp_path / "next.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table missing_fx_rates (currency varchar, rate_date date, dataset varchar)")
        for row in rows:
            connection.execute("insert into missing_fx_rates values (?, ?, ?)", list(row))
    return path


def test_a_missing_rate_names_currency_and_days(tmp_path: Path) -> None:
    rows = [("USD", "2024-01-03", "orders"), ("USD", "2024-01-05", "orders"), ("CHF", "2023-07-01", "subscriptions")]
    with pytest.raises(InputError) as caught:
        check_rates(warehouse(tmp_path, rows), as_of=AS_OF, reporting_currency="EUR")
    assert "  CHF: 2023-07-01, needed by subscriptions" in str(caught.value)
    assert "  USD: 2024-01-03 to 2024-01-05 (2 days), needed by orders" in str(caught.value)


def test_a_rate_that_is_needed_from_as_of_on_is_not_missed(tmp_path: Path) -> None:
    check_rates(warehouse(tmp_path, [("USD", "2024-05-01", "orders")]), as_of=AS_OF, reporting_currency="EUR")


def test_a_warehouse_without_the_table_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "next.duckdb"
    duckdb.connect(str(path)).close()
    check_rates(path, as_of=AS_OF, reporting_currency="EUR")


def subscriptions(tmp_path: Path, rates: list[tuple[str, str]]) -> Path:
    """10 CHF from 15 January on, 12 CHF from 10 February, none from 5 March; months until the end of April."""
    path = tmp_path / "next.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("""
            create table int_mrr_changes as
            select 1 as customer_key, 'CHF' as currency, change_date, next_change_date, mrr_before, mrr_after
            from (values
                (date '2024-01-15', date '2024-02-10', 0, 10),
                (date '2024-02-10', date '2024-03-05', 10, 12),
                (date '2024-03-05', date '9999-12-31', 12, 0)
            ) as changes (change_date, next_change_date, mrr_before, mrr_after)
        """)
        connection.execute("""
            create table periods as
            select period_start, cast(period_start + interval 1 month as date) as close_date
            from (select unnest([date '2024-01-01', '2024-02-01', '2024-03-01', '2024-04-01']) as period_start)
        """)
        connection.execute("create table int_terms (currency varchar, term_date date, mrr_due decimal(18, 6))")
        connection.execute("insert into int_terms values ('CHF', '2024-03-01', 1)")
        connection.execute("create table int_fx_rates (currency varchar, rate_date date)")
        for rate in rates:
            connection.execute("insert into int_fx_rates values (?, ?)", list(rate))
    return path


NEEDED = ["2024-01-15", "2024-01-31", "2024-02-10", "2024-02-29", "2024-03-05"]


def test_mrr_needs_rates_on_days_of_change_and_on_the_eves_of_boundaries_while_it_lasts(tmp_path: Path) -> None:
    check_rates(subscriptions(tmp_path, [("CHF", day) for day in NEEDED]), as_of=AS_OF, reporting_currency="EUR")


@pytest.mark.parametrize("day", NEEDED)
def test_each_day_that_mrr_needs_is_missed_by_name(day: str, tmp_path: Path) -> None:
    rates = [("CHF", other) for other in NEEDED if other != day]
    with pytest.raises(InputError, match=f"CHF: {day}, needed by subscriptions"):
        check_rates(subscriptions(tmp_path, rates), as_of=AS_OF, reporting_currency="EUR")


def test_mrr_in_the_reporting_currency_needs_no_rate(tmp_path: Path) -> None:
    check_rates(subscriptions(tmp_path, []), as_of=AS_OF, reporting_currency="CHF")


TABLES_OF_TWO_CURRENCIES = {
    "int_mrr_changes": """
        customer_key, currency, change_date, next_change_date, mrr_before, mrr_after
        1 EUR 2024-01-01 2024-04-15 0 10
        1 EUR 2024-04-15 9999-12-31 10 12
        1 CHF 2024-02-10 9999-12-31 0 5
        2 EUR 2024-02-02 2024-03-20 0 10
        2 EUR 2024-03-20 9999-12-31 10 0
        2 CHF 2024-02-02 2024-03-20 0 5
        2 CHF 2024-03-20 9999-12-31 5 0
        3 EUR 2024-01-01 2024-03-04 0 10
        3 EUR 2024-03-04 9999-12-31 10 0
        3 CHF 2024-03-05 9999-12-31 0 5
        4 EUR 2024-01-01 2024-03-15 0 10
        4 EUR 2024-03-15 9999-12-31 10 0
        5 CHF 2024-03-15 9999-12-31 0 5
    """,
    "int_counted_phases": """
        customer_key, currency, start_date, end_date, subscription_id, is_past_due
        1 EUR 2024-01-01 9999-12-31 a false
        1 EUR 2024-04-15 9999-12-31 more false
        1 CHF 2024-02-10 9999-12-31 b false
        2 EUR 2024-02-02 2024-03-20 c false
        2 CHF 2024-02-02 2024-03-20 d false
        3 EUR 2024-01-01 2024-03-04 e false
        3 CHF 2024-03-05 9999-12-31 f false
        4 EUR 2024-01-01 2024-03-15 g false
        5 CHF 2024-03-15 9999-12-31 g false
    """,
    "int_lost_classes": """
        customer_key, end_date
        2 2024-03-20
        3 2024-03-04
        4 2024-03-15
    """,
    "int_terms": """
        subscription_id, customer_key, currency, term_date, resolved_date, renewed_date, mrr_due
        e 3 EUR 2024-03-04 2024-04-03 2024-03-05 10
        g 4 EUR 2024-03-15 2024-04-14 2024-03-15 10
    """,
    "int_segment_spans": """
        dimension
        plan
    """,
    "periods": """
        period_start, close_date
        2024-01-01 2024-02-01
        2024-02-01 2024-03-01
        2024-03-01 2024-04-01
        2024-04-01 2024-05-01
    """,
}
NEEDED_OF_TWO_CURRENCIES = {
    "2024-01-31": "February's MRR of customer 1, who paid before in euros, at its opening's rate",
    "2024-02-02": "MRR changes",
    "2024-02-10": "MRR changes",
    "2024-02-29": "MRR of a boundary",
    "2024-03-03": "what renews the term of 4 March, at the rate of its eve",
    "2024-03-05": "MRR changes",
    "2024-03-14": "what renews the term of 15 March, at the rate of its eve, though it is customer 5's",
    "2024-03-15": "MRR changes",
    "2024-03-19": "which of two phases says why customer 2 left",
    "2024-03-20": "MRR changes",
    "2024-03-31": "MRR of a boundary",
    "2024-04-15": "which plan customer 1 has once there is a third subscription",
    "2024-04-30": "MRR of a boundary",
}


def type_of(column: str) -> str:
    if column.endswith(("_date", "_start")):
        return "date"
    if column.startswith(("mrr", "customer")) or column.endswith("_number") or column == "age":
        return "integer"
    return "boolean" if column[:3] == "is_" else "varchar"


def with_tables(tmp_path: Path, tables: dict[str, str], rates: list[str]) -> Path:
    """Tables as they are written, and rates of the franc on these days."""
    path = tmp_path / "next.duckdb"
    with duckdb.connect(str(path)) as connection:
        for table, text in tables.items():
            header, *lines = text.strip().splitlines()
            names = header.strip().split(", ")
            columns = ", ".join(f"cast({name} as {type_of(name)}) as {name}" for name in names)
            values = ", ".join(f"({', '.join(repr(value) for value in line.split())})" for line in lines)
            connection.execute(f"create table {table} as select {columns} from (values {values}) as t ({header})")
        connection.execute("create table int_fx_rates (currency varchar, rate_date date)")
        connection.executemany("insert into int_fx_rates values ('CHF', ?)", [[day] for day in rates])
    return path


def two_currencies(tmp_path: Path, rates: list[str]) -> Path:
    """Customer 1 takes a second subscription, in francs, and a third one; 2 leaves both of two; 3 renews in francs;
    5 takes over the subscription of 4, in francs.
    """
    return with_tables(tmp_path, TABLES_OF_TWO_CURRENCIES, rates)


def test_customers_of_two_currencies_need_the_rates_of_these_days_and_no_other(tmp_path: Path) -> None:
    check_rates(two_currencies(tmp_path, list(NEEDED_OF_TWO_CURRENCIES)), as_of=AS_OF, reporting_currency="EUR")


@pytest.mark.parametrize("day", NEEDED_OF_TWO_CURRENCIES)
def test_each_day_that_two_currencies_need_is_missed_by_name(day: str, tmp_path: Path) -> None:
    rates = [other for other in NEEDED_OF_TWO_CURRENCIES if other != day]
    with pytest.raises(InputError, match=f"CHF: {day}, needed by subscriptions"):
        check_rates(two_currencies(tmp_path, rates), as_of=AS_OF, reporting_currency="EUR")


TABLES_OF_COHORTS = {
    "int_periods": """
        grain, period_number, period_start, close_date
        month 1 2023-01-01 2023-02-01
        month 2 2023-02-01 2023-03-01
        month 3 2023-03-01 2023-04-01
    """,
    "int_cohort_level_flows": """
        grain, segment_dimension, cohort_number, period_number, currency, mrr, customers
        month all 1 1 CHF 5 2
        month all 1 2 CHF 5 -1
        month all 1 3 CHF 5 -1
        month all 2 2 CHF 7 1
        month plan 1 3 CHF 9 1
    """,
    "cohort_retention": """
        basis, grain, segment_dimension, cohort_start, age
        subscription month all 2023-01-01 0
        subscription month all 2023-01-01 1
        subscription month all 2023-01-01 2
        subscription month all 2023-02-01 0
    """,
}


@pytest.mark.parametrize(
    ("rates", "missed"),
    [
        (["2023-01-31", "2023-02-28"], None),  # in March one cohort has left, the other has no cell
        (["2023-02-28"], "CHF: 2023-01-31, needed by subscriptions"),
        (["2023-01-31"], "CHF: 2023-02-28, needed by subscriptions"),
    ],
)
def test_revenue_of_cohorts_needs_the_rate_of_each_close(rates: list[str], missed: str | None, tmp_path: Path) -> None:
    """Also of periods before history_start, which are not among `periods`."""
    path = with_tables(tmp_path, TABLES_OF_COHORTS, rates)
    with pytest.raises(InputError, match=missed) if missed else nullcontext():
        check_rates(path, as_of=AS_OF, reporting_currency="EUR")
