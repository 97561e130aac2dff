"""A file that is one JSON array is read as one line per element."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import pytest
from support.delivering import Company

from retention_pipeline.ingest import json_arrays, landing
from retention_pipeline.ingest.archive import UnusableFileError
from retention_pipeline.ingest.json_arrays import begins_array, elements
from retention_pipeline.ingest.landing import delivered_files
from retention_pipeline.ingest.preview import preview_file
from retention_pipeline.settings import FileSource, parse_settings

ORDERS: list[dict[str, Any]] = [
    {"order_id": "a", "customer_id": "ann", "ordered_at": "2024-01-31", "amount": "0.10", "currency": "EUR"},
    {"order_id": "b", "customer_id": "bob", "ordered_at": "2024-02-01", "amount": "x", "currency": "EUR"},
    {"order_id": "c", "customer_id": "a [b], {c}\n", "ordered_at": "2024-02-02", "amount": "3.00", "currency": "EUR"},
]
FORMS = {
    "on one line": json.dumps(ORDERS),
    "a line each": "[\n" + ",\n".join(json.dumps(one) for one in ORDERS) + "\n]\n",
    "over many lines": "\ufeff \r\n" + json.dumps(ORDERS, indent=2).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_elements_of_an_array_are_its_rows(company: Company, form: str) -> None:
    company.source("orders", columns={"status": {"constant": "paid"}})
    load = company.load("orders", FORMS[form].encode(), "1.json")
    assert (load.good, load.bad) == (2, 1)
    assert company.query("select order_id, cast(amount as double) from raw.orders order by 1") == [("a", 0.1), ("c", 3)]
    [(element, reason)] = company.reasons()
    assert element == 2 and reason.startswith("amount: 'x' is not a number")


def test_a_packed_array_and_one_with_lines_behind_it_lose_nothing(company: Company) -> None:
    company.source("orders", columns={"status": {"constant": "paid"}})
    text = "[]\n" + "\n".join(json.dumps(one) for one in ORDERS)
    load = company.load("orders", gzip.compress(text.encode()), "1.json.gz")
    assert (load.good, load.bad) == (2, 1)


@pytest.mark.parametrize("cut", ["end", "middle"])
def test_a_broken_array_is_refused_as_a_whole(company: Company, cut: str) -> None:
    company.source("orders", columns={"status": {"constant": "paid"}})
    text = json.dumps(ORDERS)
    load = company.load("orders", (text[:-3] if cut == "end" else text.replace('"b"', '"b', 1)).encode(), "1.json")
    number = 3 if cut == "end" else 2
    assert load.status == "refused"
    assert load.error is not None and load.error.startswith(f"the JSON array is broken at its element {number}: ")


def test_check_shows_what_its_rows_would_be(company: Company) -> None:
    company.source("orders", columns={"status": {"constant": "paid"}})
    folder = company.home.root / "landing" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1.json").write_text(FORMS["over many lines"])
    settings = parse_settings({"business": company.business, "sources": company.sources})
    source = settings.sources["orders"]
    assert isinstance(source, FileSource)
    [file] = delivered_files(company.home, source, with_waiting=True)
    preview = preview_file(settings, "orders", file, company.home)
    assert (preview.error, preview.good, preview.bad) == (None, 2, 1)


def test_an_array_is_whole_with_its_bracket(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no end of its last line, as text does that may still be being written."""
    monkeypatch.setattr(landing, "OPEN_LINE_SECONDS", 60.0)
    company.source("orders", columns={"status": {"constant": "paid"}})
    company.deliver("orders", "2.json", FORMS["on one line"][:-1].encode())
    assert company.load("orders", FORMS["on one line"].encode(), "1.json").good == 2
    assert [load.file_name for load in company.run().loads] == ["landing/orders/1.json"]


def test_elements_are_found_wherever_the_reading_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(20261129)
    values = [1, -20.5, "a", '\\"]', None, True, {"a": [1, {"b": "]"}]}, [], {}, {"n": 1e30, "t": "é\u2028,"}]
    for size in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(json_arrays, "CHUNK", size)
        for _ in range(50):
            drawn = [chance.choice(values) for _ in range(chance.randrange(8))]
            text = json.dumps(drawn, indent=chance.choice([None, 1]), ensure_ascii=chance.random() < 0.5)
            found = list(elements(io.StringIO(text)))
            assert [json.loads(one) for one in found] == drawn
            assert not any("\n" in one for one in found)


@pytest.mark.parametrize("text", ["", "[", "[1", "[1,", '[{"a": 1}', "[1 2]", "[}]"])
def test_what_is_not_an_array_is_said(text: str) -> None:
    with pytest.raises(UnusableFileError, match="the JSON array is broken at its element"):
        list(elements(io.StringIO(text)))


def test_lines_are_not_an_array() -> None:
    assert begins_array(b"\xef\xbb\xbf \n[") and begins_array("[{")
    assert not begins_array('{"a": [') and not begins_array("")
