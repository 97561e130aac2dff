"""Texts made to act, through every way in which data leave: a few hundred always, ten thousand in the random tests."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator

import duckdb
import pytest
from rich.console import Console
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import as_json_text
from retention_pipeline.orchestration.assets.previews import markdown_table
from retention_pipeline.publish.csv_files import guarded

PIECES = [
    *(chr(code) for code in (*range(32), *range(127, 160), 0x200E, 0x202A, 0x202E, 0x2028, 0x2066, 0x2069, 0xFEFF)),
    *("=", "+", "-", "@", "'", '"', ",", ";", "|", "\\", "`", "[", "]", "(", ")", "<", ">", "&", "#", "*", "_", "~"),
    *("\x1b[2J", "\x1b]0;x\x07", "\x1b]8;;http://x\x1b\\", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>"),
    *("[x](javascript:alert(1))", "![x](http://x)", "=cmd|'/c calc'!A1", "@SUM(1)", "\t=1", "\r\n=1", "[red]x[/red]"),
    *("{{ x }}", "${x}", "NaN", "Infinity", "null", "</script>", "-->", "a", "7", "é", "北", "😀"),
]
ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
CELL = re.compile(r"(?<!\\)(?:\\\\)*[`\[\]]|<")


def hostile(number: int) -> list[str]:
    dice = random.Random(18)
    return ["".join(dice.choices(PIECES, k=dice.randint(1, 6))) for _ in range(number)]


@pytest.fixture(scope="module", params=[300, pytest.param(10_000, marks=pytest.mark.proof)])
def texts(request: pytest.FixtureRequest) -> list[str]:
    return hostile(request.param)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def test_nothing_acts_in_a_terminal(texts: list[str]) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=False, width=10_000)
    for text in texts:
        console.print(Text(formatting.cell(text)), soft_wrap=True)
    assert not ACTS.search(written.getvalue().replace("\n", ""))
    assert written.getvalue().count("\n") == len(texts)


def test_nothing_is_markdown_or_html_in_dagsters_metadata(texts: list[str]) -> None:
    lines = markdown_table(["text", "next"], [[text, 1] for text in texts]).split("\n")[2:]
    assert len(lines) == len(texts)
    for line in lines:
        assert not CELL.search(line) and not ACTS.search(line)
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3, line


def test_json_is_valid_and_has_the_text(texts: list[str]) -> None:
    told = as_json_text([{"text": text, "number": number} for text, number in zip(texts, _numbers(), strict=False)])
    found = json.loads(told, parse_constant=lambda name: pytest.fail(f"{name} is not a JSON"))
    assert [one["text"] for one in found] == texts
    assert {one["number"] for one in found} <= {None, 1.5}


def _numbers() -> Iterator[float]:
    while True:
        yield from (1.5, float("nan"), float("inf"), float("-inf"))


def test_no_spreadsheet_runs_a_text(texts: list[str], connection: duckdb.DuckDBPyConnection, tmp_path: object) -> None:
    import pyarrow as pa

    rows = pa.table({"number": range(len(texts)), "text": [one.replace("\0", "") for one in texts]})
    connection.register("given", rows)
    file = f"{tmp_path}/rows.csv"
    connection.execute(
        f"copy ({guarded(connection, 'given', is_guarded=True)} order by number) to '{file}' (format csv, header)"
    )
    with open(file, encoding="utf-8", newline="") as stream:
        found = [row[1] for row in csv.reader(stream)][1:]
    assert len(found) == len(texts)
    for text, come in zip(texts, found, strict=True):
        assert not re.match(r"[=+\-@\t\r]", come), text
        assert come.removeprefix("'") == text.replace("\0", "").removeprefix("'") or come == text.replace("\0", "")
