"""The report as a file and in a real browser: it shows the published figures exactly, asks nobody for anything, keeps
its filters, and turns nothing that comes from data into markup.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from support.published_sample import make_published

from retention_pipeline.report import render, write_report
from retention_pipeline.report.page import NothingToReport, report_file
from retention_pipeline.report.payload import STATUS
from retention_pipeline.settings import Home, Settings, load_settings
from retention_pipeline.warehouse import opened

NASTY = (
    "<script>alert(1)</script>",
    "{{value}}",
    '"quoted" & </td>',
    "\u202eesrever",
    "it's ${x} `y`",
    "[[data]]",
    "x" * 300,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published generation with segments whose names are nasty, large and small ones."""
    home = make_published(tmp_path_factory.mktemp("report") / "home")
    with duckdb.connect(str(home.current.resolve())) as warehouse:
        for number, name in enumerate((*NASTY, "tiny")):
            warehouse.execute(
                "insert into retention_kpis select * replace ('country' as segment_dimension, ? as segment_value,"
                " value / ? as value, case when unit in ('ratio') then ? end as n)"
                " from retention_kpis where segment_dimension = 'all' and grain = 'month'",
                [name, number + 2, 5 if name == "tiny" else 400],
            )
        warehouse.execute("""
            create table cohort_retention as
            select 'month' as grain, 'order' as basis, 'all' as segment_dimension, 'all' as segment_value,
                cast(date '2023-11-01' + to_months(cast(cohort as integer)) as date) as cohort_start,
                cast(age as integer) as age, 100 as cohort_size, 100 - 20 * age as active,
                (100 - 20 * age) / 100 as retention_rate, 0.5 as revenue_retention_rate, 12.5 as revenue,
                cohort + age < 4 as is_complete
            from range(4) as cohorts (cohort), range(4) as ages (age) where cohort + age <= 4""")
        warehouse.execute("""
            create table restatements as
            select 7 as generation, timestamp '2024-03-10 01:00' as published_at, kpi, grain, period_start, basis,
                segment_dimension, segment_value, 'late' as cause,
                0.5 as old, 0.25 as new, -0.25 as delta
            from retention_kpis where kpi = 'customer_churn_rate' and grain = 'month'""")
        warehouse.execute("""
            create table at_risk as
            select 'customer ' || number as customer_id, 'past_due,inactive' as reasons,
                cast(number as decimal(38, 6)) as mrr, cast(100 - number as decimal(38, 2)) as revenue_12m
            from range(1, 4) as numbers (number)""")
        warehouse.execute("""
            create table kpi_attainment as
            select kpi, grain, basis, segment_dimension, segment_value, date '2024-01-01' as start_on,
                date '2024-12-31' as due_on, 0.1 as baseline, 0.02 as target, value,
                period_start as value_period_start, 0.5 as progress, 0.25 as elapsed, 'ahead' as status
            from retention_kpis where kpi in ('customer_churn_rate', 'mrr_end') and grain = 'month'
                and period_start = '2024-02-01'""")
        key = "kpi, grain, period_start, basis, segment_dimension, segment_value"
        warehouse.execute(f"""
            create table alerts as
            select row_number() over (order by basis, segment_dimension, segment_value) as alert_id,
                'churn <b>high</b>' as rule,
                'churn of ' || segment_value as message, {key}, timestamp '2024-05-01' as opened_at,
                cast(null as timestamp) as acknowledged_at, cast(null as timestamp) as resolved_at
            from retention_kpis where kpi = 'customer_churn_rate' and grain = 'month' and period_start = '2024-03-01'
        """)
    return home


@pytest.fixture(scope="module")
def settings(home: Home) -> Settings:
    return load_settings(home)


@pytest.fixture(scope="module")
def text(home: Home, settings: Settings) -> str:
    with opened(home.current, read_only=True) as connection:
        return render(connection, settings, title=NASTY[0])


