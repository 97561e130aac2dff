"""How the report's charts look: Vega-Lite specifications as data. The page fills in the rows; `retention report
--charts` draws the same specifications without a browser.

Rows of `lines`: start (YYYY-MM-DD), series, value, low, high, complete. Of `waterfall`: label, order, base, top, kind,
text. Of `bars`: start, series, value. Of `survival`: t, survival, low, high, series. Of `histogram`: x, value.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.report.views import CUSTOMER_BRIDGE, MRR_BRIDGE, VIEWS
from retention_pipeline.report.words import kpi_label
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import has_table

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
SERIES = ["#2563a8", "#c2571a", "#2e7d4f", "#7a4fa3", "#8a6d00", "#a8325a"]
KINDS = {"total": "#5b6b7b", "gain": "#2e7d4f", "loss": "#b3372f"}
# Days are those of the data, not of the zone in which somebody looks at them.
TIME = {"field": "start", "type": "temporal", "title": None, "scale": {"type": "utc"},
        "axis": {"grid": False, "labelOverlap": True}}  # fmt: skip
FEW_STARTS = 14  # so many periods are named on the axis each; of more, Vega chooses some days


def _base(**parts: Any) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": 220,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "data": {"name": "rows", "values": []},
        **parts,
    }


def _axis(number_format: str) -> dict[str, Any]:
    """An axis of numbers. Where it shows whole ones each stands on it once: Vega's least step is not kept for few."""
    whole = {"tickMinStep": 1, "labelExpr": "datum.value === floor(datum.value) ? datum.label : ''"}
    return {"format": number_format} | (whole if number_format.endswith(".0f") else {})


def _color(title: str | None = None) -> dict[str, Any]:
    """A colour per series, in the order of the rows, so that it is the same in every language."""
    legend = {
        "orient": "top",
        "title": title,
        "labelLimit": 260,
        "symbolType": "stroke",
        "symbolOpacity": 1,
        "columns": 2,
    }
    return {"field": "series", "type": "nominal", "sort": None, "scale": {"range": SERIES}, "legend": legend}


def lines(number_format: str, *, with_interval: bool) -> dict[str, Any]:
    """Lines over time, with their interval as a band; points of periods that are not complete are hollow."""
    value = {"field": "value", "type": "quantitative", "title": None, "axis": _axis(number_format)}
    tooltip = [
        {"field": "period", "title": "·"},
        {"field": "series", "title": " "},
        {"field": "text", "title": "  "},
    ]
    band = {
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": {"type": "area", "opacity": 0.15, "tooltip": False},
        "encoding": {
            "x": TIME,
            "y": {"field": "low", "type": "quantitative", "title": None, "scale": {"zero": False}},
            "y2": {"field": "high"},
            "color": _color(),
        },
    }
    return _base(
        layer=[
            *([band] if with_interval else []),
            {
                "mark": {"type": "line", "strokeWidth": 2, "tooltip": False},
                "encoding": {"x": TIME, "y": value | {"scale": {"zero": False}}, "color": _color()},
            },
            {
                "mark": {"type": "point", "size": 34, "strokeWidth": 1.5},
                "encoding": {
                    "x": TIME,
                    "y": value,
                    "color": _color(),
                    "fill": {
                        "condition": {"test": "datum.complete", "field": "series", "type": "nominal",
                                      "sort": None, "scale": {"range": SERIES}, "legend": None},
                        "value": "transparent",
                    },
                    "tooltip": tooltip,
                },
            },
        ]
    )  # fmt: skip


def waterfall(number_format: str) -> dict[str, Any]:
    """What a balance was made of: start, gains, losses, end. The axis begins near the smallest bar's foot."""
    x = {"field": "label", "type": "nominal", "sort": {"field": "order"}, "title": None,
         "axis": {"labelAngle": 0, "labelLimit": 90, "labelExpr": "split(datum.label, ' ')"}}  # fmt: skip
    y = {"field": "base", "type": "quantitative", "title": None, "axis": _axis(number_format),
         "scale": {"zero": False}}  # fmt: skip
    return _base(
        layer=[
            {
                "mark": {"type": "bar", "cornerRadius": 1},
                "encoding": {
                    "x": x,
                    "y": y,
                    "y2": {"field": "top"},
                    "color": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": list(KINDS), "range": list(KINDS.values())},
                        "legend": None,
                    },
                    "tooltip": [{"field": "label", "title": "·"}, {"field": "text", "title": " "}],
                },
            },
            {
                "mark": {"type": "text", "dy": -7, "fontSize": 11},
                "encoding": {"x": x, "y": y | {"field": "above"}, "text": {"field": "text"}},
            },
        ]
    )


def bars(number_format: str) -> dict[str, Any]:
    """Movements over time, gains above zero and losses below."""
    return _base(
        mark={"type": "bar"},
        encoding={
            "x": TIME | {"timeUnit": None},
            "y": {"field": "value", "type": "quantitative", "title": None, "axis": _axis(number_format)},
            "color": _color() | {"legend": {"orient": "top", "title": None, "labelLimit": 260}},
            "tooltip": [
                {"field": "period", "title": "·"},
                {"field": "series", "title": " "},
                {"field": "text", "title": "  "},
            ],
        },
    )


