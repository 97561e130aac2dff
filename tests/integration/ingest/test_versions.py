"""Which version of a row is current, and that delivering twice, split or in another order changes nothing."""

from __future__ import annotations

import itertools

import pytest
from support.delivering import ORDER_HEADER, SUBSCRIPTION_HEADER, Company, order, orders_csv

from retention_pipeline.ingest import versions

VERSIONED = "order_id,customer_id,ordered_at,amount,currency,status,updated_at"


def version(amount: str, updated_at: str, order_id: str = "a") -> str:
    return order(order_id, amount, updated_at)


def amounts(company: Company) -> list[str]:
    return [amount for (amount,) in company.query("select amount::varchar from raw.orders order by order_id")]


def test_delivering_a_file_again_changes_nothing(company: Company) -> None:
    company.load("orders", orders_csv(order("a")))
    before = company.query("select * from raw.orders"), company.query("select * from raw.ledger")
    company.deliver("orders", "copy under another name.csv", orders_csv(order("a")))
    assert [load.status for load in company.run().loads] == ["already_loaded", "already_loaded"]
    assert (company.query("select * from raw.orders"), company.query("select * from raw.ledger")) == before
    assert company.query("select count(*) from raw.deliveries where file_name like '%copy%'") == [(1,)]


def test_a_corrected_row_replaces_the_former_which_is_kept_in_the_history(company: Company) -> None:
    company.load("orders", orders_csv(order("a"), order("b")), "1.csv")
    load = company.load("orders", orders_csv(order("a", "12.00"), order("b"), order("c")), "2.csv")
    assert (load.new, load.changed, load.unchanged, load.stale) == (1, 1, 1, 0)
    assert amounts(company) == ["12.00", "10.00", "10.00"]
    assert company.query("select order_id, amount::varchar, _load_id, _superseded_by from raw.orders_history") == [
        ("a", "10.00", 1, 2)
    ]
    assert company.query("select order_id, _load_id from raw.orders order by 1") == [("a", 2), ("b", 1), ("c", 2)]


def test_a_later_delivery_may_have_new_rows_alone_and_a_bad_one(company: Company) -> None:
    company.load("orders", orders_csv(order("a")), "1.csv")
    load = company.load("orders", orders_csv(order("b"), order("c", "much"), order("d")), "2.csv")
    assert (load.new, load.changed, load.unchanged, load.stale, load.bad) == (2, 0, 0, 0, 1)
    assert company.query("select order_id, _load_id, _customer_key is null from raw.orders order by 1") == [
        ("a", 1, False),
        ("b", 2, False),
        ("d", 2, False),
    ]
    assert company.query("select count(*) from raw.orders_history") == [(0,)]


def test_a_file_replaced_under_the_same_name_is_loaded(company: Company) -> None:
    company.load("orders", orders_csv(order("a", "10.00")))
    assert company.load("orders", orders_csv(order("a", "11.00"))).changed == 1  # the same size, within a moment
    assert amounts(company) == ["11.00"]


def test_a_key_on_rows_of_other_content_refuses_the_file_unless_they_are_versions(company: Company) -> None:
    rows = [order("a", "1.00"), order("b"), order("a", "2.00"), order("a", "2.00")]
    load = company.load("orders", orders_csv(*rows))
    assert load.status == "refused"
    assert (load.error or "").startswith(
        "1 key stands on several rows of other content, such as order_id a (amount 1.00 and 2.00);"
        " one row per order_id is expected."
    )
    assert company.query("select * from raw.orders") == []
    rows = [f"{row},2024-03-0{number}" for number, row in enumerate(rows, start=1)]
    load = company.load("orders", orders_csv(*rows, header=f"{ORDER_HEADER},updated_at"), name="versions.csv")
    assert (load.status, load.new, load.stale, load.unchanged) == ("loaded", 2, 2, 0)
    assert company.query("select cast(amount as varchar) from raw.orders where order_id = 'a'") == [("2.00",)]


def test_equal_rows_of_a_file_are_one(company: Company) -> None:
    load = company.load("orders", orders_csv(order("a"), order("a"), order("b")))
    assert (load.new, load.unchanged) == (2, 1)


