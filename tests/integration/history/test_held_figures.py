"""Figures of closed months that are held back keep their causes and rows, night by night, until they are let in."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.told_nights import ToldHome, parts_that_do_not_add_up

from retention_pipeline.read.explain import explain
from retention_pipeline.read.published import held_back, rows_of

KEY = "kpi, grain, period_start, basis, segment_dimension, segment_value"
ORDER = "order_id,customer_id,ordered_at,amount,currency,status\n"
ORDERS = """1,anna,2026-01-10,20,EUR,paid
2,ben,2026-01-20,30,EUR,paid
3,anna,2026-02-10,20,EUR,paid
4,cleo,2026-02-15,40,EUR,paid
"""
SETTINGS: dict[str, Any] = {
    "business": {"timezone": "UTC", "reporting_currency": "EUR", "activity_window_days": 30, "min_n": 1},
    "close_after_days": 20,
    "closed_periods": "hold",
    "exchange_from_rows": 0,
    "grains": ["month"],
    "sources": {"orders": {"type": "files", "path": "landing/orders/*.csv", "timezone": "UTC"}},
}
OF_FEBRUARY = "grain = 'month' and period_start = '2026-02-01' and segment_dimension = 'all'"


def one_euro_more(connection: duckdb.DuckDBPyConnection) -> None:
    """A changed model."""
    connection.execute(f"update period_orders set order_revenue = order_revenue + 1 where {OF_FEBRUARY}")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> ToldHome:
    """February is closed with the first night. Nights 2 and 3 move it (3 with other code), 4 is quiet, 5 lets it in."""
    folder = tmp_path_factory.mktemp("held")
    told = ToldHome(folder / "home", SETTINGS, folder / "compiled")
    told.deliver("orders", "1.csv", ORDER + ORDERS)
    told.night(date(2026, 3, 25))
    told.deliver("orders", "2.csv", f"{ORDER}5,ben,2026-02-05,15,EUR,paid\n")
    told.night(date(2026, 3, 26))
    told.deliver("orders", "3.csv", f"{ORDER}3,anna,2026-02-10,25,EUR,paid\n6,ben,2026-02-20,7,EUR,paid\n")
    told.night(date(2026, 3, 27), code="c2", change=one_euro_more)
    told.night(date(2026, 3, 28), code="c2", change=one_euro_more)
    with_pending = told.rows("select distinct grain, period_start from pending_restatements")
    told.night(
        date(2026, 3, 28), datetime(2026, 3, 29, 2), code="c2", change=one_euro_more, released=tuple(with_pending)
    )
    return told


def restated(told: ToldHome, kpi: str) -> list[tuple[Any, ...]]:
    return told.rows(
        "select cause, round(old, 9), round(new, 9), round(delta, 9), numerator_delta, denominator_delta, other_causes "
        f"from restatements where {OF_FEBRUARY} and kpi = ? and basis = 'order' order by cause",
        kpi,
    )


def test_nothing_is_restated_before_it_is_let_in(told: ToldHome) -> None:
    assert told.rows("select distinct generation from restatements where period_start < '2026-03-01'") == [(5,)]
    assert told.rows("select count(*) from pending_restatements") == [(0,)]
    assert told.rows("select count(*) from pending_restatement_rows") == [(0,)]


def test_what_is_let_in_has_the_causes_of_the_nights_that_moved_it(told: ToldHome) -> None:
    assert restated(told, "order_revenue") == [
        ("corrected", 60, 88, 5, 5, 0, None),
        ("definition", 60, 88, 1, 1, 0, None),
        ("late", 60, 88, 22, 22, 0, None),
    ]
    causes = restated(told, "average_order_value")
    assert [(row[0], row[4], row[5]) for row in causes] == [("corrected", 5, 0), ("definition", 1, 0), ("late", 22, 2)]
    assert sum(row[3] for row in causes) == pytest.approx(88 / 4 - 30)


def test_and_the_rows_of_these_nights(told: ToldHome) -> None:
    rows = told.rows(
        "select customer_id, row_key, cause, numerator_delta, denominator_delta, file_name "
        "from restatement_rows join pipeline_loads using (load_id) "
        f"where {OF_FEBRUARY} and kpi = 'average_order_value' order by row_key"
    )
    assert rows == [
        ("anna", "3", "corrected", 5, 0, "landing/orders/3.csv"),
        ("ben", "5", "late", 15, 1, "landing/orders/2.csv"),
        ("ben", "6", "late", 7, 1, "landing/orders/3.csv"),
    ]


def test_parts_of_all_nights_add_up_to_the_whole_change(told: ToldHome) -> None:
    found = told.rows(
        f"""
        with parts as (
            select {KEY}, sum(numerator_delta) as numerator, sum(denominator_delta) as denominator
            from restatement_rows where generation = 5 and numerator_delta is not null group by all
        ),
        causes as (
            select {KEY}, count(*) filter (where cause not in ('late', 'corrected')) as without_rows,
                any_value(coalesce(new_numerator, new, 0) - coalesce(old_numerator, old, 0)) as numerator,
                any_value(coalesce(new_denominator, 0) - coalesce(old_denominator, 0)) as denominator,
                sum(delta) as delta, any_value(coalesce(new, 0) - coalesce(old, 0)) as step
            from restatements where generation = 5 group by all
        )
        select count(*), max(abs(delta - step)),
            count(parts.kpi) filter (where without_rows = 0),
            max(abs(parts.numerator - causes.numerator)) filter (where without_rows = 0),
            max(abs(parts.denominator - causes.denominator)) filter (where without_rows = 0)
        from causes left join parts using ({KEY})
        """
    )[0]
    assert found[0] > 20 and found[2] > 8
    assert max(found[1], found[3], found[4]) < 1e-9
    assert parts_that_do_not_add_up(told) == []


def test_lines_of_what_was_not_listed_are_let_in_once(told: ToldHome, tmp_path: Path) -> None:
    """Each night of these leaves such a line with what is held back; the night that lets it in makes its own."""
    short = ToldHome(tmp_path / "home", SETTINGS, told.compiled_in)
    short.models, short.rows_at_most = told.models, 0
    short.deliver("orders", "1.csv", ORDER + ORDERS)
    short.night(date(2026, 3, 25))
    short.deliver("orders", "2.csv", f"{ORDER}5,ben,2026-02-05,15,EUR,paid\n")
    short.night(date(2026, 3, 26))
    short.deliver("orders", "3.csv", f"{ORDER}6,ben,2026-02-20,7,EUR,paid\n")
    held = short.rows("select distinct grain, period_start from pending_restatements")
    short.night(date(2026, 3, 27), released=tuple(held))
    of_revenue = f"{OF_FEBRUARY} and kpi = 'order_revenue'"
    lines = short.rows(f"select customer_id, cause, numerator_delta from restatement_rows where {of_revenue}")
    assert lines == [("(not listed)", "late", 22)]
    assert parts_that_do_not_add_up(short) == []


def test_what_cannot_be_split_names_all_causes(told: ToldHome) -> None:
    median = restated(told, "time_between_purchases_median")
    assert [(row[0], row[6]) for row in median] == [("definition", "corrected, late")]


def test_a_held_figure_is_told_with_its_causes(told: ToldHome) -> None:
    """In generation 3, while it was pending."""
    with duckdb.connect(str(told.generation(3)), read_only=True) as connection:
        value, causes = connection.execute(
            f"select value, causes from pending_restatements where {OF_FEBRUARY} and kpi = 'order_revenue'"
        ).fetchall()[0]
        parts = connection.execute(
            "select cause, sum(numerator_delta) from pending_restatement_rows "
            f"where {OF_FEBRUARY} and kpi = 'order_revenue' group by cause order by cause"
        ).fetchall()
    assert (value, causes) == (88, "definition, corrected, late")
    assert parts == [("corrected", 5), ("definition", 1), ("late", 22)]


def test_periods_whose_changes_are_held_back_are_known_of_their_figures(told: ToldHome) -> None:
    figures = "select * from retention_kpis where kpi = 'average_order_value' and grain = 'month'"
    with duckdb.connect(str(told.generation(3)), read_only=True) as connection:
        assert held_back(connection, rows_of(connection, figures)) == [(date(2026, 2, 1), date(2026, 3, 1))]
        assert held_back(connection, rows_of(connection, f"{figures} and period_start < '2026-02-01'")) == []
    with duckdb.connect(str(told.generation(5)), read_only=True) as connection:
        assert held_back(connection, rows_of(connection, figures)) == []


def test_a_held_figure_is_explained_by_what_is_computed(told: ToldHome) -> None:
    with duckdb.connect(str(told.generation(3)), read_only=True) as connection:
        explained = explain(connection, "average_order_value", "2026-02")
    assert explained.row["value"] == 30
    assert [(part.total, part.published) for part in explained.parts][1] == (4, 4)
    (note,) = [one for one in explained.notes if "held back" in one]
    assert "(definition, corrected, late): computed is € 22.00 instead of € 30.00" in note
    assert "retention restate --period 2026-02-01 --grain month" in note


def test_what_is_held_back_stays_so_where_all_generations_were_lost(told: ToldHome, tmp_path: Path) -> None:
    """As of night 3; a last correction comes with the run that makes the home anew, then February is let in."""
    lost = ToldHome(tmp_path / "home", SETTINGS, told.compiled_in)
    lost.models, lost.runs = told.models, told.runs
    for part in ("warehouse", "archive", "landing"):
        shutil.copytree(told.home.root / part, lost.home.root / part)
    for file in sorted((lost.home.archive / "history").iterdir())[3:]:
        file.unlink()
    lost.deliver("orders", "4.csv", f"{ORDER}7,ben,2026-02-21,100,EUR,paid\n")
    lost.night(date(2026, 3, 28), code="c2", change=one_euro_more)
    of_revenue = f"{OF_FEBRUARY} and kpi = 'order_revenue'"
    assert lost.rows(f"select value from retention_kpis where {of_revenue}") == [(60,)]
    assert lost.rows(f"select value, causes, held_since from pending_restatements where {of_revenue}") == [
        (188, "definition, corrected, late", datetime(2026, 3, 26, 2))
    ]
    assert lost.rows("select count(*) from restatements") == [(0,)]
    with_pending = tuple(lost.rows("select distinct grain, period_start from pending_restatements"))
    lost.night(date(2026, 3, 28), datetime(2026, 3, 29, 2), code="c2", change=one_euro_more, released=with_pending)
    ((cause, old, new, delta, _, _, others),) = restated(lost, "order_revenue")
    assert (cause, old, new, delta, others) == ("definition", 60, 188, 128, "corrected, late")
