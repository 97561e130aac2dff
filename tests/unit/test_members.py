"""Members as far as no warehouse is needed: which parts of which KPIs are sums over customers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import duckdb
import pytest

from retention_pipeline.kpis.declaration import Family, ratio
from retention_pipeline.kpis.measures import flows
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.read.members import Cell, Cells, NoMembers, Source, cell_queries, in_segment, members, parts_of

WITHOUT = {
    # percentiles and points of curves
    "time_between_purchases_median",
    "time_between_purchases_p25",
    "time_between_purchases_p75",
    "time_to_next_purchase_km_median",
    "session_minutes_median",
    "first_reply_hours_median",
    "resolution_hours_median",
    # a figure over a figure
    "ltv_to_cac",
}
HALF = {"dau": {"numerator"}}  # divided by days


def test_every_kpi_that_counts_or_sums_has_members() -> None:
    assert {kpi.id for kpi in KPIS if not parts_of(kpi)} == WITHOUT
    some = {kpi.id: set(parts_of(kpi)) for kpi in KPIS if parts_of(kpi)}
    whole = {kpi.id: {"numerator", "denominator"} if kpi.is_ratio else {"value"} for kpi in KPIS}
    assert some == {name: HALF.get(name, whole[name]) for name in some}


@pytest.mark.parametrize("numerator", ["greatest(a, b)", "a / b", "a * b", "a * 2 + median_of_something", "a + 1"])
def test_an_expression_that_is_no_sum_over_customers_has_no_part(numerator: str) -> None:
    family = Family("made_up", "Made up", "period_made_up", ("all",), ("orders",), flows("a", "b"), "never")
    kpi = ratio("made_up", "Made up", "Made up.", family, numerator, "a + 2 * b", n="a", better="higher")
    assert parts_of(kpi) == {"denominator": "a + 2 * b"}


@pytest.fixture
def generation() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "create table int_member_queries (family varchar, part varchar, measures varchar, query varchar)"
    )
    connection.execute("create table int_customers (customer_key bigint, customer_id varchar)")
    query = (
        'select asked.period_start from __main__."int_customers" '
        "inner join __cells__ as asked on ''__basis__'' <> asked.grain"
    )
    connection.execute(f"insert into int_member_queries values ('surveys', 'answered', 'a b', '{query}')")
    return connection


def test_cells_are_put_into_the_texts(generation: duckdb.DuckDBPyConnection) -> None:
    cells = Cells.of(Cell("month", date(2026, 3, 1), "all"))
    period = "(select 'month' as grain, cast('2026-03-01' as date) as period_start)"
    query = f"select asked.period_start from int_customers inner join {period} as asked on 'all' <> asked.grain"
    assert cell_queries(generation, "surveys", {"x": "a", "y": "c"}, cells) == [Source(query, {"x": "a"})]
    ((of_other, *_),) = cell_queries(generation, "surveys", {"a": "a"}, cells, "memory")
    assert "from memory.main.int_customers inner" in of_other
    of_some = replace(cells, relations={"int_customers": "(select 1)"})
    ((of_few, *_),) = cell_queries(generation, "surveys", {"a": "a"}, of_some, "memory")
    assert "from (select 1) inner" in of_few
    assert cell_queries(generation, "surveys", {"c": "c"}, cells) == []


def test_a_segment_value_is_asked_as_text_whatever_it_is() -> None:
    cell = Cell("month", date(2026, 3, 1), "all", "country", "O'Brien __basis__")
    assert "segment_value = 'O''Brien __basis__'" in in_segment("select 1", cell, None)


def test_what_has_no_members_says_why(generation: duckdb.DuckDBPyConnection) -> None:
    cell = Cell("month", date(2026, 3, 1), "all")
    with pytest.raises(NoMembers, match="no KPI or family 'nothing'"):
        members(generation, "nothing", cell)
    with pytest.raises(NoMembers, match="not a sum over customers"):
        members(generation, "session_minutes_median", cell)
    with pytest.raises(NoMembers, match="No dataset of the family tickets"):
        members(generation, "tickets", cell)
    with pytest.raises(NoMembers, match="by an earlier version"):
        members(duckdb.connect(), "tickets", cell)
