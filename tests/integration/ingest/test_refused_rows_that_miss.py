"""The quarantine is what still misses: a refused row stands there once, and leaves when it comes in good."""

from __future__ import annotations

import gzip
import json

import duckdb
import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.ingest import file_loader

VERSIONED = "order_id,customer_id,ordered_at,amount,currency,status,updated_at"


def missing(company: Company) -> list[str]:
    """What was delivered of each row that still misses."""
    rows = company.query("select decode(raw) from raw.quarantine where resolved_by is null order by load_id, line")
    company.assert_balanced()
    return [raw for (raw,) in rows]


def test_a_row_that_comes_in_good_in_another_file_misses_no_more(company: Company) -> None:
    company.load("orders", orders_csv(order("a"), order("b", "much"), order("c", "more")), "1.csv")
    company.load("orders", orders_csv(order("b", "12.00")), "2.csv")
    assert missing(company) == [order("c", "more")]
    assert company.query("select resolved_by from raw.quarantine where resolved_by is not null") == [(2,)]


def test_a_row_that_is_refused_again_is_told_once_as_it_was_delivered_last(company: Company) -> None:
    company.load("orders", orders_csv(order("b", "much"), order("c", "more")), "1.csv")
    company.load("orders", orders_csv(order("b", "much"), order("c", "most"), order("d")), "2.csv")
    assert missing(company) == [order("b", "much"), order("c", "most")]


def test_a_line_that_cannot_be_read_is_known_by_its_bytes(company: Company) -> None:
    company.load("orders", orders_csv(order("a"), "b,anna"), "1.csv")
    company.load("orders", orders_csv(order("c"), "b,anna", "c,anna"), "2.csv")
    assert missing(company) == ["b,anna", "c,anna"]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet"])
def test_a_file_that_is_completed_later_resolves_what_was_wrong_with_it(company: Company, ending: str) -> None:
    cut = [order("a"), order("b"), order("c", "")]
    whole = [order("a"), order("b"), order("c"), order("d")]
    for rows in (cut, whole):
        company.load("orders", in_format(company, rows, ending), f"file.{ending}")
    assert missing(company) == []


def test_a_line_that_was_cut_off_is_resolved_by_the_whole_file(company: Company) -> None:
    content = orders_csv(order("a"), order("b"))
    company.load("orders", content[:-20] + b"\n")
    assert len(missing(company)) == 1
    company.load("orders", content)
    assert missing(company) == []


def test_a_file_that_is_replaced_by_the_next_days_resolves_nothing(company: Company) -> None:
    company.load("orders", orders_csv(order("a"), order("b", "much"), "c,anna"))
    company.load("orders", orders_csv(order("d"), order("e"), order("f")))
    assert missing(company) == [order("b", "much"), "c,anna"]


def test_a_key_that_is_wrong_itself_stands_for_no_other_row(company: Company) -> None:
    header = "customer_id,valid_from,country\n"
    company.load("customers", f"{header}anna,soon,NL\n".encode(), "1.csv")
    company.load("customers", f"{header}anna,,NL\n".encode(), "2.csv")
    assert missing(company) == ["anna,soon,NL"]


def test_a_row_that_is_good_and_then_refused_misses_its_new_version(company: Company) -> None:
    company.load("orders", orders_csv(order("a", "1.00", "2024-03-01"), header=VERSIONED), "1.csv")
    company.load("orders", orders_csv(order("a", "much", "2024-03-02"), header=VERSIONED), "2.csv")
    assert missing(company) == [order("a", "much", "2024-03-02")]
    company.load("orders", orders_csv(order("a", "2.00", "2024-03-02"), header=VERSIONED), "3.csv")
    assert missing(company) == []


def test_of_two_files_of_one_night_the_later_one_says_whether_a_row_misses(company: Company) -> None:
    company.deliver("orders", "1.csv", orders_csv(order("a", "much"), order("b")))
    company.deliver("orders", "2.csv", orders_csv(order("a"), order("b", "more")))
    company.run()
    assert missing(company) == [order("b", "more")]


@pytest.mark.parametrize("files_at_once", [1, 500])
def test_the_first_load_that_tells_a_row_is_named_however_many_come_together(
    company: Company, monkeypatch: pytest.MonkeyPatch, files_at_once: int
) -> None:
    monkeypatch.setattr(file_loader, "FILES_AT_ONCE", files_at_once)
    company.load("orders", orders_csv(order("a", "much"), order("b", "more"), "c,anna", order("e")), "1.csv")
    company.deliver("orders", "2.csv", orders_csv(order("a", "less"), "c,anna", order("d")))
    company.deliver("orders", "3.csv", orders_csv(order("a"), order("b"), "c,anna"))
    company.deliver("orders", "4.csv", orders_csv(order("a"), order("b", "most"), order("c")))
    company.run()
    told = company.query("select load_id, line, decode(raw), resolved_by from raw.quarantine order by load_id, line")
    assert told == [
        (1, 2, order("a", "much"), 2),
        (1, 3, order("b", "more"), 3),
        (1, 4, "c,anna", 2),
        (2, 2, order("a", "less"), 3),
        (2, 3, "c,anna", 3),
        (3, 4, "c,anna", None),
        (4, 3, order("b", "most"), None),
    ]


@pytest.mark.parametrize("files_at_once", [1, 500])
def test_files_read_again_by_other_settings_name_the_first_that_tells_a_row(
    company: Company, monkeypatch: pytest.MonkeyPatch, files_at_once: int
) -> None:
    monkeypatch.setattr(file_loader, "FILES_AT_ONCE", files_at_once)
    refused = order("a").replace("paid", "complete")
    company.load("orders", orders_csv(refused, order("b")), "1.csv")
    company.load("orders", orders_csv(refused, order("d")), "2.csv")
    company.source("orders", values={"status": {"paid": ["complete"]}})
    company.run()
    assert company.query("select load_id, resolved_by from raw.quarantine order by all") == [(1, 2), (2, 3)]


def test_a_delivery_of_the_whole_says_all_that_misses(company: Company) -> None:
    company.source("orders", delivery="whole")
    company.load("orders", orders_csv(order("a"), order("b", "much"), "c,anna"), "1.csv")
    company.load("orders", orders_csv(order("a"), order("d", "much")), "2.csv")
    assert missing(company) == [order("d", "much")]


def in_format(company: Company, rows: list[str], ending: str) -> bytes:
    if ending == "csv":
        return orders_csv(*rows)
    if ending == "csv.gz":
        return gzip.compress(orders_csv(*rows))
    names = ("order_id", "customer_id", "ordered_at", "amount", "currency", "status")
    objects = [dict(zip(names, row.split(","), strict=True)) for row in rows]
    text = "\n".join(json.dumps(one) for one in objects).encode()
    if ending == "jsonl":
        return text + b"\n"
    company.home.root.mkdir(parents=True, exist_ok=True)
    lines, path = company.home.root / "rows.jsonl", company.home.root / "rows.parquet"
    lines.write_bytes(text)
    duckdb.sql(f"copy (from read_json('{lines}', format='newline_delimited')) to '{path}' (format parquet)")
    return path.read_bytes()
