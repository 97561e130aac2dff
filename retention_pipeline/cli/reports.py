"""The verb `report`: the page, five sentences, or the charts as pictures."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from rich.text import Text

from retention_pipeline.cli.terminal import terminal
from retention_pipeline.report.charts import write_charts
from retention_pipeline.report.page import NothingToReport, write_report
from retention_pipeline.report.summary import sentences
from retention_pipeline.settings import load_settings, resolve_home
from retention_pipeline.warehouse import opened


def report(home: Path | None, *, is_opened: bool, summary: bool, charts: Path | None, form: str) -> None:
    """Make the report of the published generation and say where it is; or print the summary; or draw the charts."""
    place = resolve_home(home)
    settings = load_settings(place)
    if not place.current.exists():
        raise NothingToReport("nothing is published yet; make a first run with: retention run")
    console = terminal(highlight=False)
    if summary or charts:
        with opened(place.current, read_only=True) as connection:
            if summary:
                told = sentences(connection, settings.business.reporting_currency)
                for sentence in told or ["No month that is complete has figures yet."]:
                    console.print(Text(sentence))
            if charts:
                for path in write_charts(connection, settings, charts, form):
                    console.print(Text(str(path)), soft_wrap=True)
        return
    path = write_report(place, settings)
    console.print(Text(str(path)), soft_wrap=True)
    if is_opened:
        webbrowser.open(path.resolve().as_uri())
