from datetime import date
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from rich.console import Console
from support.published_sample import AS_OF, make_published

from retention_pipeline.cli.print_headline import print_headline
from retention_pipeline.read.headline import (
    LIFESPAN,
    Headline,
    Line,
    _cautions,
    _left_out_goals,
    as_markdown,
    goal_lines,
    read_headline,
)
from retention_pipeline.read.published import open_published


@pytest.fixture
def headline(tmp_path: Path) -> Headline:
    with open_published(make_published(tmp_path / "home")) as connection:
        found = read_headline(connection, as_of=AS_OF)
    assert found is not None
    return found


def printed(headline: Headline, width: int) -> str:
    console = Console(width=width, record=True, file=StringIO())
    print_headline(console, headline)
    return console.export_text()


def test_the_headline_is_of_the_last_complete_month(headline: Headline) -> None:
    assert headline.period == "Feb 2024"
    assert headline.is_complete


def test_a_line_knows_its_value_the_month_before_and_thirteen_months(headline: Headline) -> None:
    line = next(line for line in headline.lines if line.kpi == "customer_retention_rate")
    assert line.value == pytest.approx(0.95) and line.before == pytest.approx(0.94)
    assert len(line.history) == 13


def test_kpis_without_data_are_left_out_and_those_without_a_value_say_why(headline: Headline) -> None:
    kpis = {line.kpi for line in headline.lines}
    assert "renewal_rate" not in kpis
    assert "too few" in as_markdown(headline)


@pytest.mark.parametrize("column", [0, 1])
def test_the_customer_bridge_adds_up_for_every_basis_that_is_shown(headline: Headline, column: int) -> None:
    start, new, back, lost, end = (row.values[column] for row in headline.customer_bridge)
    assert None not in (start, new, back, lost, end)
    assert start + new + back - lost == end  # type: ignore[operator]


def test_the_mrr_bridge_adds_up_and_leaves_out_exchange_rates_where_there_are_none(headline: Headline) -> None:
    signs = {"": 1, "+": 1, "−": -1, "=": -1}
    assert sum(signs[row.sign] * (row.values[0] or 0) for row in headline.mrr_bridge) == 0
    assert "Exchange rates" not in [row.label for row in headline.mrr_bridge]


def test_the_printed_page_has_the_bridges_and_the_figures_and_fits_its_width(headline: Headline) -> None:
    for width in (80, 120):
        text = printed(headline, width)
        assert max(len(line) for line in text.splitlines()) <= width
        for part in ("Feb 2024", "as of 2024-03-10", "1,050", "5,500.00", "95.0 %", "€ 23,457", "1.40"):
            assert part in text, (width, part)


def test_the_markdown_has_the_same_figures(headline: Headline) -> None:
    text = as_markdown(headline)
    assert "| Customer retention rate | buyers | 95.0 % | 94.0 % | +1.0 pp |" in text
    assert "| = At the end | 110 | 1,050 | 1,120 |" in text
    assert "| = At the end | € 5,500.00 |" in text


def test_a_lifespan_from_few_lost_customers_is_not_printed_without_a_word() -> None:
    """One customer lost in 2,402 customer-months: 200.2 years."""
    start = date(2024, 2, 1)
    line = Line("Lifetime", LIFESPAN, "order", "Customer lifespan", "years", None, [200.2], None, True)
    row = {"value": 200.2, "numerator": 2402.0, "denominator": 12.0}
    (caution,) = _cautions([line], {(LIFESPAN, "order"): {start: row}}, start)
    assert caution.startswith("Customer lifespan, buyers: from 1 customer lost in 2,402 customer-months")
    assert _cautions([line], {(LIFESPAN, "order"): {start: row | {"denominator": 120.0}}}, start) == []
    assert _cautions([line], {(LIFESPAN, "order"): {start: row | {"denominator": None}}}, start) == []


def test_goals_that_cannot_be_are_told() -> None:
    with duckdb.connect() as connection:
        assert _left_out_goals(connection) == []
        connection.execute(
            "create table data_quality as from (values ('kpi_targets', 'impossible', 2.0), ('orders', 'rows', 9.0))"
            " as rows (dataset, measure, value)"
        )
        assert _left_out_goals(connection) == [
            "kpi_targets: 2 rows left out, more daily than monthly actives, or two different targets of one figure and"
            " start"
        ]


def test_goals_are_named_with_their_value_and_status() -> None:
    with duckdb.connect() as connection:
        assert goal_lines(connection) == []
        connection.execute(
            """
            create table kpi_definitions as select 'customer_churn_rate' as kpi, 'Churn' as label, 'percent' as format;
            create table kpi_attainment as
            select * from (values
                ('customer_churn_rate', 'month', 'order', 'plan', 'pro', date '2024-01-01', date '2024-06-01', 0.05,
                    0.06::double, 'on_track'),
                ('dau', 'month', 'all', 'all', 'all', '2024-01-01', '2024-07-01', 20, null, null)
            ) as goals(kpi, grain, basis, segment_dimension, segment_value, start_on, due_on, target, value, status)
            """
        )
        assert goal_lines(connection) == [
            ["Churn, plan pro (month): 5.0 % by 1 Jun 2024", "6.0 %", "on track"],
            ["dau (month): 20.00 by 1 Jul 2024", "–", "not measured yet"],
        ]