@pytest.mark.parametrize("nights", [1, 2, 4])
def test_with_updated_at_the_order_of_delivery_does_not_matter(company: Company, nights: int) -> None:
    versions = [("1.00", "2024-03-01T10:00:00Z"), ("2.00", "2024-03-02T10:00:00Z"),
                ("3.00", "2024-03-02T10:00:00Z"), ("9.00", "")]  # fmt: skip
    # An order for each way in which the four can come; in a night its part of them.
    orders = {f"o{number:02d}": ways for number, ways in enumerate(itertools.permutations(versions))}
    for night in range(nights):
        part = [version(*one, order_id=name) for name, ways in orders.items() for one in ways[night::nights]]
        company.load("orders", orders_csv(*part, header=VERSIONED), f"{night}.csv")
    current = company.query("select order_id, amount::varchar from raw.orders order by order_id")
    assert current == [(name, "3.00") for name in orders]
    kept = company.query("select order_id, count(*) from raw.orders_history group by all order by all")
    assert kept == [(name, 3) for name in orders]


def test_a_late_version_goes_to_the_history_once_however_often_it_comes(company: Company) -> None:
    company.load("orders", orders_csv(version("2.00", "2024-03-02"), header=VERSIONED), "1.csv")
    for name in ("2.csv", "3.csv"):
        late = orders_csv(version("1.00", "2024-03-01"), version(name, "x", "bad"), header=VERSIONED)
        assert company.load("orders", late, name).stale == 1
    assert amounts(company) == ["2.00"]
    assert company.query("select amount::varchar, _load_id, _superseded_by from raw.orders_history") == [("1.00", 2, 1)]


def test_a_moved_order_belongs_to_its_new_customer_and_names_the_old_one_in_the_history(company: Company) -> None:
    company.load("orders", orders_csv(order("a")), "1.csv")
    company.load("orders", orders_csv(order("a").replace("anna", "bert")), "2.csv")
    keys = dict(company.query("select customer_id, customer_key from raw.customer_keys"))
    assert keys == {"anna": 1, "bert": 2}
    assert company.query("select _customer_key from raw.orders") == [(2,)]
    assert company.query("select _customer_key from raw.orders_history") == [(1,)]


def test_a_guest_has_no_key_and_every_other_id_keeps_the_one_that_it_got(company: Company) -> None:
    company.load("orders", orders_csv(order("a"), order("b").replace("anna", "")), "1.csv")
    company.load("customer_aliases", b"alias_id,customer_id,valid_from\nann,anna,\n")
    assert company.query("select order_id, _customer_key from raw.orders order by 1") == [("a", 1), ("b", None)]
    assert company.query("select _alias_key, _customer_key from raw.customer_aliases") == [(2, 1)]


def test_a_null_in_a_key_is_a_key(company: Company) -> None:
    header = b"customer_id,valid_from,country\n"
    company.load("customers", header + b"anna,,BE\nanna,2024-01-01,NL\n", "1.csv")
    load = company.load("customers", header + b"anna,,FR\n", "2.csv")
    assert (load.new, load.changed) == (0, 1)
    assert company.query("select valid_from::date::varchar, country from raw.customers order by 1 nulls first") == [
        (None, "FR"),
        ("2024-01-01", "NL"),
    ]


def test_a_change_in_a_further_column_is_a_new_version(company: Company) -> None:
    company.load("customers", b"customer_id,tier\nanna,gold\n", "1.csv")
    assert company.load("customers", b"customer_id,tier\nanna,silver\n", "2.csv").changed == 1
    assert company.query("select _extra from raw.customers") == [('{"tier":"silver"}',)]


