"""The kiosk of README.md: after each night the history says what was known when, and each restatement has its cause."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.told_nights import ToldHome, parts_that_do_not_add_up, unexplained

from retention_pipeline.history.archive import take_up
from retention_pipeline.history.known import go_back
from retention_pipeline.history.since import since
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.read.members import parts_of
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened

SETTINGS: dict[str, Any] = {
    "business": {"timezone": "UTC", "reporting_currency": "EUR", "activity_window_days": 30, "min_n": 1},
    "history_start": "2026-01-01",
    "segments": ["country"],
    "grains": ["week", "month"],
    "exchange_from_rows": 0,
    "sources": {
        name: {"type": "files", "path": f"landing/{name}/*.csv", "timezone": "UTC"}
        for name in ("orders", "customers", "customer_aliases", "fx_rates")
    },
}
ORDER = "order_id,customer_id,ordered_at,amount,currency,status\n"
ORDERS = """1,anna,2026-01-10,20,EUR,paid
2,ben,2026-01-20,30,EUR,paid
3,anna,2026-02-10,20,EUR,paid
4,cleo,2026-02-15,40,EUR,paid
5,dora,2026-02-20,10,USD,paid
"""
CUSTOMERS = (
    "customer_id,country,valid_from\nanna,NL,2025-01-01\nben,DE,2025-01-01\ncleo,NL,2025-01-01\ndora,DE,2025-01-01\n"
)
RATE = "date,currency,rate_to_reporting\n"
ALIAS = "alias_id,customer_id\n"
REVENUE = ("order_revenue", "month")


def delete_order(home: Home, order_id: str) -> None:
    """As a pull does that finds a key no longer there."""
    connection = open_raw(home.raw_file)
    with connection:
        load = connection.execute("select max(load_id) + 1 from raw.ledger").fetchall()[0][0]
        connection.execute(
            "insert into raw.ledger by name select * replace ($1 as load_id, 'deletes' as sha256) from raw.ledger "
            "where load_id = $1 - 1",
            [load],
        )
        connection.execute(
            "insert into raw.orders_history by name select *, $1 as _superseded_by, _loaded_at as _superseded_at "
            "from raw.orders where order_id = $2",
            [load, order_id],
        )
        connection.execute("delete from raw.orders where order_id = $1", [order_id])
    connection.close()


def one_euro_more(connection: duckdb.DuckDBPyConnection) -> None:
    """The changed model."""
    connection.execute(
        "update period_orders set order_revenue = order_revenue + 1 "
        "where grain = 'month' and period_start = '2026-01-01' and segment_dimension = 'all'"
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> ToldHome:
    folder = tmp_path_factory.mktemp("kiosk")
    told = ToldHome(folder / "home", SETTINGS, folder / "compiled")
    told.deliver("orders", "1.csv", ORDER + ORDERS)
    told.deliver("customers", "1.csv", CUSTOMERS)
    told.deliver("fx_rates", "1.csv", f"{RATE}2026-02-18,USD,0.90\n")
    told.deliver("customer_aliases", "1.csv", f"{ALIAS}nobody_else,somebody\n")
    told.night(date(2026, 3, 2))
    told.night(date(2026, 3, 3))
    told.deliver("orders", "2.csv", f"{ORDER}6,ben,2026-02-05,15,EUR,paid\n7,eva,2026-03-03,5,EUR,paid\n")
    told.night(date(2026, 3, 4))
    told.deliver("orders", "3.csv", f"{ORDER}3,anna,2026-02-10,25,EUR,paid\n")
    told.night(date(2026, 3, 5))
    delete_order(told.home, "4")
    told.night(date(2026, 3, 6))
    told.deliver("customer_aliases", "2.csv", f"{ALIAS}ben,anna\n")
    told.night(date(2026, 3, 7))
    told.deliver("customers", "2.csv", "customer_id,country,valid_from\ndora,NL,2025-01-01\n")
    told.night(date(2026, 3, 8))
    told.deliver("fx_rates", "2.csv", f"{RATE}2026-02-18,USD,0.95\n")
    told.night(date(2026, 3, 9))
    told.change_settings(SETTINGS | {"business": SETTINGS["business"] | {"activity_window_days": 10}})
    told.night(date(2026, 3, 10))
    told.night(date(2026, 3, 11), code="c2", change=one_euro_more)
    told.night(date(2026, 3, 11), datetime(2026, 3, 12, 2), kind="backfill", code="c2")
    told.deliver("orders", "4.csv", f"{ORDER}8,dora,2026-03-20,60,EUR,paid\n")
    told.night(date(2026, 4, 1), code="c2")
    told.deliver("orders", "5.csv", f"{ORDER}9,cleo,2026-01-25,7,EUR,paid\n8,dora,2026-03-20,66,EUR,paid\n")
    told.night(date(2026, 4, 2), code="c2")
    return told


def causes(told: ToldHome, generation: int) -> set[str]:
    return {cause for (cause,) in told.rows("select cause from restatements where generation = ?", generation)}


def revenue(told: ToldHome, generation: int, month: int = 2, segment: str = "all") -> tuple[Any, ...] | None:
    """Old, new, delta and cause of a month's revenue."""
    rows = told.rows(
        "select old, new, delta, cause, other_causes from restatements where generation = ? and kpi = 'order_revenue' "
        "and grain = 'month' and month(period_start) = ? and segment_value = ?",
        generation,
        month,
        segment,
    )
    assert len(rows) <= 1
    return tuple(round(value, 9) if isinstance(value, float) else value for value in rows[0]) if rows else None


