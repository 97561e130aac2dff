"""Files that are text in another encoding, have lines around their header or none, blanks between values, or sheets."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from support.delivering import ORDER_HEADER, Company, order, orders_csv

from retention_pipeline.settings import SettingsError, parse_settings

FIXED = {"currency": {"constant": "EUR"}, "status": {"constant": "paid"}}


def customers(company: Company) -> list[str | None]:
    return [id for (id,) in company.query("select customer_id from raw.orders order by order_id")]


@pytest.mark.parametrize(
    ("encoding", "codec", "id"),
    [
        ("windows-1252", "cp1252", "Žoë€"),
        ("latin-1", "latin-1", "Zoë"),
        ("utf-16", "utf-16", "Zoë"),
        ("utf-16", "utf-16-le", "Zoë"),
        ("utf-16", "utf-16-be", "Zoë"),
    ],
)
def test_text_in_other_encodings(company: Company, encoding: str, codec: str, id: str) -> None:
    company.source("orders", encoding=encoding)
    content = orders_csv(order("a").replace("anna", id), order("b", "x")).decode().encode(codec)
    company.load("orders", content)
    assert customers(company) == [id]
    assert [line for line, _ in company.reasons()] == [3]


@pytest.mark.parametrize(("raw", "fits"), [(b"Zo\xeb", "windows-1252"), (b"Zo\x81\xeb", "latin-1")])
def test_lines_that_are_no_utf_8_are_told_which_encoding_fits(company: Company, raw: bytes, fits: str) -> None:
    company.load("orders", orders_csv(order("a"), order("b")).replace(b"anna", raw, 1))
    [(line, reason)] = company.reasons()
    assert line == 2 and reason.endswith(f"(encoding: {fits} reads it)")


def test_utf_16_is_recognised_and_what_is_none_refused(company: Company) -> None:
    content = orders_csv(order("a"))
    assert "(encoding: utf-16)" in str(company.load("orders", content.decode().encode("utf-16")).error)
    company.source("orders", encoding="utf-16")
    assert "is not utf-16 text" in str(company.load("orders", content + b"\xff", "2.csv").error)


def test_title_lines_and_rows_behind_the_header_are_passed_over(company: Company) -> None:
    company.source("orders", skip_lines=2, skip_after_header=2)
    content = b'Orders;"\n\n' + orders_csv(
        '"The number\nof the order",,,,,', '"{""ImportId"": 1}",,,,,', order("a"), "", order("b", "x"), order("c")
    )
    load = company.load("orders", content)
    assert (load.good, load.bad) == (2, 1)
    assert company.query("select line, byte_position, decode(raw) from raw.quarantine") == [(9, None, order("b", "x"))]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_without_header_has_the_columns_that_are_said(company: Company, end: str) -> None:
    company.source("orders", columns_in_order=ORDER_HEADER.split(","))
    load = company.load("orders", end.join([order("a"), order("b", "x"), order("c"), ""]).encode())
    assert (load.good, load.bad) == (2, 1)
    assert [line for line, _ in company.reasons()] == [2]


def test_blanks_part_values(company: Company) -> None:
    company.source("orders", delimiter="whitespace", columns={**FIXED, "ordered_at": "day"})
    company.load(
        "orders", b"order_id  customer_id day          amount\n a   anna\t2024-03-01     10.00\nb ben 2024-03-01 x\n"
    )
    assert customers(company) == ["anna"]
    assert company.reasons()[0][0] == 3


def test_quotes_that_say_nothing_are_signs_as_any_other(company: Company) -> None:
    rows = [order("a").replace("anna", '"anna"'), order("b").replace("anna", 'an"na"'), order('c"', "x")]
    assert company.load("orders", orders_csv(*rows), "1.csv").bad == 2
    company.source("orders", quotes="none")
    company.run()
    assert customers(company) == ['"anna"', 'an"na"']
    assert company.query("select line from raw.quarantine where resolved_by is null") == [(4,)]
    company.source("orders", quotes="none", rows={"one_per": "order_id", "sum": ["amount"]})
    company.load("orders", orders_csv(order("d", "1.00"), order("d", "2.00")).replace(b"anna", b'an"na'), "2.csv")
    assert company.query("select amount from raw.orders where order_id = 'd'") == [(3,)]


def test_repeated_names_are_numbered(company: Company) -> None:
    header = "order_id,customer_id,ordered_at,amount,currency,status,amount,note,note,note_2"
    row = f"{order('a', '1.00')},2.00,x,y,z"
    company.source("orders", columns={"amount": "amount_2"})
    company.load("orders", orders_csv(row, header=header))
    assert company.query("select amount, _extra from raw.orders")[0][0] == 2
    assert company.query("select _extra from raw.orders") == [
        ('{"amount":"1.00","note":"x","note_2":"z","note_3":"y"}',)
    ]
    company.source("orders")
    error = company.load("orders", orders_csv(row, row, header=header), "2.csv").error
    assert error is not None and error.startswith("the header names amount more than once: say in columns which")
    company.source("orders", columns={"amount": "amount"})
    company.load("orders", orders_csv(row, header=header).replace(b"anna", b"ben"), "3.csv")
    assert company.query("select amount from raw.orders") == [(1,)]


def workbook(path: Path, rows: list[list[Any]], **further: list[list[Any]]) -> None:
    made = Workbook()
    for number, (name, content) in enumerate({"Orders": rows, **further}.items()):
        sheet: Any = made.active if number == 0 else made.create_sheet()
        sheet.title = name
        for row in content:
            sheet.append(row)
    made.save(path)


ROWS: list[list[Any]] = [
    ["Report of March"],
    [],
    ["order_id", "customer_id", "ordered_at", "amount", "is_test", "channel"],
    [1, 42, date(2024, 3, 1), 10.1, False, "web\nshop"],
    [2, 43.0, datetime(2024, 3, 1, 12, 30), 0.1 + 0.2, None, None],
    [],
    [3, "x", date(2024, 3, 1), "ten", None, None],
]


def test_a_sheet_is_read_as_it_shows(company: Company) -> None:
    company.source("orders", columns=FIXED, skip_lines=2, timezone="UTC", path="landing/orders/*.xlsx")
    workbook(company.deliver("orders", "file.xlsx", b""), ROWS)
    [load] = company.run().loads
    assert (load.good, load.bad) == (2, 1)
    found = company.query(
        "select * exclude (_loaded_at) from (select order_id, customer_id, cast(ordered_at as varchar),"
        " ordered_at_is_date, cast(amount as varchar), is_test, channel, _loaded_at from raw.orders)"
        " order by all"
    )
    assert found == [
        ("1", "42", "2024-03-01 00:00:00", True, "10.10", False, "web shop"),
        ("2", "43", "2024-03-01 12:30:00", False, "0.30", None, None),
    ]
    assert company.reasons()[0][0] == 7


def test_of_several_sheets_one_has_to_be_named(company: Company) -> None:
    rows = ROWS[2:5]
    workbook(company.deliver("orders", "file.xlsx", b""), rows, Notes=[["x"]])
    company.source("orders", columns=FIXED, timezone="UTC")
    [load] = company.run().loads
    assert load.error == "the workbook has several sheets; name one (sheet: …); it has: Orders, Notes"
    company.source("orders", columns=FIXED, timezone="UTC", sheet="Order")
    assert company.run().loads[0].error == "there is no sheet 'Order'; it has: Orders, Notes"
    company.source("orders", columns=FIXED, timezone="UTC", sheet="Orders")
    assert company.run().loads[0].good == 2


def test_a_formula_without_a_value_and_a_broken_workbook_refuse_the_file(company: Company) -> None:
    company.source("orders", columns=FIXED)
    workbook(company.deliver("orders", "a.xlsx", b""), [ROWS[2], [1, 2, date(2024, 3, 1), "=1+1"]])
    company.deliver("orders", "b.xlsx", b"PK no workbook")
    first, second = company.run().loads
    assert "cell D2 of sheet Orders is a formula that was never calculated" in str(first.error)
    assert "not a complete .xlsx workbook" in str(second.error)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"delimiter": "ab"}, "delimiter: one sign, or whitespace"),
        ({"format": "parquet", "skip_lines": 1}, "skip_lines: parquet has no header"),
        ({"format": "parquet", "encoding": "latin-1"}, "encoding: parquet is not text"),
        ({"columns_in_order": ["a", "a"]}, "columns_in_order: a name for each column"),
        ({"format": "jsonl", "quotes": "none"}, "quotes: jsonl has no header"),
        ({"optional_columns": ["a"]}, "only of a source with query, where or rows"),
        ({"columns_in_order": ["a"], "skip_after_header": 1}, "with columns_in_order there is no header"),
        ({"format": "csv", "sheet": "x"}, "sheet: only xlsx has sheets"),
        ({"query": "select 1", "where": "true"}, "where: query says already which rows there are"),
        ({"rows": {"one_per": "a", "sum": ["a"]}}, "rows.sum: 'a' tells the rows apart"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(source: dict[str, Any], said: str) -> None:
    business = {"timezone": "UTC", "reporting_currency": "EUR"}
    with pytest.raises(SettingsError) as caught:
        parse_settings({"business": business, "sources": {"orders": {"type": "files", "path": "x", **source}}})
    assert said in str(caught.value)
