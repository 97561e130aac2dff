"""`query:` of a source of files: what it may see, what becomes of its rows, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from support.delivering import Company

from retention_pipeline.ingest.file_query import macros

QUERY = """
    select "No" as order_id, email(max("Mail")) as customer_id, instant(max("Time"), '%d/%m/%Y %H:%M') as ordered_at,
        sum(number("Price") * cast("Count" as integer)) as amount, 'EUR' as currency, 'paid' as status,
        min(_line) as _line
    from rows group by "No"
"""
LINES = b"""No,Mail,Time,Price,Count
1,Anna@Example.com ,05/03/2024 9:30,"1,000.50",1
1,,05/03/2024 9:30,(0.50),2

2,ben@example.com,06/03/2024 10:00,3.125,1
"""


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = Company(tmp_path)
    company.source("orders", query=QUERY, timezone="Europe/Amsterdam")
    return company


def test_rows_are_those_of_the_query_and_refused_ones_name_their_line(company: Company) -> None:
    company.deliver("orders", "lines.csv", LINES)
    (load,) = company.run().loads
    assert (load.status, load.good, load.bad) == ("loaded", 1, 1)
    rows = company.query(
        "select order_id, customer_id, cast(ordered_at as varchar), cast(amount as varchar) from raw.orders"
    )
    assert rows == [("1", "anna@example.com", "2024-03-05 08:30:00", "999.50")]
    ((line, reason),) = company.query("select line, reason from raw.quarantine")
    assert line == 5 and "amount" in reason


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("drop table rows", "has to be one SELECT"),
        ("select 1; select 2", "has to be one SELECT"),
        ("selekt", "cannot be read"),
        ("select * from read_text('/etc/hostname')", "the query of the source fails"),
        ("select * from '/etc/passwd'", "the query of the source fails"),
        ('select "Nummer" as order_id from rows', "the file has: No, Mail, Time, Price, Count"),
        ('select number("Time") as amount, amount + 1 as more from rows', "'05/03/2024 9:30' is not a number"),
        ('select instant("Time") as ordered_at from rows', "is not a time in the expected form"),
    ],
)
def test_a_query_that_cannot_be_run_refuses_the_file(company: Company, query: str, said: str) -> None:
    company.source("orders", query=query, timezone="Europe/Amsterdam")
    company.deliver("orders", "lines.csv", LINES)
    (load,) = company.run().loads
    assert load.status == "refused" and said in str(load.error)


def test_a_file_with_a_line_that_cannot_be_read_is_refused_whole(company: Company) -> None:
    company.deliver("orders", "lines.csv", LINES + b"3,too,few\n")
    (load,) = company.run().loads
    assert load.status == "refused" and "every line can be read" in str(load.error)


def test_a_query_may_name_optional_columns_that_a_file_lacks(company: Company) -> None:
    query = QUERY.replace("'paid' as status", "coalesce(max(\"State\"), 'paid') as status")
    company.source("orders", query=query, timezone="Europe/Amsterdam", optional_columns=["State", "mail"])
    company.deliver("orders", "1.csv", LINES.replace(b"3.125", b"3.12"))
    company.deliver("orders", "2.csv", b"No,Mail,Time,Price,Count,State\n3,,06/03/2024 10:00,3.12,1,pending\n")
    assert [load.status for load in company.run().loads] == ["loaded", "loaded"]
    assert company.query("select order_id, customer_id, status from raw.orders order by order_id") == [
        ("1", "anna@example.com", "paid"),
        ("2", "ben@example.com", "paid"),
        ("3", None, "pending"),
    ]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("-5.00", "-5.00"),
        ("\u22125,00", "-5.00"),
        ("\u20135.00 €", "-5.00"),
        ("($1,200.50)", "-1200.50"),
        ("1\u202f234,50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("Rs. 1,200.00", "1200.00"),
        ("Rs.500", "500.00"),
        ("kr.1.200,00", "1200.00"),
        ("\u2014", None),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, amount: str | None) -> None:
    assert number(text) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize("text", ["1e5", "1.2E+05", "1/2", "2x 5.00", "0x1F", "5 (of 7)", "5.00-", "n/a"])
def test_what_is_more_than_one_number_is_none(text: str) -> None:
    with pytest.raises(duckdb.ConversionException, match="is not a number"):
        number(text)


def number(text: str) -> Decimal | None:
    with duckdb.connect() as connection:
        for macro in macros("UTC"):
            connection.execute(macro)
        [(read,)] = connection.execute("select number($1)", [text]).fetchall()
    return None if read is None else Decimal(read)