def known_revenue(told: ToldHome, moment: datetime) -> float:
    with opened(told.home.current, read_only=True) as connection:
        go_back(connection, told.home, moment)
        value = connection.execute(
            "select value from retention_kpis where kpi = 'order_revenue' and grain = 'month' "
            "and period_start = '2026-02-01' and segment_dimension = 'all'"
        ).fetchall()[0][0]
    return float(value)


def test_each_night_has_the_cause_of_what_happened(told: ToldHome) -> None:
    by_night = {number: causes(told, number) for number in range(1, 14)}
    assert by_night == {
        1: set(),
        2: set(),
        3: {"late"},
        4: {"corrected"},
        5: {"deleted"},
        6: {"merge"},
        7: {"attribute"},
        8: {"fx"},
        9: {"settings"},
        10: {"definition"},
        11: {"backfill"},
        12: set(),
        13: {"late", "corrected"},
    }


def test_the_revenue_of_february_is_restated_as_told(told: ToldHome) -> None:
    assert revenue(told, 3) == (69, 84, 15, "late", None)
    assert revenue(told, 4) == (84, 89, 5, "corrected", None)
    assert revenue(told, 5) == (89, 49, -40, "deleted", None)
    assert revenue(told, 6) is None
    assert revenue(told, 7) is None and revenue(told, 7, segment="NL") == (40, 49, 9, "attribute", None)
    assert revenue(told, 8) == (49, 49.5, 0.5, "fx", None)
    assert [revenue(told, night) for night in (9, 10, 11, 12, 13)] == [None] * 5
    assert revenue(told, 10, 1) == (50, 51, 1, "definition", None)
    assert revenue(told, 11, 1) == (51, 50, -1, "backfill", None)
    assert revenue(told, 13, 1) == (50, 57, 7, "late", None)
    assert revenue(told, 13, 3) == (65, 71, 6, "corrected", None)


def test_what_was_known_at_the_end_of_each_day_is_known_still(told: ToldHome) -> None:
    known = [known_revenue(told, datetime(2026, 3, day, 12)) for day in range(2, 13)]
    assert known == pytest.approx([69, 69, 84, 89, 49, 49, 49, 49.5, 49.5, 49.5, 49.5])


def test_the_parts_add_up_and_the_history_is_that_of_the_generations(told: ToldHome) -> None:
    assert unexplained(told) == []
    assert parts_that_do_not_add_up(told) == []


