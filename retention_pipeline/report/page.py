"""Putting the report's file together and in its place."""

from __future__ import annotations

import html
import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import duckdb

from retention_pipeline.report import charts, payload
from retention_pipeline.report.library import chart_library
from retention_pipeline.report.views import NEGATIVE, VIEWS
from retention_pipeline.report.words import kpi_label, words
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import opened

LOCALES: dict[str, Literal["en-GB", "nl-NL"]] = {"en": "en-GB", "nl": "nl-NL"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


class NothingToReport(Exception):
    """Nothing is published yet."""


def report_file(home: Home) -> Path:
    """Where the report is."""
    return home.root / "report" / "index.html"


def write_report(home: Home, settings: Settings) -> Path:
    """Make the report of the published generation and put it in place, replacing the former one atomically.

    Raises NothingToReport, and OSError where the folder cannot be written.
    """
    if not home.current.exists():
        raise NothingToReport("nothing is published yet; make a first run with: retention run")
    path = report_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened(home.current, read_only=True) as connection:
        text = render(connection, settings, title=settings.report.title or home.root.resolve().name)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def render(connection: duckdb.DuckDBPyConnection, settings: Settings, *, title: str) -> str:
    """The page as text; the same generation and settings give the same bytes."""
    import vl_convert

    language = settings.report.language
    data = page_data(connection, settings, title)
    locale = LOCALES[language]
    data["formats"] = {
        "number": vl_convert.get_format_locale(locale),
        "time": vl_convert.get_time_format_locale(locale),
    }
    # Rows repeat themselves: compressed they take a tenth of the room.
    small = {"cohorts": data.pop("cohorts"), "tables": data.pop("tables"), "series": data["figures"].pop("series")}
    data["packed"] = payload.packed_text(_json(small))
    parts = {
        "language": language,
        "policy": POLICY,
        "title": html.escape(title),
        "style": _static("report.css"),
        "data": _json(data),
        "library": chart_library(),
        "script": _static("report.js"),
    }
    # One pass over the template: what is put in is never looked at again, whatever it holds.
    return re.sub(r"\[\[(\w+)\]\]", lambda found: parts[found[1]], _static("page.html"))


def page_data(connection: duckdb.DuckDBPyConnection, settings: Settings, title: str) -> dict[str, Any]:
    """Everything that the page shows."""
    language, min_n = settings.report.language, settings.business.min_n
    payload.mark_small_groups(connection, min_n)
    small = payload.small_tables(connection, min_n)
    small["customers_at_risk"] = payload.customers_at_risk(connection) if settings.privacy.report_customers else []
    for row in small["definitions"]:
        row["label"] = kpi_label(row["kpi"], row["label"], language)
    state = payload.table(connection, "from pipeline_state", "pipeline_state")[0]
    return {
        "meta": {
            "title": title,
            "language": language,
            "locale": LOCALES[language],
            "timezone": settings.business.timezone,
            "currency": settings.business.reporting_currency,
            "min_n": min_n,
            "as_of": state["as_of"],
            "generation": state["generation"],
            "built_at": state["built_at"],
            "statuses": payload.STATUS,
            "negative": NEGATIVE,
            "few_starts": charts.FEW_STARTS,
        },
        "words": words(language),
        "views": [view.as_data() for view in VIEWS],
        "charts": charts.specifications(),
        "figures": payload.figures(connection),
        "cohorts": payload.cohorts(connection, min_n),
        "tables": small,
    }


def _json(data: Any) -> str:
    """JSON that no text in it can end the script element with."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _static(name: str) -> str:
    return resources.files("retention_pipeline.report").joinpath("static", name).read_text(encoding="utf-8")
