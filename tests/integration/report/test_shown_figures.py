"""Every figure that a reader can see is the published one: value by value, for several filters, in both languages.

The generation is made by hand: all KPIs, four grains, small and large segments, values that are hard to round. What the
page must show is written a second time here, with Babel and decimals.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pandas as pd
import pytest
from babel.numbers import format_currency, format_decimal
from support.published_sample import SETTINGS, make_published

from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.kpis.store import COLUMNS
from retention_pipeline.report import write_report
from retention_pipeline.report.page import report_file
from retention_pipeline.report.views import VIEWS
from retention_pipeline.report.words import kpi_label, words
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened

LAST_DAY = date(2024, 3, 10)
SEGMENTS = (("all", "all"), ("country", "DE"), ("country", "NL"), ("plan", "pro"))
HARD = {
    "percent": (0.0, 1.0, 0.0625, 0.00049, 0.99951, 0.1245, 1.0305, 0.33333333333333331, -0.0001, 2.5),
    "money": (0.0, 0.005, -0.005, 999.994, 999.995, 1000.5, -1234567.5, 1e12, 12.345, 100.125),
    "count": (0.0, 1.0, 999.0, 1000.0, 48100221.0, 7.25, 0.05, 1e9),
    "points": (-100.0, 100.0, 0.05, -0.05, 33.25, -12.75, 0.0),
    "decimals": (0.0, 0.005, 1.005, 2.675, 14.0, 1234.565, 0.3333333333333333),
    "duration": (0.0, 0.05, 29.95, 30.0, 365.25, 1499.99, 12.345),
}
FILTERS = (
    {"by": "month", "basis": "order", "dimension": "all", "value": "all"}
    | {"league": "customer_churn_rate", "cohort": "customers.percent"},
    {"by": "month", "basis": "subscription", "dimension": "country", "value": "NL", "period": "2023-09-01"}
    | {"league": "mrr_end", "cohort": "revenue.absolute"},
    {"by": "quarter", "basis": "any", "dimension": "plan", "value": "pro"}
    | {"league": "nps", "cohort": "customers.percent"},
    {"by": "year", "basis": "subscription", "dimension": "all", "value": "all", "compare": "year"}
    | {"league": "time_between_purchases_median", "cohort": "revenue.percent"},
    {"by": "week", "basis": "order", "dimension": "country", "value": "DE"}
    | {"league": "quick_ratio", "cohort": "customers.absolute"},
)


def periods_of(grain: str) -> list[tuple[date, date]]:
    """The periods of a grain from February 2023 to the one that holds LAST_DAY."""
    found, start = [], {"week": date(2023, 2, 6), "year": date(2022, 1, 1)}.get(grain, date(2023, 1, 1))
    months = {"month": 1, "quarter": 3, "year": 12}.get(grain)
    while start <= LAST_DAY:
        if months is None:
            end = start + timedelta(days=7)
        else:
            ahead = start.month - 1 + months
            end = date(start.year + ahead // 12, ahead % 12 + 1, 1)
        found.append((start, end))
        start = end
    return found


@dataclass(frozen=True)
class Definition:
    """What the published definitions say of a KPI."""

    kpi: str
    label: str
    bases: tuple[str, ...]
    format: str
    headline_order: int | None

    def basis(self, chosen: str) -> str:
        """The basis that is shown where one is chosen."""
        return chosen if chosen in self.bases else self.bases[0]


def definitions_of(connection: duckdb.DuckDBPyConnection) -> dict[str, Definition]:
    rows = connection.execute("select kpi, label, bases, format, headline_order from kpi_definitions").fetchall()
    return {row[0]: Definition(row[0], row[1], tuple(row[2].split(", ")), row[3], row[4]) for row in rows}


def made_rows(definitions: dict[str, Definition]) -> pd.DataFrame:
    """Rows of retention_kpis: every KPI, basis, grain, period and segment, some without a value, some of few."""
    random = Random(11)
    rows = []
    for kpi in KPIS:
        one = definitions[kpi.id]
        hard = HARD.get(one.format, HARD["duration"])
        for basis in one.bases:
            for grain in ("week", "month", "quarter", "year"):
                for start, end in periods_of(grain):
                    for dimension, member in SEGMENTS:
                        value = random.choice(hard) if random.random() < 0.6 else random.uniform(0, max(hard))
                        is_null, has_interval = random.random() < 0.1, kpi.interval != "none"
                        row = dict.fromkeys(COLUMNS) | {
                            "kpi": kpi.id,
                            "grain": grain,
                            "period_start": start,
                            "period_end": end,
                            "basis": basis,
                            "segment_dimension": dimension,
                            "segment_value": member,
                            "n": random.choice([3, 29, 30, 5000]),
                            "is_complete": end <= LAST_DAY,
                            "null_reason": random.choice(["immature", "small_n"]) if is_null else None,
                        }
                        if not is_null:
                            row |= {
                                "value": value,
                                "numerator": random.choice([value * 40, 17.5, 123456.789]),
                                "denominator": random.choice([40.0, 11.0]),
                                "ci_low": value / 2 if has_interval else None,
                                "ci_high": value * 1.5 if has_interval else None,
                            }
                        rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = make_published(tmp_path_factory.mktemp("shown") / "home")
    with duckdb.connect(str(home.current.resolve())) as warehouse:
        frame = made_rows(definitions_of(warehouse))  # noqa: F841 - DuckDB reads it by its name
        warehouse.execute("delete from retention_kpis")
        warehouse.execute("insert into retention_kpis by name select * from frame")
        warehouse.execute(
            "create or replace table periods as select distinct grain, period_start, period_end, is_complete"
            " from retention_kpis"
        )
        warehouse.execute("""
            create table cohort_retention as
            select grain, basis, segment_dimension, segment_value, cohort_start, cast(age as integer) as age,
                1000 + 100 * month(cohort_start) as cohort_size, 37 * age + month(cohort_start) as active,
                1 / (age + 1.0 + month(cohort_start) / 7) as retention_rate,
                case when age <> 1 then 1.2 / (age + 1.0) end as revenue_retention_rate,
                cast(1234.5 / (age + 1) as decimal(18, 2)) as revenue, age < 3 as is_complete
            from (select distinct grain, basis, segment_dimension, segment_value, period_start as cohort_start
                from retention_kpis where basis <> 'any' and grain in ('month', 'quarter', 'year')) as cohorts,
                range(5) as ages (age)""")
        warehouse.execute("""
            create table survival_curves as
            select basis, segment_dimension, segment_value, t, cast(1000 - 10 * t as bigint) as at_risk,
                1 - t / 100.0 as survival, 0.9 - t / 100.0 as ci_low, least(1.05 - t / 100.0, 1) as ci_high,
                case when segment_value <> 'NL' then 1234 + length(segment_value) end as median
            from (select distinct basis, segment_dimension, segment_value from retention_kpis) as curves,
                range(60) as ts (t)""")
        warehouse.execute("""
            create table engagement_lness as
            select distinct grain, period_start, segment_dimension, segment_value, days.active_days,
                1000 * days.active_days + day(period_start) as customers
            from retention_kpis, (values (1), (2), (5)) as days (active_days)""")
    return home


def write_in(home: Home, language: str, folder: Path) -> Path:
    """The report in a language, as a file of its own."""
    home.settings_file.write_text(f"{SETTINGS}report: {{language: {language}}}\n")
    write_report(home, load_settings(home))
    return report_file(home).rename(folder / f"{language}.html")


@dataclass(frozen=True)
class Reader:
    """What somebody must see: the published rows, written as the language writes numbers."""

    language: str
    file: Path
    definitions: dict[str, Definition]
    rows: dict[tuple[Any, ...], dict[str, Any]]
    periods: dict[str, list[tuple[date, bool]]]

    @property
    def locale(self) -> str:
        return {"en": "en_GB", "nl": "nl_NL"}[self.language]

    def word(self, key: str) -> str:
        return str(words(self.language).get(key, key))

    def label(self, kpi: str) -> str:
        return kpi_label(kpi, self.definitions[kpi].label, self.language)

    def number(self, value: float, digits: int, *, fixed: bool = False) -> str:
        rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0
        places = ("0" if fixed else "#") * digits
        return format_decimal(rounded, format=f"#,##0.{places}" if digits else "#,##0", locale=self.locale)

    def percent(self, value: float, digits: int) -> str:
        hundredfold = (Decimal(repr(float(value))) * 100).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0
        pattern = "#,##0." + "0" * digits if digits else "#,##0"
        return format_decimal(hundredfold, format=pattern, locale=self.locale) + "%"

    def money(self, value: float, *, short: bool = False) -> str:
        digits = 0 if short or abs(value) >= 1000 else 2
        rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0
        pattern = "#,##0.00" if digits else "#,##0"
        form = f"¤ {pattern};¤ -{pattern}" if self.language == "nl" else f"¤{pattern}"
        return plain(format_currency(rounded, "EUR", format=form, locale=self.locale, currency_digits=False))

    def shown(self, kpi: str, value: float, *, short: bool = False) -> str:
        form = self.definitions[kpi].format
        if form == "percent":
            return self.percent(value, 1)
        if form == "money":
            return self.money(value, short=short)
        if form == "points":
            return self.number(value, 1, fixed=True)
        if form in ("days", "hours", "minutes", "years"):
            return f"{self.number(value, 1)} {self.word(form)}"
        return self.number(value, 1 if form == "count" else 2)

    def row(self, kpi: str, state: dict[str, str], start: date, segment: tuple[str, str] | None = None) -> Any:
        basis = self.definitions[kpi].basis(state["basis"])
        segment = segment or (state["dimension"], state["value"])
        return self.rows[(kpi, state["by"], start, basis, *segment)]

    def cell(self, kpi: str, row: dict[str, Any], *, short: bool = False) -> str:
        """What stands where a figure belongs: its value, or why there is none."""
        if row["status"] != "ok":
            return self.word(row["status"])
        return self.shown(kpi, row["value"], short=short)


def plain(text: str) -> str:
    """Without the kinds of space and minus that differ between libraries."""
    return text.replace("\xa0", " ").replace("\u202f", " ").replace("\u2212", "-").strip()


def reader_of(home: Home, language: str, min_n: int) -> Reader:
    with opened(home.current, read_only=True) as connection:
        frame = connection.execute("select * from retention_kpis").df().astype(object)
        definitions = definitions_of(connection)
        periods = connection.execute("select grain, period_start, is_complete from periods order by all").fetchall()
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in frame.where(frame.notna(), None).to_dict("records"):
        is_small = one["segment_dimension"] != "all" and one["n"] < min_n
        status = "suppressed" if is_small else one["null_reason"] or "ok"
        start = one["period_start"].date()
        key = (one["kpi"], one["grain"], start, one["basis"], one["segment_dimension"], one["segment_value"])
        rows[key] = {str(name): value for name, value in one.items()} | {"period_start": start, "status": status}
    of_grain = {grain: [(start, done) for g, start, done in periods if g == grain] for grain, _, _ in periods}
    return Reader(language, home.current, definitions, rows, of_grain)


TABLES = """() => [...document.querySelectorAll("main section")].map((section) => ({
  view: section.id.slice(5),
  tables: [...section.querySelectorAll("table")].map((table) =>
    [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent)))}))"""
TILES = """() => Object.fromEntries([...document.querySelectorAll(".tile")].map((tile) =>
  [tile.dataset.kpi, [tile.querySelector(".value").firstChild.textContent, tile.textContent]]))"""


class Page:
    """A report in an offline browser under one filter."""

    def __init__(self, context: Any, file: Path, state: dict[str, str]) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri() + "#" + "&".join(f"{key}={value}" for key, value in state.items()))
        self.wait()

    def wait(self) -> None:
        self.page.wait_for_selector("main[aria-busy=false]", timeout=120_000)

    def tables(self) -> dict[str, list[list[list[str]]]]:
        """The rows of all tables, folded ones too, by view."""
        return {
            one["view"]: [[[plain(cell) for cell in row] for row in table] for table in one["tables"]]
            for one in self.page.evaluate(TABLES)
        }

    def csv_of(self, view: str, folder: Path) -> list[dict[str, str]]:
        """What the view's button gives."""
        with self.page.expect_download() as started:
            self.page.locator(f"#view-{view} .tools button").last.click()
        path = folder / f"{view}.csv"
        started.value.save_as(path)
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=["en", "nl"])
def shown(request: Any, home: Home, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp(f"shown_{request.param}")
    file = write_in(home, request.param, folder)
    context = browser.new_context(offline=True, accept_downloads=True, viewport={"width": 1280, "height": 900})
    yield context, file, reader_of(home, request.param, load_settings(home).business.min_n), folder
    context.close()


@pytest.mark.parametrize("state", FILTERS, ids=lambda state: f"{state['by']}-{state['basis']}-{state['value']}")
def test_every_figure_on_the_page_is_the_published_one(shown: Any, state: dict[str, str]) -> None:
    context, file, reader, folder = shown
    page = Page(context, file, state)
    periods = reader.periods[state["by"]]
    at = next(start for start, done in reversed(periods) if done)
    if "period" in state:
        at = date.fromisoformat(state["period"])
    starts = [start for start, _ in periods]

    tiles = page.page.evaluate(TILES)
    headline = {kpi for kpi, one in reader.definitions.items() if one.headline_order is not None}
    assert set(tiles) == headline and len(headline) >= 12
    for kpi, (value, text) in tiles.items():
        row = reader.row(kpi, state, at)
        assert plain(value) == ("–" if row["status"] != "ok" else reader.shown(kpi, row["value"])), kpi
        if row["status"] != "ok":
            assert reader.word(row["status"]) in text
        else:
            assert f"n {reader.number(row['n'], 0)}" in plain(text)
        if row["status"] == "ok" and row["ci_low"] is not None:
            assert f"{reader.shown(kpi, row['ci_low'])} – {reader.shown(kpi, row['ci_high'])}" in plain(text), kpi

    tables, compared = page.tables(), 0
    for view in VIEWS:
        if view.kind == "lines":
            groups = [[kpi for kpi in kpis if any_value(reader, kpi, state)] for kpis in view.kpis]
            for kpis, table in zip([group for group in groups if group], tables[view.id], strict=True):
                compared += compare_history(reader, table, kpis, state)
        if view.kind == "bridge":
            kpis = list(view.kpis[0])
            bridge, moves = tables[view.id]
            for kpi, cells in zip(kpis, bridge[1:], strict=True):
                row = reader.row(kpi, state, at)
                expected = "–" if row["status"] != "ok" else reader.shown(kpi, row["value"], short=True)
                assert cells[0] == reader.label(kpi) and cells[1].lstrip("+-") == expected.lstrip("-"), kpi
            compared += compare_history(reader, moves, kpis, state)
    assert compared > 25 * len(starts)
    compare_league(reader, tables["league"][0], state, at)
    compare_cohorts(reader, tables, state)
    for name in ("churn", "customer_bridge"):
        compare_csv(reader, page.csv_of(name, folder), state)
    assert page.complaints == []
    page.page.close()


@pytest.mark.parametrize(("shown", "theme"), [("en", "light"), ("nl", "dark")], indirect=["shown"])
def test_no_view_has_an_accessibility_violation(shown: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context, file, _, _ = shown
    page = Page(context, file, FILTERS[0])
    page.page.emulate_media(color_scheme=theme)
    page.page.reload()
    page.wait()
    assert page.page.evaluate("document.documentElement.dataset.theme ?? 'light'") == theme
    drawn = {section["view"] for section in page.page.evaluate(TABLES)}
    assert {view.id for view in VIEWS if view.kind in ("lines", "bridge", "cohorts", "survival", "league")} <= drawn
    found = axe.run(page.page)
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]] == []
    page.page.close()