def phases(*rows: str, header: str = SUBSCRIPTION_HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def phase(subscription: str, start: str, plan: str = "pro", *further: str) -> str:
    return ",".join([subscription, "anna", plan, "10", "EUR", "month", "active", start, "", *further])


def starts(company: Company) -> list[tuple[str, str]]:
    return company.query("select subscription_id, started_at::date::varchar from raw.subscriptions order by all")


@pytest.mark.parametrize("same_night", [True, False])
def test_a_bare_date_and_an_instant_of_the_same_digits_are_two_phases(company: Company, same_night: bool) -> None:
    company.deliver("subscriptions", "1.csv", phases(phase("s1", "2024-01-05")))
    if not same_night:
        company.run()
    company.deliver("subscriptions", "2.csv", phases(phase("s1", "2024-01-05T00:00:00Z"), phase("s1", "2024-01-05")))
    company.run()
    company.assert_balanced()
    assert company.query("select started_at::varchar, started_at_is_date from raw.subscriptions order by 2") == [
        ("2024-01-05 00:00:00", False),
        ("2024-01-05 00:00:00", True),
    ]
    assert company.query("select count(*) from raw.subscriptions_history") == [(0,)]


@pytest.mark.parametrize("same_night", [True, False])
def test_with_replace_by_a_corrected_start_leaves_no_ghost_phase(company: Company, same_night: bool) -> None:
    company.source("subscriptions", replace_by="subscription_id")
    company.deliver("subscriptions", "1.csv", phases(phase("s1", "2024-01-01"), phase("s1", "2024-02-01"),
                                                     phase("s2", "2024-01-01")))  # fmt: skip
    if not same_night:
        company.run()
    company.deliver("subscriptions", "2.csv", phases(phase("s1", "2024-01-05"), phase("s1", "2024-02-01")))
    company.run()
    company.assert_balanced()
    assert starts(company) == [("s1", "2024-01-05"), ("s1", "2024-02-01"), ("s2", "2024-01-01")]
    assert company.query("select _superseded_by from raw.subscriptions_history where started_at = '2024-01-01'") == [
        (2,)
    ]


@pytest.mark.parametrize("order_of_files", [(0, 1), (1, 0)])
def test_with_replace_by_and_updated_at_the_newer_delivery_stands_as_a_whole(
    company: Company, order_of_files: tuple[int, int]
) -> None:
    company.source("subscriptions", replace_by="subscription_id")
    header = SUBSCRIPTION_HEADER + ",updated_at"
    files = [
        phases(phase("s1", "2024-01-01", "pro", "2024-03-01"), header=header),
        phases(phase("s1", "2024-01-05", "pro", "2024-03-02"), header=header),
    ]
    for name, number in enumerate(order_of_files):
        company.load("subscriptions", files[number], f"{name}.csv")
    assert starts(company) == [("s1", "2024-01-05")]


def test_with_replace_by_a_delivery_with_a_refused_phase_takes_none_away(company: Company) -> None:
    company.source("subscriptions", replace_by="subscription_id")
    company.load("subscriptions", phases(phase("s1", "2024-01-01"), phase("s1", "2024-02-01")), "1.csv")
    load = company.load("subscriptions", phases(phase("s1", "2024-01-01", "basic"), phase("s1", "yesterday")), "2.csv")
    assert (load.changed, load.bad) == (1, 1)
    assert starts(company) == [("s1", "2024-01-01"), ("s1", "2024-02-01")]


@pytest.mark.parametrize("many", [1, 100])
def test_ids_have_the_keys_of_before_and_new_ones_the_next(
    company: Company, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(versions, "MANY_ROWS", many)
    header = "alias_id,customer_id,valid_from"
    for number, rows in enumerate([["a1,a,2024-01-01"], ["c1,a,2024-01-02", "b,c1,2024-01-03"], ["a1,b,2024-01-04"]]):
        company.load("customer_aliases", "\n".join([header, *rows, ""]).encode(), f"{number}.csv")
    keys = company.query("select customer_id, customer_key from raw.customer_keys order by customer_key")
    assert keys == [("a", 1), ("a1", 2), ("b", 3), ("c1", 4)]
    aliases = company.query(
        "select alias_id, customer_id, _alias_key, _customer_key from raw.customer_aliases order by 1"
    )
    assert aliases == [("a1", "b", 2, 3), ("b", "c1", 3, 4), ("c1", "a", 4, 1)]