def survival() -> dict[str, Any]:
    """Kaplan–Meier curves as steps with their interval."""
    x = {"field": "t", "type": "quantitative", "title": None}
    y = {"field": "survival", "type": "quantitative", "title": None, "axis": {"format": ".0%"},
         "scale": {"domain": [0, 1]}}  # fmt: skip
    return _base(
        layer=[
            {
                "mark": {"type": "area", "interpolate": "step-after", "opacity": 0.15, "tooltip": False},
                "encoding": {
                    "x": x,
                    "y": {"field": "low", "type": "quantitative", "title": None},
                    "y2": {"field": "high"},
                    "color": _color(),
                },
            },
            {
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
                "encoding": {"x": x, "y": y, "color": _color()},
            },
        ]
    )


def histogram() -> dict[str, Any]:
    """How many customers were active on how many days."""
    return _base(
        mark={"type": "bar", "color": SERIES[0]},
        encoding={
            "x": {"field": "x", "type": "ordinal", "title": None, "axis": {"labelAngle": 0, "labelOverlap": True}},
            "y": {"field": "value", "type": "quantitative", "title": None, "axis": _axis(",.0f")},
            "tooltip": [{"field": "x", "title": "·"}, {"field": "value", "title": " "}],
        },
    )


NUMBER_FORMATS = {"percent": ".1~%", "money": ",.2~f", "count": ",.0f", "points": ",.1~f"}


def number_format(shown_as: str) -> str:
    """D3's format of an axis for how a KPI is shown."""
    return NUMBER_FORMATS.get(shown_as, ",.2~f")


def specifications() -> dict[str, Any]:
    """All specifications that the page may need, by kind and, where it matters, by how figures are shown."""
    formats = ("percent", "money", "count", "points", "decimals")
    return {
        "lines": {one: lines(number_format(one), with_interval=False) for one in formats},
        "lines_with_interval": {one: lines(number_format(one), with_interval=True) for one in formats},
        "waterfall": {one: waterfall(number_format(one)) for one in ("money", "count")},
        "bars": {one: bars(number_format(one)) for one in ("money", "count")},
        "survival": survival(),
        "histogram": histogram(),
    }


def with_few_starts(spec: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The specification with a mark on the axis of time for each period, where they are few; the page does it, too."""
    starts = sorted({row["start"] for row in rows if "start" in row})
    if not 0 < len(starts) <= FEW_STARTS:
        return spec
    days = [int(datetime.fromisoformat(f"{start}T00:00:00Z").timestamp() * 1000) for start in starts]

    def marked(part: dict[str, Any]) -> dict[str, Any]:
        if "layer" in part:
            return part | {"layer": [marked(one) for one in part["layer"]]}
        time = part["encoding"]["x"]
        return part | {
            "encoding": part["encoding"] | {"x": time | {"axis": time["axis"] | {"values": {"expr": str(days)}}}}
        }

    return marked(spec)


def write_charts(connection: duckdb.DuckDBPyConnection, settings: Settings, folder: Path, form: str) -> list[Path]:
    """Draw the lines of every view by month, for everyone, as `png` or `svg` files; a chart without values is left
    out. Survival curves too, where they are published.
    """
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, spec, rows in _drawings(connection, settings.report.language):
        whole = with_few_starts(spec, rows) | {
            "width": 640,
            "height": 320,
            "background": "white",
            "data": {"name": "rows", "values": rows},
        }
        path = folder / f"{name}.{form}"
        if form == "svg":
            path.write_text(vl_convert.vegalite_to_svg(whole), encoding="utf-8")
        else:
            path.write_bytes(vl_convert.vegalite_to_png(whole, scale=2))
        made.append(path)
    return made


def _drawings(connection: duckdb.DuckDBPyConnection, language: str) -> list[tuple[str, dict[str, Any], list[Any]]]:
    found: list[tuple[str, dict[str, Any], list[Any]]] = []
    groups = [(view.id, kpis) for view in VIEWS for kpis in view.kpis if kpis not in (CUSTOMER_BRIDGE, MRR_BRIDGE)]
    for view, kpis in groups:
        rows = connection.execute(
            """
            select
                figures.kpi, definitions.label, definitions.format, period_start, figures.value, ci_low, ci_high,
                is_complete
            from retention_kpis as figures inner join kpi_definitions as definitions on figures.kpi = definitions.kpi
            where figures.kpi in (select unnest(?)) and grain = 'month' and segment_dimension = 'all'
                and figures.value is not null and basis = coalesce(
                    (select max(basis) from retention_kpis as others
                        where others.kpi = figures.kpi and others.basis in ('any', 'all')),
                    (select min(basis) from retention_kpis as others where others.kpi = figures.kpi))
            order by list_position(?, figures.kpi), period_start
            """,
            [list(kpis), list(kpis)],
        ).fetchall()
        if not rows:
            continue
        values = [
            {
                "start": start.isoformat(),
                "series": kpi_label(kpi, label, language),
                "value": value,
                "complete": complete,
            }
            | ({} if low is None else {"low": low, "high": high})
            for kpi, label, _, start, value, low, high, complete in rows
        ]
        spec = lines(number_format(rows[0][2]), with_interval=any("low" in one for one in values))
        found.append((f"{view}_{kpis[0]}", spec, values))
    if has_table(connection, "survival_curves"):
        curves = connection.execute(
            "select t, survival, ci_low, ci_high, basis from survival_curves"
            " where segment_dimension = 'all' order by all"
        ).fetchall()
        values = [
            {"t": t, "survival": share, "low": low, "high": high, "series": basis}
            for t, share, low, high, basis in curves
        ]
        if values:
            found.append(("survival", survival(), values))
    return found
