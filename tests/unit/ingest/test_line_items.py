"""Several lines as one row, and lines that are none: `rows` and `where`."""

from __future__ import annotations

from typing import Any

from support.delivering import Company

COLUMNS = {
    **{"order_id": "No", "customer_id": "Mail", "ordered_at": "Day", "amount": "Total"},
    **{"currency": {"constant": "EUR"}, "status": {"constant": "paid"}},
}
LINES = b"""No,Mail,Day,Total,Kind
5001,l1,2025-01-06,"1,010.00",item
5001,l1,2025-01-06,15.00,item

5002,l2,2025-01-07,7.00,item
,l2,2025-01-07,1.00,item
,l2,2025-01-07,1.00,item
5002,l2,2025-01-07,7.00,draft
5003,l2,2025-01-08,x,
"""


def load(company: Company, content: bytes = LINES, name: str = "lines.csv", **settings: Any) -> Any:
    company.source("orders", **{"columns": COLUMNS, **settings})
    return company.load("orders", content, name)


def amounts(company: Company) -> list[tuple[str, str]]:
    return company.query("select order_id, cast(amount as varchar) from raw.orders order by order_id")


def test_line_items_without_a_setting_are_refused_with_what_to_do(company: Company) -> None:
    error = str(
        load(
            company, LINES.replace(b",x,", b",7,").replace(b'"1,010.00"', b"10").replace(b",7.00,draft", b",7.00,item")
        ).error
    )
    assert error.startswith(
        "1 key stands on several rows of other content, such as order_id 5001 (amount 10.00 and 15.00)"
    )
    assert "rows: {one_per: …, sum: […]} or query; else a wider key (order_id: {expression: …})" in error


def test_line_items_are_added_up(company: Company) -> None:
    result = load(company, where="Kind = 'item'", rows={"one_per": "No", "sum": ["Total"]})
    assert amounts(company) == [("5001", "1025.00"), ("5002", "7.00")]
    assert (result.good, result.bad) == (2, 2)
    assert company.reasons() == [(6, "order_id is missing"), (7, "order_id is missing")]
    assert result.hints == ["where is neither true nor false for 1 of 7 lines (empty values?): left out"]


def test_the_first_line_is_taken(company: Company) -> None:
    load(company, where="coalesce(Kind, '') <> ''", rows={"one_per": ["No"], "take": "first"}, decimal=".")
    assert [id for id, _ in amounts(company)] == ["5002"]
    assert company.reasons()[0] == (
        2,
        "amount: '1,010.00' is not a number with at most 2 decimals (it has separators between thousands)",
    )


def test_columns_that_differ_among_lines_are_told_unless_that_is_right(company: Company) -> None:
    content = LINES.replace(b"5001,l1,2025-01-06,15", b"5001,l9,2025-01-06,15")
    kept = {"where": "Kind = 'item' and No is not null"}
    result = load(company, content, **kept, rows={"one_per": "No", "sum": ["Total"]})
    assert result.hints[-1].startswith("Mail differs among the rows of one No, 1 times (5001: l1 and l9); the first")
    result = load(company, content + b"\n", "2.csv", **kept, rows={"one_per": "No", "sum": ["Total"], "take": "first"})
    assert not [hint for hint in result.hints if "differs" in hint]


def test_a_decimal_comma_is_one_where_lines_are_added_up_too(company: Company) -> None:
    content = b"No;Mail;Day;Total\n1;a;2025-01-06;1,234\n1;a;2025-01-06;1.000,5\n"
    load(company, content, delimiter=";", decimal=",", round_amounts=True, rows={"one_per": "No", "sum": ["Total"]})
    assert amounts(company) == [("1", "1001.73")]


def test_a_key_that_is_wider_than_the_sources(company: Company) -> None:
    wider = {**COLUMNS, "order_id": {"expression": "No || '-' || Total"}}
    load(company, b"No,Mail,Day,Total\n1,a,2025-01-06,1\n1,a,2025-01-06,2\n", columns=wider)
    assert amounts(company) == [("1-1", "1.00"), ("1-2", "2.00")]


def test_a_condition_that_cannot_be_asked_refuses_the_file(company: Company) -> None:
    error = str(load(company, where="Art = 'x'").error)
    assert error.startswith("where or rows of the source fails: there is no column ") and error.endswith("Total, Kind")
