"""How whole files are taken: forms that are fine, forms that are refused, and what a refused file costs the others."""

from __future__ import annotations

import gzip
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.delivering import ORDER_HEADER, Company, order, orders_csv

ROWS = orders_csv(order("a"), order("b", "20.00"))


def parquet(path: Path, query: str) -> bytes:
    duckdb.execute(f"copy ({query}) to '{path}' (format parquet)")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", ROWS),
        ("byte_order_mark.csv", b"\xef\xbb\xbf" + ROWS),
        ("crlf.csv", ROWS.replace(b"\n", b"\r\n")),
        ("no_final_newline.csv", ROWS.rstrip(b"\n")),
        ("blank_lines.csv", ROWS.replace(b"\n", b"\n\n")),
        ("blank_crlf_lines.csv", ROWS.replace(b"\n", b"\r\n\r\n")),
        ("mixed_line_ends.csv", ROWS.replace(b"\n", b"\r\n", 1)),
        ("quoted.csv", b"\n".join(b",".join(b'"%s"' % v for v in r.split(b",")) for r in ROWS.split(b"\n") if r)),
        ("trailing_delimiters.csv", ROWS.replace(b"\n", b",\n")),
        ("packed.csv.gz", gzip.compress(ROWS)),
        ("packed_in_parts.csv.gz", gzip.compress(ROWS[:50]) + gzip.compress(ROWS[50:])),
    ],
)
def test_forms_of_csv_that_are_fine_give_the_same_rows(company: Company, name: str, content: bytes) -> None:
    load = company.load("orders", content, name)
    assert (load.status, load.good, load.bad) == ("loaded", 2, 0)
    assert company.query("select order_id, amount, ordered_at, ordered_at_is_date from raw.orders order by 1") == (
        company.query("select * from (values ('a', 10.00, timestamp '2024-03-01 12:00:00', false), "
                      "('b', 20.00, timestamp '2024-03-01 12:00:00', false))")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("empty.csv", b"", "the file is empty"),
        ("no_header.csv", orders_csv(order("b"), header=order("a")), "required columns are missing: order_id"),
        ("renamed.csv", ROWS.replace(b"amount", b"total"), "required columns are missing: amount; the file has:"),
        (
            "twice.csv",
            ROWS.replace(b"status", b"amount"),
            "the header names amount more than once: say in columns which",
        ),
        ("utf16.csv", ROWS.decode().encode("utf-16"), "not UTF-8 text"),
        ("cr_only.csv", ROWS.replace(b"\n", b"\r"), "the lines end in CR alone"),
        ("latin_header.csv", ROWS.replace(b"status", b"stat\xfcs"), "the header is not valid UTF-8"),
        ("semicolons.csv", ROWS.replace(b",", b";"), "required columns are missing"),
        ("cut.csv.gz", gzip.compress(ROWS)[:-12], "the gzip compression ends too early"),
        ("no_gzip.csv.gz", ROWS, "the gzip compression is broken"),
        ("empty.parquet", b"", "not a complete Parquet file"),
        ("text.parquet", ROWS, "not a complete Parquet file"),
        ("picture.png", ROWS, "the file's extension does not say its format"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole_and_stops_nothing_else(
    company: Company, name: str, content: bytes, error: str
) -> None:
    company.deliver("orders", "fine.csv", orders_csv(order("fine")))
    load = company.load("orders", content, name)
    assert load.status == "refused"
    assert error in (load.error or "")
    assert company.query("select order_id from raw.orders") == [("fine",)]

    again = company.run()
    assert [(load.file_name, load.error) for load in again.refused] == [(f"landing/orders/{name}", load.error)]
    assert company.query("select count(*) from raw.ledger where status = 'refused'") == [(int("png" not in name),)]


def test_a_truncated_parquet_file_is_refused(company: Company, tmp_path: Path) -> None:
    whole = parquet(tmp_path / "x.parquet", f"select * from read_csv('{_csv(tmp_path)}', all_varchar=true)")
    load = company.load("orders", whole[: len(whole) - 20], "cut.parquet")
    assert load.status == "refused"
    assert "not a complete Parquet file" in (load.error or "")


def test_a_parquet_file_with_spoiled_pages_is_refused(company: Company, tmp_path: Path) -> None:
    whole = bytearray(parquet(tmp_path / "x.parquet", f"select * from read_csv('{_csv(tmp_path)}', all_varchar=true)"))
    whole[4:60] = b"\xff" * 56
    assert company.load("orders", bytes(whole), "spoiled.parquet").status == "refused"
    assert company.query("select count(*) from raw.orders") == [(0,)]


def _csv(folder: Path) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(ROWS)
    return path


def test_a_refused_file_is_tried_again_when_the_settings_by_which_it_is_read_change(company: Company) -> None:
    company.load("orders", ROWS.replace(b"amount", b"total"))
    company.source("orders", columns={"amount": "total"})
    assert [load.status for load in company.run().loads] == ["loaded"]
    assert company.query("select count(*), min(status) from raw.ledger") == [(1, "loaded")]


def test_a_header_alone_is_a_load_of_no_rows(company: Company) -> None:
    load = company.load("orders", f"{ORDER_HEADER}\n".encode())
    assert (load.status, load.lines, load.good) == ("loaded", 1, 0)


def test_columns_are_found_by_name_whatever_their_order(company: Company) -> None:
    rows = [line.split(",") for line in ROWS.decode().split()]
    company.load("orders", "\n".join(",".join(reversed(row)) for row in rows).encode())
    assert company.query("select order_id, amount, status from raw.orders where order_id = 'a'")[0][0] == "a"


def test_values_with_line_breaks_are_loaded_line_by_line(company: Company) -> None:
    header = ORDER_HEADER + ",channel"
    rows = [order("a", "10.00", '"one\ntwo\n\nthree"'), order("b", "10.00", '"he said ""yes"""'), order("c", "x", "y")]
    load = company.load("orders", orders_csv(*rows, header=header))
    assert (load.good, load.bad) == (2, 1)
    assert company.query("select order_id, channel from raw.orders order by 1") == [
        ("a", "one\ntwo\n\nthree"),
        ("b", 'he said "yes"'),
    ]
    assert company.query("select line, raw from raw.quarantine") == [(7, rows[2].encode())]
    assert company.query("select mode from raw.ledger") == [("slow",)]


def test_one_stray_quote_costs_one_line_however_many_follow(company: Company) -> None:
    header = ORDER_HEADER + ",channel"
    rows = [order(str(number), "10.00", '"web"') for number in range(2000)]
    rows[1000] = order("stray", "10.00", '"web')
    load = company.load("orders", orders_csv(*rows, header=header))
    assert (load.good, load.bad) == (1999, 1)
    assert company.reasons() == [(1002, "a quote is not closed")]


def test_parquet_types_become_those_of_the_contract(company: Company, tmp_path: Path) -> None:
    company.source("orders", timezone="America/New_York")
    content = parquet(
        tmp_path / "x.parquet",
        """
        select * from (values
            (1, 7.0::double, timestamp_ns '2024-03-01 12:00:00', 29.33::double, 'EUR', 'paid', true),
            (2, null, timestamp_ns '2024-03-01 12:00:00', 0.1::double + 0.2::double, 'EUR', 'paid', null),
            (3, 8, timestamp_ns '2024-03-01 12:00:00', 10.555::double, 'EUR', 'paid', null),
            (4, 8, timestamp_ns '2024-03-01 12:00:00', 'nan'::double, 'EUR', 'paid', null)
        ) t(order_id, customer_id, ordered_at, amount, currency, status, is_test)
        """,
    )
    load = company.load("orders", content, "x.parquet")
    assert (load.good, load.bad) == (2, 2)
    assert company.query("select order_id, customer_id, amount::varchar, is_test, ordered_at::varchar "
                         "from raw.orders order by 1") == [
        ("1", "7", "29.33", True, "2024-03-01 17:00:00"),
        ("2", None, "0.30", None, "2024-03-01 17:00:00"),
    ]  # fmt: skip
    [(third, reason, raw), (fourth, *_)] = company.query("select line, reason, decode(raw) from raw.quarantine")
    assert (third, fourth) == (3, 4)
    assert "amount: '10.555'" in reason
    assert '"order_id":3' in raw


def test_parquet_keeps_zones_dates_and_decimals(company: Company, tmp_path: Path) -> None:
    content = parquet(
        tmp_path / "x.parquet",
        """select 'a' as order_id, 'anna' as customer_id, timestamptz '2024-03-01 12:00:00+02' as ordered_at,
        10.5::decimal(9,4) as amount, 'EUR' as currency, 'paid' as status, date '2024-03-02' as refunded_at""",
    )
    company.load("orders", content, "x.parquet")
    assert company.query("select ordered_at::varchar, ordered_at_is_date, amount::varchar, refunded_at::varchar, "
                         "refunded_at_is_date from raw.orders") == [
        ("2024-03-01 10:00:00", False, "10.50", "2024-03-02 00:00:00", True)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_an_infinite_timestamp_in_parquet_is_refused_and_the_others_load(
    company: Company, tmp_path: Path, kind: str
) -> None:
    company.source("orders", timezone="America/New_York")
    content = parquet(
        tmp_path / "x.parquet",
        f"""select order_id, 'anna' as customer_id, ordered_at::{kind} as ordered_at, 10 as amount, 'EUR' as currency,
        'paid' as status from (values ('a', '2024-03-01 12:00:00'), ('b', 'infinity')) as t(order_id, ordered_at)""",
    )
    load = company.load("orders", content, "x.parquet")
    assert (load.good, load.bad) == (1, 1)


def test_json_lines_may_lack_keys_and_have_others(company: Company) -> None:
    lines = [
        '{"order_id": 1, "customer_id": "anna", "ordered_at": "2024-03-01", "amount": 10.5, "currency": "EUR", '
        '"status": "paid", "is_test": false, "shop": {"city": "Ghent"}, "note": null}',
        "",
        '{"order_id": "2", "ordered_at": "2024-03-01", "amount": "11.00", "currency": "EUR", "status": "paid"}',
        '{"order_id": "3", "customer_id": "anna", "ordered_at": "2024-03-01", "currency": "EUR", "status": "paid"}',
        '{"order_id": "4", "customer_id": ',
        "[1, 2]",
    ]
    load = company.load("orders", "\n".join(lines).encode(), "x.jsonl")
    assert (load.good, load.bad, load.drift.added) == (2, 3, ("note", "shop"))
    assert company.query(
        "select order_id, customer_id, amount::varchar, is_test, _extra from raw.orders order by 1"
    ) == [
        ("1", "anna", "10.50", False, '{"shop":{"city":"Ghent"}}'),
        ("2", None, "11.00", None, None),
    ]
    assert company.reasons() == [
        (4, "amount is missing"),
        (5, "the line is not a JSON object"),
        (6, "the line is not a JSON object"),
    ]


def test_an_unfinished_or_unsettled_file_waits_for_the_next_run(company: Company) -> None:
    company.source("orders", settle_seconds=60)
    old = company.deliver("orders", "old.csv", orders_csv(order("old")))
    long_ago = time.time() - 3600
    os.utime(old, (long_ago, long_ago))
    part = company.deliver("orders", "big.csv.part", orders_csv(order("part")))
    os.utime(part, (long_ago, long_ago))
    company.deliver("orders", "new.csv", orders_csv(order("new")))
    assert [load.file_name for load in company.run().loads] == ["landing/orders/old.csv"]


def test_the_archive_keeps_the_bytes_under_their_checksum(company: Company) -> None:
    company.load("orders", gzip.compress(ROWS, mtime=0), "x.csv.gz")
    [(sha256,)] = company.query("select sha256 from raw.ledger")
    assert (company.home.archive / "orders" / f"{sha256}.csv.gz").read_bytes() == gzip.compress(ROWS, mtime=0)


def test_thousands_of_small_files_are_one_comparison_with_what_is_there(company: Company) -> None:
    for number in range(700):
        company.deliver("orders", f"{number:04}.csv", orders_csv(order(f"o{number}"), order("same", f"{number}.00")))
    result = company.run()
    assert len({load.load_id for load in result.loads}) == 700
    assert company.query("select count(*), count(distinct order_id) from raw.orders") == [(701, 701)]
    assert company.query("select amount::varchar from raw.orders where order_id = 'same'") == [("699.00",)]
    assert company.query("select count(*) from raw.orders_history") == [(699,)]
    company.assert_balanced()


def test_keys_of_json_that_differ_in_case_only_or_are_empty_stop_nothing(company: Company) -> None:
    row = '"order_id": "a", "": 1, "ordered_at": "2024-01-01", "amount": 1, "currency": "EUR", "status": "paid"'
    load = company.load("orders", f'{{"Order_ID": 9, {row}}}\nno JSON'.encode(), "file.jsonl")
    assert (load.good, load.bad) == (1, 1)
    assert company.query("select order_id, _extra from raw.orders") == [("a", '{"Order_ID":9,"":1}')]
    company.source("orders", columns={"order_id": "Order_ID"})
    company.run()
    assert company.query("select order_id, _extra from raw.orders") == [("9", '{"order_id":"a","":1}')]


def test_parquet_instants_in_nanoseconds_keep_their_zone(company: Company, tmp_path: Path) -> None:
    instants = pa.array([datetime(2024, 7, 1, 10, tzinfo=UTC)], pa.timestamp("ns", tz="America/New_York"))
    rows = {"order_id": ["a"], "ordered_at": instants, "amount": [1.0], "currency": ["EUR"], "status": ["paid"]}
    pq.write_table(pa.table(rows), tmp_path / "ns.parquet")
    company.source("orders", timezone="Europe/Amsterdam")
    company.load("orders", (tmp_path / "ns.parquet").read_bytes(), "file.parquet")
    assert company.query("select ordered_at from raw.orders") == [(datetime(2024, 7, 1, 10),)]


def test_a_file_whose_last_line_has_no_end_waits(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    from retention_pipeline.ingest import landing

    monkeypatch.setattr(landing, "OPEN_LINE_SECONDS", 60.0)
    open_line = company.deliver("orders", "1.csv", orders_csv(order("a"), order("b")).rstrip(b"\n"))
    company.deliver("orders", "2.csv", orders_csv(order("c")))
    assert [load.file_name for load in company.run().loads] == ["landing/orders/2.csv"]
    an_hour_ago = time.time() - 3600
    os.utime(open_line, (an_hour_ago, an_hour_ago))
    assert sorted(load.file_name for load in company.run().loads if load.status == "loaded") == ["landing/orders/1.csv"]
    assert company.query("select count(*) from raw.orders") == [(3,)]


def test_links_that_leave_the_folder_of_a_source_are_refused(company: Company, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-secret.csv"
    outside.write_bytes(orders_csv(order("secret")))
    inside = company.deliver("orders", "1.csv", orders_csv(order("a")))
    (inside.parent / "latest.csv").symlink_to(inside.name)
    (inside.parent / "2.csv").symlink_to(outside)
    loads = {load.file_name: load for load in company.run().loads}
    assert loads["landing/orders/2.csv"].status == "failed"
    assert loads["landing/orders/2.csv"].error == "is a link that leaves the folder of its source"
    assert company.query("select order_id from raw.orders") == [("a",)]
    assert b"secret" not in b"".join(path.read_bytes() for path in company.home.archive.rglob("*.csv"))
    moved = tmp_path / "elsewhere"
    inside.parent.rename(moved)
    inside.parent.symlink_to(moved)  # the folder itself may be a link: that is where the sender delivers
    assert company.run().loads[0].status == "already_loaded"


def test_signs_of_patterns_in_the_path_of_the_home_are_its_name(tmp_path: Path) -> None:
    company = Company(tmp_path / "exports [2024] *")
    inside = company.deliver("orders", "orders [1].csv", ROWS)
    outside = tmp_path / "secret.csv"
    outside.write_bytes(orders_csv(order("secret")))
    (inside.parent / "2.csv").symlink_to(outside)
    loads = {load.file_name: load for load in company.run().loads}
    assert loads["landing/orders/orders [1].csv"].good == 2
    assert loads["landing/orders/2.csv"].error == "is a link that leaves the folder of its source"
