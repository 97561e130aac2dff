"""Short forms of columns: what each gives, and what is refused."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.delivering import Company

from retention_pipeline.settings import SettingsError, parse_settings

FIXED = {"currency": {"constant": "EUR"}, "status": {"constant": "paid"}}


def load(company: Company, content: str, name: str = "file.csv", **columns: Any) -> Any:
    company.source("orders", timezone="Europe/Amsterdam", columns={**FIXED, **columns})
    return company.load("orders", content.encode(), name)


def rows(company: Company, *columns: str) -> list[tuple[Any, ...]]:
    return company.query(
        f"select {', '.join(f'cast({name} as varchar)' for name in columns)} from raw.orders order by order_id"
    )


def test_the_first_column_that_has_a_value_is_taken(company: Company) -> None:
    first = {"first_of": ["Customer ID", "No such column", "Email"], "lower": True}
    lines = ["1,2024-01-05,1,K1,A@x.test", "2,2024-01-05,1, null ,A@x.test", "3,2024-01-05,1,,", ""]
    load(company, "\n".join(["order_id,ordered_at,amount,Customer ID,Email", *lines]), customer_id=first)
    assert rows(company, "customer_id", "_extra") == [("k1", None), ("a@x.test", None), (None, None)]


@pytest.mark.parametrize(
    ("form", "given", "read"),
    [
        ("%d/%m/%Y", "5/1/2024", "2024-01-05 00:00:00"),
        ("%d/%m/%Y", "2024-01-05", "2024-01-05 00:00:00"),
        ("%d/%m/%Y", "1/31/2024", None),
        ("%m/%d/%Y %I:%M %p", "1/31/2024 9:56 PM", "2024-01-31 20:56:00"),
        (["%d.%m.%Y %H:%M", "%d.%m.%Y"], "31.7.2024 9:56", "2024-07-31 07:56:00"),
        (["%d.%m.%Y %H:%M", "%d.%m.%Y"], "31.7.2024", "2024-07-31 00:00:00"),
        ("%d/%m/%Y %H:%M %z", "05/01/2024 10:00 -0500", "2024-01-05 15:00:00"),
        ("epoch", "1714551753", "2024-05-01 08:22:33"),
        ("epoch", "1714551753123", "2024-05-01 08:22:33.123"),
        ("epoch", "1714551753.5", "2024-05-01 08:22:33.5"),
        ("epoch", "soon", None),
    ],
)
def test_times_are_read_in_the_form_that_is_said(company: Company, form: Any, given: str, read: str | None) -> None:
    load(company, f"order_id,Time,amount\n1,{given},1\n", ordered_at={"column": "Time", "format": form})
    assert rows(company, "ordered_at") == ([(read,)] if read else [])
    assert [reason[: 14 + len(given)] for _, reason in company.reasons()] == (
        [] if read else [f"ordered_at: '{given}'"]
    )


@pytest.mark.parametrize(
    ("expression", "line", "read"),
    [
        ("Quantity * UnitPrice", "3,1.10", "3.30"),
        ("Quantity * UnitPrice", "-1,1.10", "-1.10"),
        ("UnitPrice / Quantity", "4,5", "1.25"),
        ("UnitPrice * 1.21", "1,100", "121.00"),
        ("coalesce(Quantity, 1) * UnitPrice", ",5", "5.00"),
        ("case when Quantity > 2.5 then UnitPrice else -UnitPrice end", "3,5", "5.00"),
        ('"Quantity" + UnitPrice', "3,0.5", "3.50"),
        (
            "Quantity * UnitPrice",
            "3,1.111",
            "amount: '3.3330000000' is not a number with at most 2 decimals (it has more",
        ),
        ("Quantity * UnitPrice", "three,1.10", "amount: 'Quantity three, UnitPrice 1.10' is not a number"),
        ("Quantity * UnitPrice", ",1.10", "amount: 'Quantity empty, UnitPrice 1.10' is not a number"),
        ("Quantity * UnitPrice", "1e3,1.10", "amount: 'Quantity 1e3, UnitPrice 1.10' is not a number"),
        ("Quantity * UnitPrice", ",", "amount is missing"),
    ],
)
def test_an_amount_can_be_calculated(company: Company, expression: str, line: str, read: str) -> None:
    load(company, f"order_id,ordered_at,Quantity,UnitPrice\n1,2024-01-05,{line}\n", amount={"expression": expression})
    said = [str(value) for (value,) in company.query("select amount from raw.orders")]
    said += [reason[: len(read)] for _, reason in company.reasons()]
    assert said == [read]


def test_texts_can_be_made_and_the_decimal_comma_counts(company: Company) -> None:
    company.source(
        "orders",
        decimal=",",
        delimiter=";",
        columns={
            **FIXED,
            "status": {"expression": "replace(State, 'wc-', '')"},
            "amount": {"expression": "Count * Price"},
        },
    )
    company.load("orders", b"order_id;ordered_at;State;Count;Price\n1;2024-01-05;wc-paid;2;1,25\n")
    assert rows(company, "status", "amount") == [("paid", "2.50")]


@pytest.mark.parametrize("name", ["file.jsonl", "file.csv"])
@pytest.mark.parametrize(
    "settings",
    [{"columns": {**FIXED, "customer_id": "customer.id"}}, {"columns": FIXED, "ids": {"path": "customer.id"}}],
)
def test_an_id_is_found_by_its_path(company: Company, name: str, settings: dict[str, Any]) -> None:
    company.source("orders", **settings)
    lines = [
        '{"order_id": "1", "ordered_at": "2024-01-05", "amount": 1, "customer": {"id": 42, "name": "x"}}',
        '{"order_id": "2", "ordered_at": "2024-01-05", "amount": 1, "customer": null}',
    ]
    if name == "file.csv":
        lines = [
            "order_id,ordered_at,amount,customer",
            '1,2024-01-05,1,"{""id"": 42, ""name"": ""x""}"',
            "2,2024-01-05,1,",
        ]
    company.load("orders", "\n".join([*lines, ""]).encode(), name)
    assert rows(company, "order_id", "customer_id") == [("1", "42"), ("2", None)]


def test_a_path_that_no_object_has_refuses_the_file(company: Company) -> None:
    company.source("orders", columns={**FIXED, "customer_id": "customer.nr"})
    line = b'{"order_id": "1", "ordered_at": "2024-01-05", "amount": 1, "customer": {"id": 42}}\n'
    load = company.load("orders", line, "file.jsonl")
    assert load.error == "columns that the settings name are missing: customer.nr (for customer_id)"


def test_a_column_of_a_parquet_file_is_found_in_its_structure(company: Company) -> None:
    import duckdb

    company.source("orders", columns={**FIXED, "customer_id": "customer.id", "amount": {"expression": "n * price"}})
    path = company.deliver("orders", "file.parquet", b"")
    duckdb.execute(
        "copy (select '1' as order_id, date '2024-01-05' as ordered_at, 3 as n, 1.25 as price, {'id': 42} as customer)"
        f" to '{path}'"
    )
    company.run()
    assert rows(company, "order_id", "customer_id", "amount") == [("1", "42", "3.75")]


def test_columns_that_a_form_needs_and_the_file_lacks_refuse_it(company: Company) -> None:
    made: dict[str, Any] = {"amount": {"expression": "Quantity * Price"}, "channel": {"first_of": ["Shop", "Source"]}}
    error = load(company, "order_id,ordered_at,Price\n1,2024-01-05,1\n", **made).error
    assert error == (
        "required columns are missing: Quantity (for amount);"
        " columns that the settings name are missing: Shop or Source (for channel);"
        " the file has: order_id, ordered_at, Price"
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"columns": {"amount": {"expression": "(select 1)"}}}, "columns.amount.expression: a calculation with"),
        ({"columns": {"amount": {"first_of": []}}}, "columns.amount.first_of: "),
        ({"columns": {"amount": {"colunm": "x"}}}, "columns.amount.colunm: unknown key"),
        ({"columns": {"amount": {"column": "x", "first_of": ["y"]}}}, "columns.amount: give one of column, first_of"),
        ({"columns": {"ordered_at": {"column": "x", "format": "dd/mm/yyyy"}}}, "'dd/mm/yyyy' is not a form of a date"),
        ({"columns": {"amount": {"column": "x", "format": "%d/%m/%Y"}}}, "columns.amount.format: amount is not a time"),
        ({"columns": {"ordered_at": {"column": "x", "format": "%d/%m/%Y %H:%M"}}}, "so the source needs timezone"),
        ({"columns": {"customer_id": "x"}, "ids": {"path": "y.id"}}, "ids.path: columns say already"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(source: dict[str, Any], said: str) -> None:
    business = {"timezone": "UTC", "reporting_currency": "EUR"}
    with pytest.raises(SettingsError) as caught:
        parse_settings({"business": business, "sources": {"orders": {"type": "files", "path": "x", **source}}})
    assert said in str(caught.value)


def test_refunds_that_bear_the_id_of_their_order_are_rows_of_their_own(company: Company) -> None:
    company.source("orders", refund_of="order_id", columns=FIXED)
    lines = ["order_id,customer_id,ordered_at,amount", "a,k,2024-01-05,100", "a,k,2024-02-05,-10", "a,k,2024-02-05,-10"]
    further = [*lines, "a,k,2024-03-05,-10", "b,k,2024-03-05,5"]
    company.load("orders", "\n".join([*lines, ""]).encode())
    load = company.load("orders", "\n".join([*further, ""]).encode(), "longer.csv")
    assert (load.new, load.unchanged) == (2, 3)
    found = company.query("select left(order_id, 9), refund_of, amount from raw.orders order by order_id, amount desc")
    assert [tuple(map(str, row)) for row in found] == [
        ("a", "None", "100.00"),
        *[("a refund ", "a", "-10.00")] * 3,
        ("b", "None", "5.00"),
    ]
    assert company.query("select count(distinct order_id) from raw.orders") == [(5,)]


@pytest.mark.parametrize("name", ["file.csv", "file.parquet"])
def test_a_calculation_may_use_the_functions_of_queries(company: Company, name: str) -> None:
    columns = {
        "amount": {"expression": 'number("Total (EUR)")'},
        "customer_id": {"expression": "email(Mail)"},
        "refunded_amount": {"expression": "minor(Back, 'EUR')"},
    }
    names = ["order_id", "ordered_at", "Total (EUR)", "Mail", "Back"]
    lines = [["1", "2024-01-05", "1.234,50", " A@x.test", "150"], ["2", "2024-01-05", "-", "b@x.test", ""]]
    lines.append(["3", "2024-01-05", "1e5", "b@x.test", ""])
    if name.endswith(".csv"):
        content = "\n".join([";".join(names), *(";".join(line) for line in lines), ""]).encode()
    else:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(dict(zip(names, zip(*lines, strict=True), strict=True))), sink)
        content = bytes(sink.getvalue())
    company.source("orders", timezone="UTC", delimiter=";", columns={**FIXED, **columns})
    company.load("orders", content, name)
    assert rows(company, "order_id", "customer_id", "amount", "refunded_amount") == [
        ("1", "a@x.test", "1234.50", "1.50")
    ]
    assert [reason for _, reason in company.reasons()] == [
        f"amount: 'Total (EUR) {text}' is not a number with at most 2 decimals" for text in ("-", "1e5")
    ]
