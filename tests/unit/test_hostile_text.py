"""Text from data never acts: not in a terminal, not in Markdown, not in a spreadsheet; and JSON stays JSON."""

import json
import math
from collections.abc import Iterator

import duckdb
import pytest
from rich.console import Console

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import as_json_text
from retention_pipeline.cli.printing import print_message
from retention_pipeline.orchestration.assets.previews import markdown_table
from retention_pipeline.publish.csv_files import guarded


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202egnp.exe\u2069", r"\u202egnp.exe\u2069"),
        ("\x9b31m", r"\x9b31m"),
        ("plain – ünïcode, 北京, 👩‍👧", "plain – ünïcode, 北京, 👩‍👧"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert formatting.cell(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (1234567.0, "1234567"),
        (1234567.5, "1.23457e+06"),
        (0.5, "0.5"),
    ],
)
def test_a_number_that_is_none_is_shown_as_such(value: float, shown: str) -> None:
    assert formatting.cell(value) == shown


def test_a_frame_stays_whole_around_what_is_written_out() -> None:
    console = Console(record=True, width=60)
    print_message(console, "told:\n\x1b[31mred", title="Query error")
    lines = console.export_text().splitlines()
    assert [len(line) for line in lines] == [60] * 4 and "\\x1b[31mred" in lines[2] and lines[2].endswith("│")


def test_a_path_or_command_in_a_message_can_be_copied() -> None:
    console = Console(record=True, width=60)
    command = f"retention doctor --home /{'very-long-name/' * 5}shop"
    print_message(console, f"raw.duckdb is damaged. To see what helps: {command}", title="Damaged file")
    lines = console.export_text().splitlines()
    assert lines[0].startswith("Damaged file ─") and lines[1].endswith(command) and set(lines[2]) == {"─"}


def test_lines_may_be_kept() -> None:
    assert formatting.visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_markdown_and_html_are_shown_not_followed() -> None:
    hostile = "<img src=x onerror=alert(1)> | [click](javascript:alert(1)) `code`"
    [_, _, row] = markdown_table(["name"], [[hostile]]).splitlines()
    assert "<img" not in row and "\\[click\\]" in row and "\\|" in row and "\\`code\\`" in row


def test_text_that_a_spreadsheet_would_run_is_guarded(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        '''
        create table rows as select * from (values
            ('=1+1', -5, 'fine'), ('+31 6', 3, '-x'), ('@SUM(A1)', 0, 'a=b'), (null, null, chr(9) || '=1')
        ) as given("a name", number, "the ""other""")
        '''
    )
    assert connection.execute(guarded(connection, "rows", is_guarded=True)).fetchall() == [
        ("'=1+1", -5, "fine"),
        ("'+31 6", 3, "'-x"),
        ("'@SUM(A1)", 0, "a=b"),
        (None, None, "'\t=1"),
    ]
    assert connection.execute(guarded(connection, "rows", is_guarded=False)).fetchone() == ("=1+1", -5, "fine")


def test_json_has_null_for_what_is_no_number() -> None:
    answer = as_json_text({"a": math.nan, "b": [math.inf, 1.5], "c": "x"})
    assert json.loads(answer, parse_constant=lambda name: pytest.fail(name)) == {"a": None, "b": [None, 1.5], "c": "x"}