def any_value(reader: Reader, kpi: str, state: dict[str, str]) -> bool:
    return any(reader.row(kpi, state, start)["status"] == "ok" for start, _ in reader.periods[state["by"]])


def compare_history(reader: Reader, table: list[list[str]], kpis: list[str], state: dict[str, str]) -> int:
    """Newest period first; a period that is not complete has a star."""
    head, *rows = table
    assert head[1:] == [reader.label(kpi) for kpi in kpis]
    periods = list(reversed(reader.periods[state["by"]]))
    for (start, done), cells in zip(periods, rows, strict=True):
        assert cells[0].endswith(" *") is not done and (str(start.year) in cells[0])
        assert cells[1:] == [plain(reader.cell(kpi, reader.row(kpi, state, start))) for kpi in kpis], (kpis, start)
    return len(rows) * len(kpis)


def compare_league(reader: Reader, table: list[list[str]], state: dict[str, str], at: date) -> None:
    """All segments of one KPI: the value or why there is none, interval and n."""
    kpi = state["league"]
    cells = {row[0]: row for row in table[1:]}
    assert len(cells) == len(SEGMENTS)
    for dimension, value in SEGMENTS:
        row = reader.row(kpi, state, at, (dimension, value))
        shown = cells[reader.word("everyone") if dimension == "all" else f"{dimension}: {value}"]
        assert shown[1] == plain(reader.cell(kpi, row))
        assert shown[4] == (reader.number(row["n"], 0) if row["status"] != "suppressed" else "")
        if row["status"] == "ok" and row["ci_low"] is not None:
            assert shown[3] == f"{reader.shown(kpi, row['ci_low'])} – {reader.shown(kpi, row['ci_high'])}"


