"""What fails in one file, or in one listing, stays there: the others load, and no run ends in a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.delivering import ORDER_HEADER, Company, order, orders_csv

GOOD = orders_csv(order("good"))


def outcomes(company: Company) -> dict[str, tuple[str, str | None]]:
    company.deliver("orders", "zz_good.csv", GOOD)
    found: dict[str, tuple[str, str | None]] = {
        load.file_name.split("/")[-1]: (load.status, load.error) for load in company.run().loads
    }
    assert found["zz_good.csv"][0] in ("loaded", "already_loaded")
    company.assert_balanced()
    return found


def parquet(folder: Path, amount: str, further: str = "1 as y") -> bytes:
    path = folder / "made.parquet"
    made = duckdb.sql(
        "select 'p1' as order_id, 'c1' as customer_id, timestamptz '2024-05-05 10:00:00+00' as ordered_at,"
        f" {amount} as amount, 'EUR' as currency, 'paid' as status, {further}"
    )
    assert made is not None
    made.write_parquet(str(path))
    return path.read_bytes()


def test_json_lines_with_mixed_line_ends_load(company: Company) -> None:
    row = '{"order_id": "ID", "ordered_at": "2024-05-05", "amount": "1", "currency": "EUR", "status": "paid"}'
    lines = [row.replace("ID", name) for name in ("j1", "j2", "j3")]
    content = lines[0] + "\n" + lines[1].replace(", ", ",\r", 1) + "\n" + lines[2] + "\r\n"
    company.deliver("orders", "mixed.jsonl", content.encode())
    assert outcomes(company)["mixed.jsonl"] == ("loaded", None)
    assert company.query("select order_id from raw.orders order by 1") == [("good",), ("j1",), ("j2",), ("j3",)]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (ORDER_HEADER.replace("status", "sta\rtus"), "a CR stands within the header"),
        (ORDER_HEADER.replace("status", 'sta"tus'), "a quote stands inside a value without quotes"),
        (ORDER_HEADER.replace("status", '"status'), "a quote is not closed"),
        (ORDER_HEADER.replace("status", "sta\0tus"), "NUL"),
    ],
)
def test_a_header_that_cannot_be_read_refuses_its_file(company: Company, header: str, reason: str) -> None:
    company.deliver("orders", "odd.csv", orders_csv(order("o1"), header=header))
    status, error = outcomes(company)["odd.csv"]
    assert status == "refused" and reason in (error or "")


def test_a_header_may_be_long_and_go_over_lines(company: Company) -> None:
    header = f'{ORDER_HEADER},{"x" * 140_000},"two\nlines"'
    load = company.load("orders", orders_csv(order("o1", "10.00", "a", "b"), "broken", header=header))
    assert (load.status, load.good, load.bad) == ("loaded", 1, 1)
    assert company.query("select line from raw.quarantine") == [(4,)]


def test_a_file_whose_name_is_no_utf8_loads(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("o1")))
    folder = os.fsencode(company.home.root / "landing" / "orders")
    os.rename(os.path.join(folder, b"a.csv"), os.path.join(folder, b"a\xff.csv"))
    assert outcomes(company)["a\\xff.csv"] == ("loaded", None)
    assert [load.status for load in company.run().loads] == ["already_loaded", "already_loaded"]


def test_a_link_that_leads_nowhere_is_named(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("o1")))
    link = company.home.root / "landing" / "orders" / "circle.csv"
    link.symlink_to(link)
    assert outcomes(company)["circle.csv"] == ("failed", "cannot be read: Too many levels of symbolic links")


def test_a_closed_folder_is_named(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.source("orders", path=["landing/orders/*", "landing/*/closed/*.csv"])
    (company.home.root / "landing" / "orders" / "closed").mkdir(parents=True)
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("closed") and allowed(path, mode))
    assert outcomes(company)["closed"] == ("failed", "the folder cannot be read: permission denied")


def test_parquet_with_a_column_called_file_row_number_tells_its_bad_row(company: Company, tmp_path: Path) -> None:
    company.deliver("orders", "a.parquet", parquet(tmp_path, "'x'", "99 as file_row_number"))
    assert outcomes(company)["a.parquet"] == ("loaded", None)
    [(line, raw)] = company.query("select line, decode(raw) from raw.quarantine")
    assert line == 1 and '"order_id":"p1"' in raw


@pytest.mark.parametrize("amount", ["99999999999999999999999999999999999999::decimal(38, 0)", "1e30::hugeint"])
def test_one_huge_number_refuses_its_row(company: Company, tmp_path: Path, amount: str) -> None:
    company.deliver("orders", "a.parquet", parquet(tmp_path, amount))
    assert outcomes(company)["a.parquet"] == ("loaded", None)
    assert [line for line, _ in company.reasons()] == [1]


def test_wide_numbers_that_fit_load(company: Company, tmp_path: Path) -> None:
    company.deliver("orders", "a.parquet", parquet(tmp_path, "12.5::decimal(38, 30)"))
    assert outcomes(company)["a.parquet"] == ("loaded", None)
    assert company.query("select cast(amount as varchar) from raw.orders where order_id = 'p1'") == [("12.50",)]


def test_whatever_a_reader_does_not_expect_refuses_its_file_alone(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retention_pipeline.ingest import readers, staging

    read = readers.read_json_lines

    def broken(*arguments: object) -> object:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(staging, "read_json_lines", broken)
    company.deliver("orders", "a.jsonl", b'{"order_id": "o1"}')
    assert outcomes(company)["a.jsonl"] == ("refused", "the file cannot be read: nobody thought of this")
    monkeypatch.setattr(staging, "read_json_lines", read)


def test_a_disk_that_fails_is_tried_again(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    from retention_pipeline.ingest import readers, staging

    read = readers.read_json_lines

    def broken(*arguments: object) -> object:
        raise duckdb.IOException("IO Error: no space left on device")

    monkeypatch.setattr(staging, "read_json_lines", broken)
    row = b'{"order_id": "j1", "ordered_at": "2024-05-05", "amount": "1", "currency": "EUR", "status": "paid"}'
    company.deliver("orders", "a.jsonl", row)
    assert outcomes(company)["a.jsonl"] == ("failed", "cannot be read: IO Error: no space left on device")
    monkeypatch.setattr(staging, "read_json_lines", read)
    assert outcomes(company)["a.jsonl"] == ("loaded", None)


def test_a_quote_inside_an_unquoted_value_is_refused_on_either_way(company: Company) -> None:
    lines = [order("o1", "10.00", 'sh"op'), order("o2", "10.00", '"shop"'), order("o3", "10.00", 'a"b"')]
    load = company.load("orders", orders_csv(*lines[1:], header=f"{ORDER_HEADER},channel"))
    assert (load.good, load.bad) == (1, 1)
    load = company.load("orders", orders_csv(*lines, header=f"{ORDER_HEADER},channel"), name="second.csv")
    assert company.query("select order_id, channel from raw.orders") == [("o2", "shop")]
    assert [line for line, _ in company.reasons()] == [3, 2, 4]
    assert {reason for _, reason in company.reasons()} == {"a quote stands inside a value without quotes"}


def test_a_value_over_two_lines_in_the_first_column_is_one_record(company: Company) -> None:
    header = "channel," + ORDER_HEADER
    load = company.load("orders", orders_csv('"web\nshop",' + order("o1"), "x," + order("o2"), header=header))
    assert (load.good, load.bad) == (2, 0)
    assert company.query("select channel from raw.orders order by order_id") == [("web\nshop",), ("x",)]


def test_files_load_in_natural_order_of_name(company: Company) -> None:
    company.deliver("orders", "export_9.csv", orders_csv(order("b1", "9.00")))
    company.deliver("orders", "export_10.csv", orders_csv(order("b1", "10.00")))
    assert [load.file_name[-5:] for load in company.run().loads] == ["9.csv", "0.csv"]
    assert company.query("select cast(amount as varchar) from raw.orders") == [("10.00",)]


def test_empty_columns_without_a_name_are_nothing(company: Company) -> None:
    header = f"{ORDER_HEADER},,,"
    load = company.load("orders", orders_csv(order("t1", "10.00", "", "", ""), header=header))
    assert (load.status, load.good, load.bad) == ("loaded", 1, 0)
    assert company.query("select _extra from raw.orders") == [(None,)]


def test_a_file_that_breaks_the_database_is_refused_and_all_others_load(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retention_pipeline.ingest import readers, staging

    read = readers.read_json_lines

    def broken(connection: duckdb.DuckDBPyConnection, *arguments: object) -> object:
        raise duckdb.InternalException("INTERNAL Error: information loss")

    monkeypatch.setattr(staging, "read_json_lines", broken)
    company.deliver("orders", "b.jsonl", b'{"order_id": "o1"}')
    company.deliver("orders", "a.parquet", b"PAR1")
    found = outcomes(company)
    assert found["b.jsonl"] == ("refused", "the file cannot be read: INTERNAL Error: information loss")
    assert found["a.parquet"][0] == "refused"
    monkeypatch.setattr(staging, "read_json_lines", read)
    assert outcomes(company)["b.jsonl"][0] == "refused"  # the same bytes, the same settings


def test_small_files_that_break_the_database_together_are_read_one_by_one(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retention_pipeline.ingest import file_loader

    def broken(*_: object, **__: object) -> object:
        raise duckdb.InternalException("INTERNAL Error: information loss")

    monkeypatch.setattr(file_loader, "stage_small_files", broken)
    company.deliver("orders", "a.csv", orders_csv(order("o1")))
    company.deliver("orders", "b.csv", orders_csv(order("o2"), order("o3", "much")))
    assert set(outcomes(company).values()) == {("loaded", None)}
    assert company.query("select order_id from raw.orders where order_id in ('o1', 'o2', 'o3') order by all") == [
        ("o1",),
        ("o2",),
    ]


def break_on_order(monkeypatch: pytest.MonkeyPatch, order_id: str) -> None:
    """DuckDB breaks while rows with an order are brought in."""
    from retention_pipeline.ingest import source_loader
    from retention_pipeline.ingest.versions import merge

    def broken(connection: duckdb.DuckDBPyConnection, *arguments: Any, **further: Any) -> object:
        if connection.execute("select count(*) from stage where order_id = $1", [order_id]).fetchall() != [(0,)]:
            connection.close()  # it answers nothing any more
            raise duckdb.InternalException("INTERNAL Error: information loss")
        return merge(connection, *arguments, **further)

    monkeypatch.setattr(source_loader, "merge", broken)


def test_a_file_whose_rows_break_the_database_when_brought_in_is_refused_and_all_others_load(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_on_order(monkeypatch, "o2")
    for number in (1, 2, 3):
        company.deliver("orders", f"{number}.csv", orders_csv(order(f"o{number}")))
    assert outcomes(company) == {
        "1.csv": ("loaded", None),
        "zz_good.csv": ("loaded", None),
        "2.csv": ("refused", "its rows cannot be loaded: INTERNAL Error: information loss"),
        "3.csv": ("loaded", None),
    }
    assert company.query("select order_id from raw.orders order by all") == [("good",), ("o1",), ("o3",)]


def test_a_file_whose_rows_break_the_database_when_read_again_keeps_its_rows_and_all_others_are_read(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        company.deliver("orders", f"{number}.csv", orders_csv(order(f"o{number}")))
    outcomes(company)
    break_on_order(monkeypatch, "o2")
    company.source("orders", timezone="Asia/Tokyo")
    assert [(load.file_name, load.error) for load in company.run().loads if load.status == "refused"] == [
        ("landing/orders/2.csv", "its rows cannot be loaded: INTERNAL Error: information loss")
    ]
    rows = company.query("select order_id from raw.orders order by all")
    assert rows == [("good",), ("o1",), ("o2",), ("o3",)]
