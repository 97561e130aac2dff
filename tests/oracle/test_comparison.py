"""The comparison finds what is missing, what is more and what differs, and nothing else."""

from __future__ import annotations

from typing import Any

from oracle.comparison import differences

EXPECTED: dict[tuple[Any, ...], dict[str, Any]] = {
    ("orders", "month"): {"value": 3.0, "null_reason": None},
    ("arpc", "month"): {"value": None},
}


def test_equal_cells_differ_in_nothing() -> None:
    assert differences(EXPECTED, dict(EXPECTED)) == ""
    assert differences(EXPECTED, EXPECTED | {("orders", "month"): {"value": 3.0 + 1e-12, "null_reason": None}}) == ""


def test_a_missing_cell_is_named() -> None:
    assert "missing month" in differences(EXPECTED, {("arpc", "month"): {"value": None}})


def test_a_cell_too_many_is_named() -> None:
    assert "more    week" in differences(EXPECTED, EXPECTED | {("orders", "week"): {"value": 1.0}})


def test_a_value_a_null_and_a_reason_that_differ_are_named() -> None:
    assert "value 3.1, expected 3.0" in differences(EXPECTED, EXPECTED | {("orders", "month"): {"value": 3.1}})
    assert "value 0.0, expected None" in differences(EXPECTED, EXPECTED | {("arpc", "month"): {"value": 0.0}})
    reason = {"value": 3.0, "null_reason": "immature"}
    assert "null_reason 'immature'" in differences(EXPECTED, EXPECTED | {("orders", "month"): reason})


def test_a_column_too_many_is_named_also_where_it_is_null() -> None:
    more = {"value": None, "n": None}
    assert "n is not expected" in differences(EXPECTED, EXPECTED | {("arpc", "month"): more})