def compare_cohorts(reader: Reader, tables: dict[str, Any], state: dict[str, str]) -> None:
    """Each cell of the triangle; what is not complete has a star."""
    grain = "month" if state["by"] == "week" else state["by"]
    with opened(reader.file, read_only=True) as connection:
        rows = connection.execute(
            """select cohort_start, age, cohort_size, active, retention_rate, revenue_retention_rate, revenue,
                is_complete from cohort_retention
                where grain = ? and basis = ? and segment_dimension = ? and segment_value = ? order by all""",
            [grain, state["basis"], state["dimension"], state["value"]],
        ).fetchall()
    if state["basis"] == "any":
        assert not rows and "cohorts" not in tables
        return
    cells = {(row[0], row[1]): row for row in rows}
    what, how = state["cohort"].split(".")
    _, *shown, _mean = tables["cohorts"][0]
    for start, texts in zip(sorted({row[0] for row in rows}, reverse=True), shown, strict=True):
        assert texts[1] == reader.number(cells[start, 0][2], 0)
        for age, text in enumerate(texts[2:]):
            row = cells[start, age]
            share, amount = (row[5], row[6]) if what == "revenue" else (row[4], row[3])
            if how == "percent":
                expected = "" if share is None else reader.percent(share, 0)
            else:
                expected = reader.number(amount, 0)
            assert text == plain(expected + ("" if row[7] else " *")), (start, age)


def compare_csv(reader: Reader, rows: list[dict[str, str]], state: dict[str, str]) -> None:
    """To the last bit, with the keys under which analysts find the figures."""
    assert rows
    for given in rows:
        start = date.fromisoformat(given["period_start"])
        row = reader.row(given["kpi"], state, start)
        assert (given["basis"], given["segment_value"]) == (row["basis"], state["value"])
        assert given["null_reason"] == ("" if row["status"] == "ok" else row["status"])
        for name in ("value", "numerator", "denominator", "n", "ci_low", "ci_high"):
            is_shown = row["status"] != "suppressed" and row[name] is not None
            assert given[name] == "" if not is_shown else float(given[name]) == row[name], (given["kpi"], name)
