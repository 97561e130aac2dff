"""What the settings say is never stored is not, ids become keyed hashes, and nothing keeps the bytes before that."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.delivering import NOW, ORDER_HEADER, Company, order, orders_csv

from retention_pipeline.cli.check import check_sources
from retention_pipeline.ingest import ingest
from retention_pipeline.ingest.door import Door, clean
from retention_pipeline.ingest.forgotten import check_key, keyed_hash, write_forgotten
from retention_pipeline.ingest.preview import Preview
from retention_pipeline.settings import Home, Ids, Settings, SettingsError, parse_settings

KEY = b"a key"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PRIVACY_KEY", KEY.decode())
    return "PRIVACY_KEY"


def settings(company: Company, **privacy: object) -> Settings:
    return parse_settings(
        {
            "business": company.business,
            "sources": company.sources,
            "max_quarantine_rate": 1.0,
            "privacy": {"key": {"env": "PRIVACY_KEY"}, **privacy},
        }
    )


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def with_email(*rows: str) -> bytes:
    return "\n".join([f"{ORDER_HEADER},email", *rows, ""]).encode()


def test_columns_are_dropped_where_quotes_say_nothing(company: Company, secret: str) -> None:
    company.source("orders", quotes="none")
    rows = [order("a").replace("anna", 'an"na') + ",anna@example.com", order("b") + ',"ben@example.com']
    company.deliver("orders", "1.csv", with_email(*rows))
    ingest(company.home, settings(company, drop={"orders": ["email"]}), now=NOW)
    assert company.query("select order_id, customer_id from raw.orders order by 1") == [("a", 'an"na'), ("b", "anna")]
    assert b"example.com" not in bytes_below(company.home.archive)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "parquet", "xlsx"])
def test_dropped_columns_and_ids_are_in_no_file_that_is_kept(company: Company, secret: str, form: str) -> None:
    names = [*ORDER_HEADER.split(","), "email"]
    rows = [[*order("a").split(","), "anna@example.com"], [*order("b", "20.00").split(","), "anna@example.com"]]
    text = "\n".join(",".join(row) for row in [names, *rows]) + "\n"
    ways: dict[str, Callable[[], bytes]] = {
        "csv": text.encode,
        "csv.gz": lambda: gzip.compress(text.encode()),
        "jsonl": lambda: "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows).encode(),
        "parquet": lambda: parquet(names, rows),
        "xlsx": lambda: workbook(names, rows),
    }
    company.deliver("orders", f"1.{form}", ways[form]())
    asked = settings(company, drop={"orders": ["email"]}, pseudonymise={"orders": ["customer_id"]})
    [load] = ingest(company.home, asked, now=NOW).loads
    assert (load.status, load.new, load.bad) == ("loaded", 2, 0), load
    [(customer, extra)] = company.query("select distinct customer_id, _extra from raw.orders")
    assert customer == f"p{keyed_hash(KEY, 'anna')[:24]}" and "email" not in (extra or "")
    for folder in (company.home.archive, company.home.warehouse):
        assert b"anna" not in bytes_below(folder)
    [again] = ingest(company.home, asked, now=NOW).loads
    assert again.status == "already_loaded"


def parquet(names: list[str], rows: list[list[str]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), sink)
    return bytes(sink.getvalue())


def workbook(names: list[str], rows: list[list[str]]) -> bytes:
    import io

    from openpyxl import Workbook

    book = Workbook()
    for row in [names, *rows]:
        assert book.active is not None
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def test_lines_keep_their_numbers_and_a_line_that_is_no_row_is_not_shown(company: Company, secret: str) -> None:
    content = with_email(
        f"{order('a')},anna@example.com",
        "",
        f'{order("b")},"two\nlines"',
        "too,few,anna@example.com",
        f"{order('c')},x",
    )
    company.deliver("orders", "1.csv", content)
    ingest(company.home, settings(company, drop={"orders": ["email"]}), now=NOW)
    assert company.query("select order_id from raw.orders order by 1") == [("a",), ("b",), ("c",)]
    assert company.query("select count(*) from raw.quarantine") == company.query("select 0")
    assert b"anna@" not in bytes_below(company.home.archive)


def test_line_breaks_in_what_stays_are_quoted_again(company: Company, secret: str) -> None:
    rows = [f'{order("a")},anna@example.com,"two\nlines"', f'{order("b")},ben@example.com,"a\rreturn"']
    company.deliver("orders", "1.csv", "\n".join([f"{ORDER_HEADER},email,note", *rows, ""]).encode())
    [load] = ingest(company.home, settings(company, drop={"orders": ["email"]}), now=NOW).loads
    assert (load.status, load.new, load.bad) == ("loaded", 2, 0), load
    notes = [json.loads(extra)["note"] for (extra,) in company.query("select _extra from raw.orders order by order_id")]
    assert notes == ["two\nlines", "a\rreturn"]


def test_whoever_was_forgotten_is_so_again_when_delivered_again(company: Company, secret: str) -> None:
    write_forgotten(company.home, KEY, {keyed_hash(KEY, "anna"): "forgotten-1"}, [])
    bob = order("b").replace("anna", "bob")
    company.deliver("orders", "1.csv", with_email(f"{order('a')},anna@example.com", f"{bob},bob@example.com"))
    ingest(company.home, settings(company), now=NOW)
    assert company.query("select customer_id from raw.orders order by order_id") == [("forgotten-1",), ("bob",)]
    assert b"anna" not in bytes_below(company.home.archive)
    assert b"bob@example.com" in bytes_below(company.home.archive)


def test_files_that_name_nobody_come_through_as_they_are(company: Company, secret: str) -> None:
    write_forgotten(company.home, KEY, {keyed_hash(KEY, "zoe"): "forgotten-1"}, [])
    content = orders_csv(order("a"), '"q",anna,2024-03-01T12:00:00Z,"1,00",EUR,paid', "broken")
    company.deliver("orders", "1.csv", content)
    ingest(company.home, settings(company), now=NOW)
    assert [path.read_bytes() for path in (company.home.archive / "orders").iterdir()] == [content]


def test_without_the_key_or_with_another_one_nothing_is_loaded(
    company: Company, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_forgotten(company.home, KEY, {keyed_hash(KEY, "anna"): "forgotten-1"}, [])
    company.deliver("orders", "1.csv", orders_csv(order("a")))
    with pytest.raises(SettingsError, match="differs from the key"):
        check_key(company.home, b"other")
    monkeypatch.delenv("PRIVACY_KEY")
    with pytest.raises(SettingsError, match="PRIVACY_KEY is not set"):
        ingest(company.home, settings(company), now=NOW)
    assert company.query("select count(*) from raw.orders") == [(0,)]


def test_ids_are_hashed_as_raw_would_have_them() -> None:
    door = Door(Ids(lower=True), KEY, hashed=frozenset({"id"}))
    same = {door.pseudonym(text) for text in ("Anna@x.nl", " anna@X.nl ", '="anna@x.nl"')}
    assert len(same) == 1 and door.pseudonym("") == "" and door.pseudonym("N/A") == "n/a"
    assert clean("12.0", Ids()) == "12" and door.pseudonym(12) == door.pseudonym("12.0")


def test_settings_name_sources_that_are_there_and_need_a_key(company: Company) -> None:
    company.source("orders")
    with pytest.raises(SettingsError, match=r"privacy\.drop\.shop: there is no source"):
        settings(company, drop={"shop": ["email"]})
    with pytest.raises(SettingsError, match=r"privacy\.key: is missing"):
        settings(company, key=None, pseudonymise={"orders": ["customer_id"]})


def test_the_home_is_named_where_the_list_is_damaged(tmp_path: Path) -> None:
    from retention_pipeline.ingest.forgotten import forgotten_file, read_forgotten

    home = Home(tmp_path)
    home.archive.mkdir()
    forgotten_file(home).write_text("{")
    with pytest.raises(SettingsError, match=r"forgotten\.json, which says who was forgotten, is damaged"):
        read_forgotten(home)


def test_where_columns_of_ids_are_not_known_a_short_id_is_left_alone() -> None:
    people = {keyed_hash(KEY, one): f"forgotten-{one}" for one in ("12", "customer-12")}
    names, row = ["buyer", "quantity", "note"], ["customer-12", "12", "12"]
    assert Door(Ids(), KEY, forgotten=people).row(names, row) == ["forgotten-customer-12", "12", "12"]
    known = Door(Ids(), KEY, columns=frozenset({"buyer"}), forgotten=people)
    assert known.row(names, ["12", "12", "12"]) == ["forgotten-12", "12", "12"]


def test_a_preview_shows_nothing_that_the_door_hides(company: Company, secret: str) -> None:
    company.source("orders", path="landing/orders/*.csv")
    company.deliver("orders", "1.csv", with_email(f"{order('a')},anna@example.com", "too,few,anna@example.com"))
    company.sources["joined"] = {
        "dataset": "orders",
        "type": "files",
        "path": "landing/orders/*.csv",
        "inputs": {"people": "landing/people/*.csv"},
        "query": "select rows.*, shop as channel from rows join people on customer_id = id",
    }
    company.deliver("people", "1.csv", b"id,name,shop\nanna,Anna Smith,web\n")
    del company.sources["people"]
    with sqlite3.connect(company.home.root / "shop.db") as shop:
        shop.execute("create table orders (order_id, customer_id, ordered_at, amount, currency, status, email)")
        shop.execute(
            "insert into orders values ('a', 'anna', '2024-03-01T12:00Z', 5, 'EUR', 'paid', 'anna@example.com')"
        )
    company.sources["shop"] = {"dataset": "orders", "type": "sqlite", "path": "shop.db", "table": "orders"}
    drop = {"orders": ["email"], "joined": ["email", "name"], "shop": ["email"]}
    previews: dict[str, Preview] = {}
    asked = settings(company, drop=drop, pseudonymise={name: ["customer_id", "id"] for name in drop})
    found = check_sources(company.home, asked, previews)
    assert "anna" not in str(found).lower() and "anna" not in str(previews).lower()
    assert {name: preview.rows[0]["customer_id"] for name, preview in previews.items()} == dict.fromkeys(
        drop, f"p{keyed_hash(KEY, 'anna')[:24]}"
    )
    assert [preview.unused for preview in previews.values()] == [[], [], []]


def test_a_preview_needs_the_key_as_a_run_does(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIVACY_KEY", raising=False)
    company.deliver("orders", "1.csv", with_email(f"{order('a')},anna@example.com"))
    [(_, ok, told)] = check_sources(company.home, settings(company, pseudonymise={"orders": ["customer_id"]}))
    assert not ok and "PRIVACY_KEY" in told and "anna" not in told
