"""JSON of an answer with a long list, an element per line."""

import json
from decimal import Decimal
from typing import Any

import pytest

from retention_pipeline.cli.json_output import print_json, print_json_with_lines

HOSTILE = ['\n "members": []', "\x1b[31m\u2028\u202e\x00", '"', "\\", "é"]
ANSWER: dict[str, Any] = {
    "kpi": HOSTILE,
    "members": [
        {"customer_id": one, "parts": {"value": number}, "facts": HOSTILE} for number, one in enumerate(HOSTILE)
    ],
    "notes": [HOSTILE[0]],
}


def test_it_says_what_indented_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(ANSWER)
    indented = capsys.readouterr().out
    print_json_with_lines(ANSWER, "members", map(json.dumps, ANSWER["members"]))
    in_lines = capsys.readouterr().out
    assert json.loads(in_lines) == json.loads(indented) == ANSWER
    assert "\x1b" not in in_lines and "\u2028" not in in_lines and "\u202e" not in in_lines
    lines = in_lines.splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines if line.startswith("  {")] == ANSWER["members"]
    assert len(lines) < len(indented.splitlines())


def test_what_json_does_not_know_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_with_lines({"value": float("nan"), "sum": Decimal("1.50")}, "members", ['{"value": 1}'])
    assert json.loads(capsys.readouterr().out) == {"value": None, "sum": "1.50", "members": [{"value": 1}]}
