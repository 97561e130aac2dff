"""Which figures are marked when a dataset is late, and what readers of marks see of them."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.freshness.figures import COLUMNS, figures, marks, write_figure_marks
from retention_pipeline.freshness.marks import footnotes, read_marks
from retention_pipeline.freshness.sources import SourceState
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.settings import Settings, parse_settings

DAY = date(2024, 5, 10)
DATASETS = tuple(CONTRACTS)
ROOT = Path(__file__).parents[3]
NO_FIGURES = {"periods", "customer_months"}  # the calendar, and the months of period_customers for other KPIs
Key = tuple[str, str, str]


def settings(*datasets: str, **business: Any) -> Settings:
    return parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR", **business},
            "sources": {name: {"type": "files", "path": name} for name in datasets or DATASETS},
        }
    )


def late(
    dataset: str, *, source: str | None = None, until: date | None = DAY, lacks: bool = True, state: str = "stale"
) -> SourceState:
    return SourceState(
        source=source or dataset,
        dataset=dataset,
        state=state,  # type: ignore[arg-type]
        last_delivery=datetime(2024, 5, 10),
        max_age=timedelta(days=1),
        fell_by=None,
        fresh_until=until,
        lacks=lacks,
        may_block=False,
        why="it is late",
    )


def marked(*states: SourceState, given: Settings | None = None) -> dict[Key, dict[str, Any]]:
    rows = marks(given or settings(), states, {"cohort_retention", "mrr_by_plan"})
    return {row[:3]: dict(zip(COLUMNS, row, strict=True)) for row in rows}


def test_where_all_are_fresh_nothing_is_marked() -> None:
    assert marked(late("orders", lacks=False)) == {}


def test_late_orders_mark_what_is_made_of_orders_and_nothing_else() -> None:
    found = marked(late("orders"))
    assert ("orders", "order", "all") in found
    assert ("customers_end", "order", "all") in found
    assert ("customers_end", "any", "all") in found
    assert ("cohort_retention", "any", "all") in found
    assert ("period_orders", "order", "all") in found
    assert ("customers_end", "subscription", "all") not in found
    assert ("mrr_end", "subscription", "all") not in found
    assert ("mrr_by_plan", "all", "all") not in found


def test_a_late_dimension_marks_its_own_rows_alone() -> None:
    found = marked(late("customers"))
    assert {dimension for _, _, dimension in found} == {"country", "acquisition_channel"}
    assert ("mrr_end", "subscription", "country") in found
    assert {dimension for _, _, dimension in marked(late("orders")) if dimension == "first_order_channel"}


def test_cohorts_by_sign_up_need_the_customers_too() -> None:
    by_signup = settings(cohort_event="signup")
    assert ("cohort_retention", "order", "all") in marked(late("customers"), given=by_signup)
    assert ("customers_end", "order", "all") not in marked(late("customers"), given=by_signup)


def test_late_rates_mark_money_and_no_counts() -> None:
    found = {figure for figure, _, _ in marked(late("fx_rates"))}
    assert {"mrr_end", "order_revenue", "clv"} <= found
    assert not {"customers_end", "orders", "customer_churn_rate"} & found


def test_late_aliases_mark_every_kpi() -> None:
    assert {kpi.id for kpi in KPIS} <= {figure for figure, _, _ in marked(late("customer_aliases"))}


def test_every_published_kpi_needs_a_dataset_and_has_one_entry_per_basis() -> None:
    found = [figure for figure in figures(settings(), set()) if figure.name in {kpi.id for kpi in KPIS}]
    own_datasets = {dataset for kpi in KPIS for dataset in kpi.family.datasets}
    assert {figure.name for figure in found} == {kpi.id for kpi in KPIS}
    assert all(figure.datasets & own_datasets for figure in found)
    assert len({(figure.name, figure.basis) for figure in found}) == len(found)


def test_every_table_of_figures_says_what_it_needs() -> None:
    """A mart that is missing here belongs into FURTHER_TABLES, or into NO_FIGURES if no source can make it late."""
    marts = {path.stem for path in (ROOT / "dbt_project" / "models" / "marts").glob("*.sql")}
    known = {figure.name for figure in figures(settings(*CONTRACTS), marts)}
    assert marts - known == NO_FIGURES


def test_a_figure_that_looks_ahead_is_whole_for_earlier_periods_only() -> None:
    found = marked(late("orders"), late("subscriptions"))
    assert found["orders", "order", "all"]["fresh_until"] == DAY
    assert found["repurchase_within_30d", "order", "all"]["fresh_until"] == DAY - timedelta(days=30)
    assert found["renewal_rate", "subscription", "all"]["fresh_until"] == DAY - timedelta(days=30)


def test_of_several_late_sources_the_gravest_state_and_the_earliest_day_hold() -> None:
    earlier = DAY - timedelta(days=9)
    shops = [late("orders", source="web"), late("orders", source="till", until=earlier, state="failed")]
    found = marked(*shops, late("subscriptions"))
    row = found["customers_end", "any", "all"]
    assert (row["state"], row["fresh_until"], row["datasets"]) == ("failed", earlier, "orders, subscriptions")
    assert row["why"] == "web stale: it is late | till failed: it is late | subscriptions stale: it is late"
    assert marked(late("orders", until=None), *shops)["orders", "order", "all"]["fresh_until"] is None


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "create table retention_kpis as from (values "
        "('orders', date '2024-05-01', 'order', 'all'), ('orders', date '2024-06-01', 'order', 'all'), "
        "('mrr_end', date '2024-06-01', 'subscription', 'all')) as rows (kpi, period_end, basis, segment_dimension)"
    )
    return connection


def test_the_view_has_every_row_once_and_says_which_are_fresh(warehouse: duckdb.DuckDBPyConnection) -> None:
    write_figure_marks(warehouse, settings(), [late("orders")])
    rows = warehouse.execute(
        "select kpi, month(period_end), is_fresh, why_not_fresh from retention_kpis_marked order by all"
    ).fetchall()
    assert rows == [
        ("mrr_end", 6, True, None),
        ("orders", 5, True, None),
        ("orders", 6, False, "orders stale: it is late"),
    ]


def test_marks_are_gone_when_the_source_has_delivered_and_without_a_day_no_period_is_fresh(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    count = "select count(*) from retention_kpis_marked where not is_fresh"
    write_figure_marks(warehouse, settings(), [late("orders", until=None)])
    assert warehouse.execute(count).fetchone() == (2,)
    write_figure_marks(warehouse, settings(), [late("orders", lacks=False)])
    assert warehouse.execute(count).fetchone() == (0,)


def test_readers_see_the_mark_of_a_period_that_lacks_data_and_one_footnote_per_source(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    assert read_marks(warehouse).of("orders", "order", DAY) is None  # a generation of before there were marks
    write_figure_marks(warehouse, settings(), [late("orders"), late("subscriptions", until=None)])
    found = read_marks(warehouse)
    assert found.of("orders", "order", DAY) is None
    next_day = DAY + timedelta(days=1)
    seen = [found.of("orders", "order", next_day), found.of("customers_end", "any", next_day)]
    assert footnotes([mark for mark in seen if mark]) == [
        "orders stale: it is late; data are whole before 10 May 2024",
        "subscriptions stale: it is late; data are whole for no period",
    ]
