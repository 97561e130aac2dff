"""Files with bytes changed at random: whatever a file is, it loads, or is refused with a reason, and others load.

A few hundred of each kind, 10,000 of each at length. A failure names seed and number of the file.
"""

from __future__ import annotations

import gzip
import json
import random
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from support.sizes import SEED as SEED_OF_RUN
from support.sizes import size

from retention_pipeline.ingest import ingest
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.warehouse import opened_raw

pytestmark = pytest.mark.proof
SEED = 12 + SEED_OF_RUN
FILES = size("RETENTION_MUTATED_FILES")
COLUMNS = ["order_id", "customer_id", "ordered_at", "amount", "currency", "status", "channel"]
FILES_OF_A_RUN = 250
PIECES = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b":",
    b"\\",
    b"'",
]
PIECES += [
    b"'",
    b"\\u0000",
    b'"x',
    b"NaN",
    b"1e400",
    b"-",
    b"9" * 40,
    b"\xe2\x82",
    b"\x1f",
    b"\x01",
    b"\t",
    b"null",
    b"{}",
]


def csv_file(chance: random.Random) -> bytes:
    end = chance.choice(["\n", "\n", "\r\n"])
    lines = [",".join(COLUMNS)]
    for number in range(chance.randrange(6)):
        channel = chance.choice(["", "web", '"shop, Ghent"', '"two\nlines"', '"the ""other"""', "café"])
        lines.append(f"o{number},c1,2024-05-0{number + 1}T10:00:00Z,10.5{number},EUR,paid,{channel}")
    return end.join([*lines, ""]).encode()


def json_file(chance: random.Random) -> bytes:
    rows = [
        {
            "order_id": f"o{number}",
            "customer_id": chance.choice([None, "c1", {"id": 1}, ["x"], "é"]),
            "ordered_at": "2024-05-05T10:00:00Z",
            "amount": chance.choice([1, 10.5, "10.50"]),
            "currency": "EUR",
            "status": "paid",
            chance.choice(["channel", "", "Channel", "a/b~c"]): "web",
        }
        for number in range(chance.randrange(1, 5))
    ]
    return b"\n".join(json.dumps(row).encode() for row in rows) + chance.choice([b"", b"\n"])


def parquet_files(folder: Path) -> list[bytes]:
    """A few files of other types and row groups, to be changed afterwards."""
    contents = []
    for number, amount in enumerate(["10.50", "10.5::double", "9e30::decimal(38,0)", "'10.50'", "7::hugeint", "[1]"]):
        path = folder / f"{number}.parquet"
        extra = ["1 as file_row_number", "map {'a': 1} as m", "'x' as channel", "null as channel"][number % 4]
        made = duckdb.sql(
            f"select 'o' || i as order_id, 'c' as customer_id, timestamptz '2024-05-05 10:00:00+00' as ordered_at,"
            f" {amount} as amount, 'EUR' as currency, 'paid' as status, {extra} from range(20) t(i)"
        )
        assert made is not None
        made.write_parquet(str(path))
        contents.append(path.read_bytes())
        path.unlink()
    return contents


def mutated(content: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(len(content) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            content = content[:at] + content[at + chance.choice([1, 1, 3, 20]) :]
        elif kind == 1:
            content = content[:at] + chance.choice(PIECES) + content[at:]
        elif kind == 2:
            content = content[:at] + chance.choice(PIECES) + content[at + 1 :]
        elif kind == 3:
            content = content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
        elif kind == 4:
            content = content[:at] + content[max(0, at - 30) :]
        elif chance.random() < 0.3:
            content = content[:at]
    return content


def run_with_mutated_files(kind: str, number_of_files: int, folder: Path) -> None:
    chance = random.Random(f"{SEED} {kind}")
    home = Home(folder)
    landing = folder / "landing"
    landing.mkdir()
    templates = parquet_files(folder) if kind == "parquet" else []
    settings = parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "sources": {
                "orders": {"type": "files", "path": "landing/*"},
                "fx_rates": {"type": "files", "path": "rates/*"},
            },
            "max_quarantine_rate": 1,
        }
    )
    (folder / "rates").mkdir()
    number = 0
    while number < number_of_files:
        for path in landing.iterdir():
            path.unlink()
        written = {}
        for _ in range(min(FILES_OF_A_RUN, number_of_files - number)):
            name = f"{number:05}.{kind}"
            if kind == "parquet":
                content = mutated(chance.choice(templates), chance)
            elif kind == "jsonl":
                content = mutated(json_file(chance), chance)
            else:
                content = mutated(csv_file(chance), chance)
            if kind == "csv.gz":
                content = gzip.compress(content, 1)
                content = mutated(content, chance) if chance.random() < 0.5 else content
            (landing / name).write_bytes(content)
            written[f"landing/{name}"] = content
            number += 1
        (folder / "rates" / f"{number}.csv").write_text(f"date,currency,rate_to_reporting\n2024-01-01,USD,{number}\n")
        result = ingest(home, settings, now=datetime(2024, 6, 1))
        outcomes = {load.file_name: load for load in result.loads}
        assert set(written) <= set(outcomes), f"seed {SEED}: {sorted(set(written) - set(outcomes))[:3]}"
        assert outcomes[f"rates/{number}.csv"].status == "loaded"
        for name, content in written.items():
            load = outcomes[name]
            assert load.status in ("loaded", "refused", "already_loaded"), (SEED, load, content[:300])
            assert load.status != "refused" or load.error, (SEED, load)
            assert load.good == load.new + load.changed + load.unchanged + load.stale, (SEED, load)
    with opened_raw(home) as connection:
        counted = connection.execute("select count(*) filter (where status = 'loaded') from raw.ledger").fetchone()
        in_quarantine = connection.execute(
            "select count(*) from raw.ledger where n_bad <> "
            "(select count(*) from raw.quarantine where quarantine.load_id = ledger.load_id) and status = 'loaded'"
        ).fetchone()
    assert counted is not None and counted[0] > number_of_files / 20
    assert in_quarantine == (0,)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_mutated_files_stop_nothing(kind: str, tmp_path: Path) -> None:
    run_with_mutated_files(kind, FILES, tmp_path)