def test_rows_behind_a_figure_are_named_with_customer_and_load(told: ToldHome) -> None:
    def rows(generation: int) -> list[tuple[Any, ...]]:
        return told.rows(
            "select customer_id, dataset, row_key, cause, numerator_delta from restatement_rows where generation = ? "
            "and kpi = 'order_revenue' and grain = 'month' and period_start = '2026-02-01' "
            "and segment_dimension = 'all' order by all",
            generation,
        )

    assert rows(3) == [("ben", "orders", "6", "late", 15)]
    assert rows(4) == [("anna", "orders", "3", "corrected", 5)]
    assert rows(5) == [("cleo", "orders", "4", "deleted", -40)]
    assert rows(8) == [("dora", None, None, "fx", 0.5), (None, "fx_rates", "2026-02-18 USD", "fx", None)]
    loads = told.rows(
        "select distinct rows.load_id, file_name from restatement_rows as rows "
        "join pipeline_loads using (load_id) where generation = 3"
    )
    assert [name for _, name in loads] == ["landing/orders/2.csv"]


def test_customers_parts_add_up_to_the_change_of_numerator_and_denominator(told: ToldHome) -> None:
    """Of causes with rows, wherever parts are known."""
    found = told.rows(
        """
        with parts as (
            select generation, kpi, grain, period_start, basis, segment_dimension, segment_value,
                sum(numerator_delta) as numerator, sum(denominator_delta) as denominator
            from restatement_rows where numerator_delta is not null group by all
        )
        select kpi, generation, numerator, any_value(coalesce(new_numerator, new, 0) - coalesce(old_numerator, old, 0)),
            denominator, any_value(coalesce(new_denominator, 0) - coalesce(old_denominator, 0))
        from parts inner join restatements
            using (generation, kpi, grain, period_start, basis, segment_dimension, segment_value)
        where generation in (3, 4, 5, 6, 7, 8, 13) group by all
        """
    )
    assert len(found) > 100
    wrong = [
        row
        for row in found
        if abs(row[2] - row[3]) > 1e-9 or (row[5] is not None and abs((row[4] or 0) - row[5]) > 1e-9)
    ]
    assert wrong == []


def test_every_restated_figure_that_counts_or_sums_has_its_customers(told: ToldHome) -> None:
    """In every cell, however many there are; without a line of nobody."""
    listed = ", ".join(f"'{kpi.id}'" for kpi in KPIS if parts_of(kpi))
    is_given = "(coalesce(old_numerator, old) is not null and coalesce(new_numerator, new) is not null)"
    found = told.rows(
        f"""
        select count(*), count(*) filter (where other_causes is not null),
            count(*) filter (where parts.generation is null
                and (coalesce(numerator_delta, 0) <> 0 or coalesce(denominator_delta, 0) <> 0))
        from (
            from restatements
            where generation in (3, 4, 5, 6, 13) and kpi in ({listed}) and {is_given}
        ) as restated
        left join (
            select distinct generation, kpi, grain, period_start, basis, segment_dimension, segment_value
            from restatement_rows where numerator_delta is not null and customer_id is not null
        ) as parts using (generation, kpi, grain, period_start, basis, segment_dimension, segment_value)
        """
    )
    assert found[0][0] > 100
    assert found[0][1:] == (0, 0)
    nobody = told.rows(
        "select distinct kpi from restatement_rows where customer_id is null and numerator_delta <> 0 "
        "and generation in (3, 4, 5, 6, 13)"
    )
    assert nobody == []


def test_two_causes_of_one_figure_are_known_apart(told: ToldHome) -> None:
    """Revenue to date per buyer at the end of March: cleo is one more, dora's order is dearer."""
    found = told.rows(
        "select cause, denominator_delta, numerator_delta, delta, new - old from restatements where generation = 13 "
        "and kpi = 'clv_historic' and grain = 'month' and period_start = '2026-03-01' and segment_dimension = 'all' "
        "order by cause"
    )
    assert [row[:3] for row in found] == [("corrected", 0, 6), ("late", 1, 7)]
    assert sum(row[3] for row in found) == pytest.approx(found[0][4])


