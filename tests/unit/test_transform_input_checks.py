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


def test_every_cycle_is_named_also_of_one_alone(tmp_path: Path) -> None:
    home = home_with_aliases(tmp_path, chain("a", "b", "a") + chain("self", "self"))
    with pytest.raises(InputError, match="a → b → a; self → self"):
        check(home)


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
        check_rates(warehouse(tmp_path, rows), as_of=AS_OF)
    assert "  CHF: 2023-07-01, needed by subscriptions" in str(caught.value)
    assert "  USD: 2024-01-03 to 2024-01-05 (2 days), needed by orders" in str(caught.value)


def test_a_rate_that_is_needed_from_as_of_on_is_not_missed(tmp_path: Path) -> None:
    check_rates(warehouse(tmp_path, [("USD", "2024-05-01", "orders")]), as_of=AS_OF)


def test_a_warehouse_without_the_table_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "next.duckdb"
    duckdb.connect(str(path)).close()
    check_rates(path, as_of=AS_OF)
