"""Input that contradicts itself is named in the user's words."""

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
            select 'CHF' as currency, change_date, next_change_date, mrr_before, mrr_after from (values
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
