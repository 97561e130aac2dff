"""100,000 rows with mutations from a printed seed: counts balance, no good row is lost, no bad one gets through.

Which rows are good is decided here by a few lines of Python that share nothing with the loader.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from support.sizes import SEED as SEED_OF_RUN

from retention_pipeline.ingest import ingest
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened_raw

SEED = 7 + SEED_OF_RUN

pytestmark = pytest.mark.proof
ROWS, ROWS_OF_A_FILE = 100_000, 5_000
COLUMNS = ["order_id", "customer_id", "ordered_at", "amount", "currency", "status", "channel"]
BYTES = [
    b'"',
    b",",
    b";",
    b"x",
    b"\0",
    b"\xff",
    b" ",
    b"\t",
    b"-",
    b"+",
    b".",
    b":",
    b"0",
    b"Z",
    b"'",
    b"{",
    b"}",
    b"\\",
]
NULL_WORDS = ("null", "none", "nan", "\\n", "-", "n/a", "#n/a", "undefined")
STATUSES = {"paid", "pending", "cancelled", "refunded"}

Row = tuple[Any, ...]


def mutated(line: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(line) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            line = line[:at] + line[at + 1 :]
        elif kind == 1:
            line = line[:at] + chance.choice(BYTES) + line[at:]
        elif kind == 2:
            line = line[:at] + chance.choice(BYTES) + line[at + 1 :]
        else:
            line = line[: max(at, 1)]
    return line


def quotes(text: bytes) -> Literal["closed", "open", "wrong"]:
    """Whether a quoted value is open at the end, or a quote stands where none may stand."""
    place = "begin"
    for sign in text:
        if place == "inside":
            place = "quote" if sign == ord('"') else "inside"
        elif sign == ord(","):
            place = "begin"
        elif sign != ord('"'):
            if place == "quote":
                return "wrong"
            place = "plain"
        elif place == "plain":
            return "wrong"
        else:
            place = "inside"
    return "open" if place == "inside" else "closed"


def records_of_csv(lines: list[bytes]) -> dict[int, bytes]:
    """Records by the number of their first line: a value that later lines close goes over lines, if that makes a record
    and none of these lines is one by itself.
    """
    records, at = {}, 0
    while at < len(lines):
        record, end = lines[at], at + 1
        while quotes(record) == "open" and end < len(lines) and values_of_csv(lines[end]) is None:
            record, end = record + b"\n" + lines[end], end + 1
        if values_of_csv(record) is None:
            record, end = lines[at], at + 1
        if record:
            records[at + 1] = record
        at = end
    return records


def values_of_csv(line: bytes) -> list[str | None] | None:
    try:
        text = line.decode()
        is_one = "\0" not in text and quotes(line) == "closed"
        values = next(csv.reader(io.StringIO(text, newline=""), strict=True)) if is_one else []
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return None
    if len(values) == len(COLUMNS) + 1 and values[-1] == "":
        values.pop()
    return list(values) if len(values) == len(COLUMNS) else None


def values_of_json(line: bytes) -> list[str | None] | None:
    try:
        found = json.loads(line.decode(), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except ValueError:
        return None
    if not isinstance(found, dict) or b"\0" in line:
        return None
    return [value if value is None or isinstance(value, str) else "?" for value in map(found.get, COLUMNS)]


def cleaned(text: str | None) -> str | None:
    """An id without what a spreadsheet puts around it, or None for a word for nothing."""
    text = re.sub(r"^(?:=\"([^\"]*)\"|'(.*))$", r"\1\2", text or "").strip(" ")
    text = re.sub(r"^([0-9]+)[.]0+$", r"\1", text)
    return None if text.lower() in ("", *NULL_WORDS) else text


def typed(values: list[str | None] | None) -> Row | None:
    """The row as it must be loaded, or None if it must be refused."""
    if values is None:
        return None
    order_id, customer_id, ordered_at, amount, currency, status, channel = [
        value.strip(" ") or None if value else None for value in values
    ]
    order_id, customer_id = cleaned(order_id), cleaned(customer_id)
    if order_id is None or not all((ordered_at, amount, currency, status)):
        return None
    if order_id.startswith(("{", "[")) or (customer_id or "").startswith(("{", "[")):
        return None  # an object
    moment = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?)"
        r"(?:Z| ?UTC| ?([+-])(0\d|1[0-4])(?::?([0-5]\d))?))?",
        ordered_at or "",
        re.ASCII,
    )
    money = re.fullmatch(r"[+-]?(\d{1,16}(\.\d{0,2}0*)?|\.\d{1,2}0*)", amount or "", re.ASCII)
    if not moment or not money or (status or "").lower() not in STATUSES:
        return None
    if not re.fullmatch(r"[A-Z]{3}", (currency or "").upper()):
        return None
    try:
        day = datetime.fromisoformat(moment[1])
        clock = moment[2] or "00:00"
        instant = day + timedelta(
            hours=int(clock[:2]), minutes=int(clock[3:5]), microseconds=round(float(clock[6:] or 0) * 1e6)
        )
        if moment[3]:
            offset = timedelta(hours=int(moment[4]), minutes=int(moment[5] or 0))
            instant -= offset if moment[3] == "+" else -offset
    except (ValueError, OverflowError):
        return None
    if not 1900 <= instant.year <= 2200:
        return None
    return (order_id, customer_id, instant, moment[2] is None, Decimal(amount or ""), (currency or "").upper(),
            (status or "").lower(), channel)  # fmt: skip


def original(number: int, chance: random.Random) -> dict[str, str]:
    moment = f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    clock = chance.choice(["", "T10:20:30Z", "T23:59:59+02:00", " 01:02:03 -0500", "T10:20:30.25Z"])
    return {
        "order_id": f"{number:06}-{chance.getrandbits(48):012x}",
        "customer_id": chance.choice(["", "anna", "bert"]),
        "ordered_at": moment + clock,
        "amount": chance.choice(["10", "10.5", "-3.25", "0.00", "1234567.89"]),
        "currency": chance.choice(["EUR", "usd"]),
        "status": chance.choice(["paid", "Pending", "cancelled"]),
        "channel": chance.choice(["", "web", "shop, Ghent", 'the "other"', "café"]),
    }


def csv_line(row: dict[str, str]) -> bytes:
    quoted = ['"' + value.replace('"', '""') + '"' if set(value) & set(',"') else value for value in row.values()]
    return ",".join(quoted).encode()


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_mutated_rows(file_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(f"{SEED} {file_format}")
    sources = {"orders": {"type": "files", "path": "landing/*"}}
    business = {"timezone": "UTC", "reporting_currency": "EUR"}
    (tmp_path / "settings.yaml").write_text(
        yaml.safe_dump({"business": business, "sources": sources, "max_quarantine_rate": 1.0})
    )
    (tmp_path / "landing").mkdir()
    read = values_of_csv if file_format == "csv" else values_of_json
    expected: dict[str, dict[int, Row | None]] = {}
    lines: dict[tuple[str, int], bytes] = {}
    for file in range(ROWS // ROWS_OF_A_FILE):
        name = f"landing/{file:03}.{file_format}"
        share = chance.choice([0.0, 0.001, 0.05, 0.5])
        written = [",".join(COLUMNS).encode()] if file_format == "csv" else []
        expected[name] = {}
        for number in range(ROWS_OF_A_FILE):
            row = original(file * ROWS_OF_A_FILE + number, chance)
            line = (
                csv_line(row) if file_format == "csv" else json.dumps(row, ensure_ascii=chance.random() < 0.5).encode()
            )
            if chance.random() < share:
                line = mutated(line, chance)
            written.append(line)
        records = records_of_csv(written) if file_format == "csv" else dict(enumerate(written, start=1))
        for place, record in records.items():
            if record and (place > 1 or file_format == "jsonl"):
                expected[name][place] = typed(read(record))
                lines[name, place] = record
        (tmp_path / name).write_bytes(b"\n".join(written))
    home = Home(tmp_path)
    result = ingest(home, load_settings(home), now=datetime(2024, 5, 1))
    columns = "order_id, customer_id, ordered_at, ordered_at_is_date, amount, currency, status, channel"
    current_and_former = f"select {columns} from raw.orders union all select {columns} from raw.orders_history"
    with opened_raw(home) as connection:
        in_quarantine = connection.execute("select file_name, line, raw, reason from raw.quarantine").fetchall()
        loaded = set(connection.execute(current_and_former).fetchall())
    refused = {(name, line): (raw, reason) for name, line, raw, reason in in_quarantine}
    with capsys.disabled():
        print(f"\n{file_format}: {len(lines)} rows, {len(refused)} refused, seed {SEED}")
    for load in result.loads:
        assert load.status == "loaded", load
        assert load.good + load.bad == len(expected[load.file_name]), load
        assert load.good == load.new + load.changed + load.unchanged + load.stale, load
    wrong = [
        (name, number, lines[name, number], row, refused.get((name, number)))
        for name, rows in expected.items()
        for number, row in rows.items()
        if (row is None) != ((name, number) in refused) or (row is not None and row not in loaded)
    ]
    assert wrong == [], f"{len(wrong)} rows, the first: {wrong[0]}"
    assert all(raw == lines[place] for place, (raw, _) in refused.items())
    assert 1000 < len(refused) < ROWS / 2
