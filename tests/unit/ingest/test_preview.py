"""What a run would make of the newest file, told before the run."""

from __future__ import annotations

import gzip

import pytest
from conftest import Company, order, orders_csv

from retention_pipeline.cli.homes import _check_sources
from retention_pipeline.ingest.landing import delivered_files
from retention_pipeline.ingest.preview import LINES, Preview, preview_file
from retention_pipeline.settings import parse_settings


def preview(company: Company) -> Preview:
    settings = parse_settings({"business": company.business, "sources": company.sources})
    [file] = delivered_files(company.home, settings.sources["orders"])  # type: ignore[arg-type]
    return preview_file(settings, "orders", file)


def test_rows_are_shown_as_they_would_be_loaded(company: Company) -> None:
    company.source("orders", columns={"order_id": "No"}, values={"status": {"paid": ["done"]}})
    row = order("17").replace("paid", "done") + ",x"
    company.deliver("orders", "a.csv", orders_csv(row, header="No,customer_id,ordered_at,amount,currency,status,shop"))
    found = preview(company)
    assert (found.would_load, found.good, found.bad, found.unused) == (True, 1, 0, ["shop"])
    assert found.rows == [
        {"order_id": "17", "customer_id": "anna", "ordered_at": "2024-03-01 12:00:00", "amount": "10.00",
         "currency": "EUR", "status": "paid"}
    ]  # fmt: skip
    assert not company.home.raw_file.exists() and not company.home.archive.exists()


def test_shares_of_refused_rows_are_told_with_their_reasons(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a"), order("b", "x"), order("c", "x")))
    found = preview(company)
    assert not found.would_load
    assert (found.good, found.bad) == (1, 2)
    assert found.reasons == [("amount: 'x' is no number with at most 2 decimals", 2)]


@pytest.mark.parametrize(
    ("content", "hints"),
    [
        (
            "Order;Customer;Date;Total\n1;c1;2025-01-05;10,00\n",
            [
                "the delimiter looks like ';' (setting delimiter)",
                "numbers look as if they had a decimal comma (decimal: ',')",
            ],
        ),
        (
            "Orders report,,,,,\norder_id,customer_id,ordered_at,amount,currency,status\nt1,k1,2025-01-05,1,EUR,paid\n",
            ["line 2 looks like the header: what stands before it has to go"],
        ),
    ],
)
def test_a_file_that_would_be_refused_is_told_with_what_it_looks_like(
    company: Company, content: str, hints: list[str]
) -> None:
    company.deliver("orders", "a.csv", content.encode())
    found = preview(company)
    assert not found.would_load and "required columns are missing" in (found.error or "")
    assert found.hints == hints


def test_only_the_beginning_of_a_file_is_read(company: Company) -> None:
    rows = [order(f"o{number}", "10.00", '"two\nlines"') for number in range(2 * LINES)]
    content = orders_csv(*rows, header="order_id,customer_id,ordered_at,amount,currency,status,channel")
    company.deliver("orders", "a.csv.gz", gzip.compress(content))
    found = preview(company)
    assert found.bad == 0 and LINES / 2 - 2 <= found.good <= LINES


def test_amounts_that_may_be_cents_are_asked_about(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a", "2990"), order("b", "49900")))
    assert preview(company).hints == [
        "all 2 amounts are whole and at least 2,990: are they in cents? (minor_units: true)"
    ]


def test_check_is_green_where_a_run_would_load(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a")))
    company.source("fx_rates", path="landing/none/*.csv")
    settings = parse_settings({"business": company.business, "sources": company.sources})
    [(_, is_good, text), (_, is_red, _)] = _check_sources(company.home, settings)
    assert is_good and "its first 1 row would load" in text and "order_id a, customer_id anna" in text
    assert not is_red
    company.deliver("orders", "b.csv", b"order_id\n1\n")
    assert not _check_sources(company.home, settings)[0][1]
