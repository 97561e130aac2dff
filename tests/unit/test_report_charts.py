"""Charts of small companies: each period and each whole number stands on its axis once, in whatever zone one looks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import vl_convert

from retention_pipeline.report.charts import (
    FEW_STARTS,
    bars,
    lines,
    number_format,
    specifications,
    waterfall,
    with_few_starts,
)

MONTHS = [f"2024-{month:02}-01" for month in range(1, 7)]


def texts(spec: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """All texts of a drawn chart."""
    drawn = vl_convert.vegalite_to_svg(
        with_few_starts(spec, rows) | {"width": 640, "data": {"name": "rows", "values": rows}}
    )
    return re.findall(">([^<>]+)</text>", drawn)


def test_time_is_that_of_the_data() -> None:
    assert json.dumps(specifications()).count('"temporal"') == json.dumps(specifications()).count('{"type": "utc"}')


@pytest.mark.parametrize("spec", [lines(",.0f", with_interval=False), bars(",.0f")])
def test_few_periods_are_named_each(spec: dict[str, Any]) -> None:
    rows = [{"start": start, "series": "lost", "value": 2, "complete": True} for start in MONTHS]
    assert [text for text in texts(spec, rows) if text[0].isupper() or text == "2024"] == [
        "2024",
        "February",
        "March",
        "April",
        "May",
        "June",
    ]


def test_of_many_periods_some_are_named() -> None:
    rows = [{"start": f"{2000 + year}-01-01", "series": "lost", "value": 2} for year in range(FEW_STARTS + 1)]
    assert with_few_starts(bars(",.0f"), rows) == bars(",.0f")


@pytest.mark.parametrize(("base", "top", "said"), [(1.75, 3, ["2", "3"]), (0, 1, ["0", "1"]), (0, 2, ["0", "1", "2"])])
def test_whole_numbers_stand_on_an_axis_once(base: float, top: float, said: list[str]) -> None:
    bar = {"label": "Came back", "order": 0, "base": base, "top": top, "above": top, "kind": "total", "text": "·"}
    assert [text for text in texts(waterfall(",.0f"), [bar]) if text.isdigit()] == said


def test_small_amounts_have_an_axis_too() -> None:
    rows = [{"start": start, "series": "a", "value": value} for start, value in zip(MONTHS, (9.42, 9.58), strict=False)]
    axis = [text for text in texts(lines(number_format("money"), with_interval=False), rows) if text.startswith("9.")]
    assert len(axis) > 2 and len(set(axis)) == len(axis)


@pytest.mark.parametrize("names", [("New", "Lost"), ("Nieuw", "Verloren"), ("Verloren", "Nieuw")])
def test_colours_follow_the_order_of_series_and_not_their_names(names: tuple[str, str]) -> None:
    rows = [{"start": start, "series": name, "value": 1} for name in names for start in MONTHS]
    drawn = vl_convert.vegalite_to_svg(bars(",.0f") | {"data": {"name": "rows", "values": rows}})
    legend = re.findall(">([^<>]+)</text>", drawn)
    assert [text for text in legend if text in names] == list(names)
