"""Ids as exports have them: spreadsheets put signs around them, programs write words for nothing."""

from __future__ import annotations

import pytest
from support.delivering import Company, order, orders_csv


def rows(*customers: str) -> bytes:
    return orders_csv(*(order(f"o{number}").replace("anna", id) for number, id in enumerate(customers)))


def customers(company: Company) -> list[str | None]:
    return [id for (id,) in company.query("select customer_id from raw.orders order by order_id")]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("42", "42"),
        ("42.0", "42"),
        ("42.00", "42"),
        ('"=""42"""', "42"),
        ('="42"', "42"),
        ('="0042"', "0042"),
        ('=""', None),
        ("'42", "42"),
        ("4.2", "4.2"),
        ("042", "042"),
        ("v1.0", "v1.0"),
        ("null", None),
        ("NULL", None),
        ("None", None),
        ("NaN", None),
        (r"\N", None),
        ("-", None),
        ("  null ", None),
        ("nullmann", "nullmann"),
        ("-1", "-1"),
        ("é", "é"),
        ("Mira@Shop.test", "Mira@Shop.test"),
    ],
)
def test_an_id_is_read_as_it_was_meant(company: Company, given: str, read: str | None) -> None:
    assert company.load("orders", rows(given)).bad == 0
    assert customers(company) == [read]


def test_case_says_nothing_where_the_settings_say_so(company: Company) -> None:
    company.source("orders", ids={"lower": True})
    company.load("orders", rows("Mira@Shop.test", "mira@shop.test", "ÉVA"))
    assert customers(company) == ["mira@shop.test", "mira@shop.test", "éva"]
    assert company.query("select count(*) from raw.customer_keys") == [(2,)]


def test_ids_that_differ_by_case_are_told(company: Company) -> None:
    load = company.load("orders", rows("mira@shop.test", "Mira@shop.test", "bert"))
    [hint] = load.hints
    assert hint.startswith("1 id differs from another by letters' case only, such as ")
    assert company.load("orders", rows("mira@shop.test", "bert").replace(b"o0", b"o9"), name="2.csv").hints == []


def test_what_is_no_guard_can_be_kept(company: Company) -> None:
    company.source("orders", ids={"strip": False, "null_values": ["guest"]})
    company.load("orders", rows("42.0", "null", "Guest"))
    assert customers(company) == ["42.0", "null", None]


def test_a_required_id_that_is_a_word_for_nothing_is_missing(company: Company) -> None:
    company.load("orders", orders_csv(order("null")))
    assert company.reasons() == [(2, "order_id is missing")]


def test_an_object_as_id_is_refused(company: Company) -> None:
    row = (
        b'{"order_id": "a", "customer_id": {"id": 7}, "ordered_at": "2024-05-05", "amount": 1, "currency": "EUR",'
        b' "status": "paid"}'
    )
    company.load("orders", row, "a.jsonl")
    assert company.reasons() == [
        (1, """customer_id: {"id":7} is an object; name the id in it by its path (customer_id: customer_id.id)""")
    ]
    company.source("orders", columns={"customer_id": "buyer"})
    company.load("orders", row.replace(b'"customer_id"', b'"buyer"').replace(b'"a"', b'"b"'), "b.jsonl")
    assert company.reasons()[-1][1].endswith("(customer_id: buyer.id)")
    company.source("orders", columns={"customer_id": "buyer.id"})
    company.run()
    assert customers(company) == ["7"]


def test_a_guid_in_braces_is_no_object(company: Company) -> None:
    load = company.load("orders", orders_csv(order("{3F2504E0-4F89-11D3-9A0C-0305E82C3301}")))
    assert (load.good, load.bad) == (1, 0)
    assert company.query("select order_id from raw.orders") == [("{3F2504E0-4F89-11D3-9A0C-0305E82C3301}",)]


def test_one_id_with_an_implausible_share_is_told(company: Company) -> None:
    load = company.load("orders", rows(*["guest"] * 40, *(f"c{number}" for number in range(40))))
    assert load.hints == ["customer_id guest has 40 of 80 rows: is it a customer? (ids: {null_values: [...]})"]


def test_orders_without_any_customer_are_told(company: Company) -> None:
    hint = "none of the 2 orders has a customer_id, all are of guests: is it mapped, and is it in the file?"
    assert company.load("orders", rows("", "null")).hints == [hint]
    assert company.load("orders", rows("", "", "c1"), "2.csv").hints == []
    assert company.load("orders", rows("", "", ""), "3.csv").hints == []  # a few guests later are no news


@pytest.mark.parametrize("given", ['="4"2"', 'x="42"', '="42"x'])
def test_a_quote_that_guards_no_id_refuses_its_line(company: Company, given: str) -> None:
    load = company.load("orders", rows("a", given))
    assert (load.good, load.bad) == (1, 1)