def test_a_merge_names_both_customers(told: ToldHome) -> None:
    found = told.rows("select distinct customer_id, dataset, row_key from restatement_rows where generation = 6")
    assert sorted(found) == [("anna", "customer_aliases", "ben"), ("ben", "customer_aliases", "ben")]


def test_a_figure_is_followed_from_what_was_known_to_the_line_that_changed_it(told: ToldHome) -> None:
    figure = dict(
        zip(
            ("kpi", "grain", "period_start", "basis", "segment_dimension", "segment_value"),
            ("order_revenue", "month", date(2026, 2, 1), "order", "all", "all"),
            strict=True,
        )
    )
    with opened(told.home.current, read_only=True) as connection:
        later = since(connection, told.home, figure, datetime(2026, 3, 3, 12))
    assert (later.was_known, later.value, later.as_of) == (True, 69, date(2026, 3, 3))
    assert [(step.cause, step.old, step.new) for step in later.steps] == [
        ("late", 69, 84),
        ("corrected", 84, 89),
        ("deleted", 89, 49),
        ("fx", 49, 49.5),
    ]
    (row,) = later.steps[0].rows
    assert (row.customer_id, row.row_key, row.numerator_delta, row.file, row.line) == (
        "ben",
        "6",
        15,
        "landing/orders/2.csv",
        2,
    )
    assert row.copy is not None and Path(row.copy).exists()
    with opened(told.home.current, read_only=True) as connection:
        assert since(connection, told.home, figure, datetime(2026, 4, 2, 12)).steps == []


def test_all_of_it_can_be_made_again_from_the_archive(told: ToldHome) -> None:
    with duckdb.connect() as connection:
        assert take_up(connection, told.home) == told.runs
        connection.execute(f"attach '{told.home.current}' as published (read_only)")
        for table in ("publications", "retention_kpi_history", "restatements", "restatement_rows"):
            again, there = f"from {table}", f"from published.main.{table}"
            assert connection.execute(f"select count(*) from ({there})").fetchall()[0][0] > 0
            differing = f"({again} except all {there}) union all ({there} except all {again})"
            assert connection.execute(differing).fetchall() == [], table


def test_a_night_of_many_customers_lists_the_rows_behind_figures_of_everybody(told: ToldHome, tmp_path: Path) -> None:
    """Three are many where 200 rows may be listed. Restatements are the same; all of a segment's figure is one line."""
    homes = []
    for rows_at_most in (100_000, 200):
        home = ToldHome(tmp_path / str(rows_at_most), SETTINGS, told.compiled_in)
        home.models, home.rows_at_most = told.models, rows_at_most
        home.deliver("orders", "1.csv", ORDER + ORDERS)
        home.deliver("customers", "1.csv", CUSTOMERS)
        home.deliver("fx_rates", "1.csv", f"{RATE}2026-02-18,USD,0.90\n")
        home.deliver("customer_aliases", "1.csv", f"{ALIAS}nobody_else,somebody\n")
        home.night(date(2026, 3, 2))
        late = "6,ben,2026-02-05,15.25,EUR,paid\n7,anna,2026-01-06,5,EUR,paid\n8,cleo,2026-02-12,2.1,EUR,paid\n"
        home.deliver("orders", "2.csv", ORDER + late)
        home.night(date(2026, 3, 3))
        assert unexplained(home) == [] and parts_that_do_not_add_up(home) == []
        homes.append(home)
    everything, short = homes
    rounded = ", ".join(f"round({name}, 9) as {name}" for name in ("delta", "numerator_delta", "denominator_delta"))
    restated = f"select * replace ({rounded}) from restatements order by all"
    assert short.rows(restated) == everything.rows(restated)
    listed = (
        "select segment_dimension, count(*) > 20 from restatement_rows where customer_id <> '(not listed)' group by 1"
    )
    assert sorted(everything.rows(listed)) == [("all", True), ("country", True)]
    assert short.rows(listed) == [("all", True)]