def data_of(page: str) -> dict[str, Any]:
    start = page.index('id="data">') + len('id="data">')
    data: dict[str, Any] = json.loads(page[start : page.index("</script>", start)])
    packed: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(data.pop("packed"))))
    data["figures"]["series"] = packed.pop("series")
    return data | packed


def column(page_data: dict[str, Any], name: str) -> np.ndarray:
    packed = gzip.decompress(base64.b64decode(page_data["figures"]["columns"][name]))
    return np.frombuffer(packed, dtype="u1" if name == "status" else "<f8")


def figures_in(page: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Key → (value, status) of every figure that the page carries."""
    data = data_of(page)
    figures, found, offset = data["figures"], {}, 0
    values, codes = column(data, "value"), column(data, "status")
    with np.errstate(divide="ignore", invalid="ignore"):  # as the page does
        values = np.where(values == np.inf, column(data, "numerator") / column(data, "denominator"), values)
    series = figures["series"]
    for i, kpi in enumerate(series["kpi"]):
        for step in range(series["count"][i]):
            start = figures["periods"][series["grain"][i]][series["first"][i] + step][0]
            segment = tuple(figures["segments"][series["segment"][i]])
            key = (figures["kpis"][kpi], series["grain"][i], start, series["basis"][i], *segment)
            found[key] = (values[offset + step], STATUS[codes[offset + step]])
        offset += series["count"][i]
    return found


def test_the_page_carries_every_published_value_exactly_but_those_of_small_groups(
    text: str, home: Home, settings: Settings
) -> None:
    carried = figures_in(text)
    with opened(home.current, read_only=True) as connection:
        rows = connection.execute(
            "select kpi, grain, cast(period_start as varchar), basis, segment_dimension, segment_value, value,"
            " null_reason, n from retention_kpis"
        ).fetchall()
    group: dict[tuple[Any, ...], int] = {}
    for row in rows:
        group[row[1:6]] = max(group.get(row[1:6], 0), row[8] or 0)
    hidden = 0
    for row in rows:
        *key, value, reason, n = row
        found, status = carried[tuple(key)]
        if key[4] != "all" and (group[row[1:6]] if n is None else n) < settings.business.min_n:
            assert status == "suppressed" and np.isnan(found)
            hidden += 1
        else:
            assert status == (reason or "ok")
            assert np.isnan(found) if value is None else found == value
    assert 0 < hidden < len(rows)


def test_restatements_goals_and_alerts_leave_out_small_groups(text: str) -> None:
    tables = data_of(text)["tables"]
    assert tables["restatements"] and {row["segment_value"] for row in tables["restatements"]} == {"all"}
    told = {row["message"] for row in tables["alerts"]}
    assert "churn of all" in told and f"churn of {NASTY[0]}" in told and "churn of tiny" not in told
    goals = {(row["kpi"], row["segment_value"]) for row in tables["attainment"]}
    assert {("customer_churn_rate", NASTY[0]), ("mrr_end", "all"), ("mrr_end", NASTY[0])} <= goals
    assert not [goal for goal in goals if goal[1] == "tiny"]


def test_customers_at_risk_are_counted_and_named_only_where_privacy_allows(
    text: str, home: Home, settings: Settings
) -> None:
    counted = data_of(text)["tables"]
    assert [(row["reason"], row["customers"], row["mrr"]) for row in counted["at_risk"]] == [
        ("inactive", 3, 6.0),
        ("past_due", 3, 6.0),
    ]
    assert counted["customers_at_risk"] == []
    allowed = settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"report_customers": True})})
    with opened(home.current, read_only=True) as connection:
        named = data_of(render(connection, allowed, title="shop"))["tables"]["customers_at_risk"]
    assert [row["customer_id"] for row in named] == ["customer 3", "customer 2", "customer 1"]


def test_the_same_generation_gives_the_same_bytes(text: str, home: Home, settings: Settings) -> None:
    with opened(home.current, read_only=True) as connection:
        assert render(connection, settings, title=NASTY[0]) == text


def test_nothing_from_data_stands_as_markup_in_the_file(text: str) -> None:
    assert "<script>alert(1)" not in text
    assert {*NASTY, "tiny"} <= {segment[1] for segment in data_of(text)["figures"]["segments"]}


def test_the_report_is_put_in_place_whole_and_needs_a_published_generation(
    home: Home, settings: Settings, tmp_path: Path
) -> None:
    path = write_report(home, settings)
    assert path == report_file(home) and path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [other.name for other in path.parent.iterdir()] == ["index.html"]
    with pytest.raises(NothingToReport, match="retention run"):
        write_report(Home(tmp_path), settings)


class Opened:
    """A page in an offline browser, with what it asked for and complained of."""

    def __init__(self, browser: Any, file: Path, *, theme: str = "light", width: int = 1280, address: str = "") -> None:
        self.context = browser.new_context(offline=True, color_scheme=theme, viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri() + address)
        self.wait()

    def wait(self) -> None:
        self.page.wait_for_selector("main[aria-busy=false]", timeout=120_000)

    def tile(self, kpi: str) -> str:
        return str(self.page.locator(f"[data-kpi={kpi}] .value").first.inner_text())


@pytest.fixture(scope="module")
def file(home: Home, settings: Settings) -> Path:
    return write_report(home, settings)


def test_tiles_show_the_last_complete_month_and_keep_the_filters_over_a_reload(browser: Any, file: Path) -> None:
    opened_page = Opened(browser, file, address="#basis=order")
    assert opened_page.tile("customer_churn_rate") == "5.0%"
    opened_page.page.select_option("#filter-basis", "subscription")
    opened_page.wait()
    assert opened_page.tile("customer_churn_rate") == "3.0%"
    opened_page.page.reload()
    opened_page.wait()
    assert opened_page.page.input_value("#filter-basis") == "subscription"
    assert opened_page.tile("customer_churn_rate") == "3.0%"
    assert opened_page.complaints == []
    assert [url for url in opened_page.requests if not url.startswith("file:")] == []


def test_a_home_of_which_nothing_counts_yet_has_a_page_that_says_so(browser: Any, tmp_path: Path) -> None:
    home = make_published(tmp_path / "home")
    with opened(home.current) as warehouse:
        warehouse.execute("delete from retention_kpis; delete from periods")
    opened_page = Opened(browser, write_report(home, load_settings(home)))
    assert "no order or subscription of a customer counts" in opened_page.page.inner_text("main")
    assert opened_page.complaints == []


def test_every_chart_has_marks(browser: Any, file: Path) -> None:
    opened_page = Opened(browser, file, address="#basis=subscription")
    charts = opened_page.page.locator(".chart")
    assert charts.count() >= 4
    for index in range(charts.count()):
        assert charts.nth(index).locator(".mark-rect path, .mark-line path, .mark-symbol path").count() > 0


def test_names_from_data_appear_as_text(browser: Any, file: Path) -> None:
    opened_page = Opened(browser, file)
    names = opened_page.page.locator("#filter-segment option").all_inner_texts()
    assert {f"country: {name}" for name in NASTY} <= set(names)
    assert opened_page.page.locator("main script").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_has_no_accessibility_violation(browser: Any, file: Path, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(Opened(browser, file, theme=theme).page)
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]] == []


def test_a_phone_needs_no_sideways_scrolling(browser: Any, file: Path) -> None:
    opened_page = Opened(browser, file, width=390)
    assert opened_page.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_dialog_opens_with_numerator_and_denominator_and_gives_the_focus_back(browser: Any, file: Path) -> None:
    opened_page = Opened(browser, file)
    tile = opened_page.page.locator("[data-kpi=customer_churn_rate]").first
    tile.focus()
    opened_page.page.keyboard.press("Enter")
    dialog = opened_page.page.locator("dialog[open]")
    assert "customers_lost" in dialog.inner_text()
    opened_page.page.keyboard.press("Escape")
    assert opened_page.page.evaluate("document.activeElement.dataset.kpi") == "customer_churn_rate"
