"""What a changed setting will restate is told before; former definitions are kept."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from support.made_publications import MadeHome, figure

from retention_pipeline.history.ahead import announced
from retention_pipeline.history.causes import find_causes, is_moved
from retention_pipeline.history.definitions import write_definition_history
from retention_pipeline.history.publications import Publication, add
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.run.operations import restore
from retention_pipeline.settings import parse_settings


def settings(*, datasets: tuple[str, ...] = ("orders",), **changes: Any) -> str:
    business = {"activity_window_days": 90, "min_n": 30, "renewal_grace_days": 30}
    business |= {name: value for name, value in changes.items() if name in business}
    others = {name: value for name, value in changes.items() if name not in business}
    return json.dumps({"settings": {"business": business, **others}, "datasets": datasets, "segments": ["country"]})


def publication(day: int, **made: str) -> Publication:
    told = {"settings_fingerprint": "s", "code_fingerprint": "c", "kpi_fingerprint": "k", "settings": settings()} | made
    moment = datetime(2026, 3, day, 2)
    return Publication(moment, day, "night", moment.date(), f"run-{day}", **told)


def lines(**changes: Any) -> list[str]:
    with duckdb.connect() as connection:
        add(connection, publication(1))
        return announced(connection, settings(**changes), ("activity_window_days", "renewal_grace_days", "segments"))


def test_nothing_is_announced_without_a_change() -> None:
    assert lines() == []


def test_a_changed_setting_names_the_families_and_kpis_that_it_moves() -> None:
    (line,) = lines(renewal_grace_days=45)
    assert line.startswith("renewal_grace_days was 30 and is 45: the next run is a full refresh, and may restate ")
    assert "renewal_rate" in line and "order_revenue" not in line


def test_a_setting_that_only_kpis_read_makes_no_full_refresh() -> None:
    (line,) = lines(min_n=10)
    assert line.startswith(
        "min_n was 30 and is 10: the next run may restate 3 KPIs of Customers, Orders, Subscriptions:"
    )
    assert line.splitlines()[1] == "    customer_lifespan_years, clv, clv_subscription"


def test_a_dataset_that_comes_alone_is_an_ordinary_night() -> None:
    (line,) = lines(datasets=("orders", "surveys"))
    assert line == "datasets was orders and is orders, surveys: the next run brings the figures of Surveys"
    (line,) = lines(datasets=("orders", "subscriptions"))
    assert "the next run is a full refresh, and brings the figures of Subscriptions and may restate" in line
    assert "Customers" in line.splitlines()[0] and "Orders" not in line.splitlines()[0].split("may restate")[1]


def test_a_dataset_moves_the_figures_that_need_it() -> None:
    (line,) = lines(datasets=("orders", "acquisition_costs"))
    assert "is a full refresh" not in line and "restate" not in line
    (line,) = lines(datasets=("orders", "fx_rates"))
    assert "order_revenue" in line and "customers_lost" not in line and "brings" not in line
    (line,) = lines(datasets=("customer_aliases", "orders"))
    assert line.endswith("and may restate every figure that there is")
    (line,) = lines(datasets=("kpi_targets", "orders"))
    assert line.endswith("the next run moves no KPI")


def test_the_calendar_moves_everything_and_the_longest_cohort_no_kpi() -> None:
    (line,) = lines(history_start="2024-01-01")
    assert line.endswith("may restate every figure")
    (line,) = lines(cohort_max_age={"month": 12})
    assert line.endswith("moves no KPI")
    (line,) = lines(max_segment_values=10)
    assert line.endswith("may restate the figures of segments")


def test_a_setting_that_is_not_known_may_move_everything() -> None:
    assert is_moved(BY_ID["orders"], "all", {"something_new"})
    assert is_moved(BY_ID["order_revenue"], "all", {"reporting_currency"})
    assert not is_moved(BY_ID["orders"], "all", {"renewal_grace_days"})


def test_late_orders_may_move_the_cost_of_a_customer_since_they_say_who_joined() -> None:
    datasets = ("orders", "subscriptions", "acquisition_costs")
    made = parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "sources": {name: {"type": "files", "path": f"{name}/*.csv"} for name in datasets},
        }
    )
    with duckdb.connect() as connection:
        connection.execute(
            "create temp table run_rows as select 1 as customer_key, 'orders' as dataset, 'o1' as row_key, "
            "2 as load_id, 'late' as cause, date '2026-02-01' as first_day"
        )
        find_causes(connection, made, publication(1), publication(2), fx=False)
        moved = connection.execute(
            "select distinct kpi from kpi_causes where dataset = 'orders' and segment_dimension = 'all'"
        ).fetchall()
    assert ("customer_acquisition_cost",) in moved
    assert not {("acquisition_cost",), ("mrr_end",)} & set(moved)


def test_a_former_definition_is_kept_with_the_time_in_which_it_was_in_force() -> None:
    with duckdb.connect() as connection:
        for day, version, words in ((1, 1, "Orders."), (2, 1, "Orders."), (3, 2, "Orders that count.")):
            connection.execute(
                f"create or replace table kpi_definitions as select 'orders' as kpi, 'Orders' as label, '{words}' as "
                f"definition, 'orders' as value, null as numerator, null as denominator, null as n, null as factor, "
                f"null as settings, {version} as definition_version"
            )
            write_definition_history(connection, publication(day))
        rows = connection.execute(
            "select definition, definition_version, day(known_from), day(known_to) from kpi_definition_history "
            "order by known_from"
        ).fetchall()
    assert rows == [("Orders.", 1, 1, 3), ("Orders that count.", 2, 3, None)]


def definitions(made: MadeHome) -> list[tuple[Any, ...]]:
    return made.rows(
        "select definition, definition_version, day(known_from), day(known_to) from kpi_definition_history order by 3"
    )


def test_former_definitions_outlive_a_full_refresh_a_changed_setting_a_restore_and_all_generations(
    tmp_path: Path,
) -> None:
    made = MadeHome(tmp_path / "home")

    def publish(day: int, definition: str, **more: Any) -> None:
        moment = datetime(2026, 3, day, 2)
        made.publish([figure(1, 5)], as_of=moment.date(), at=moment, definition=definition, **more)

    publish(1, "Orders.")
    publish(2, "Orders that count.", full_refresh=True)
    publish(3, "Orders that count.", full_refresh=True, settings_fingerprint="s2")
    two = [("Orders.", 1, 1, 2), ("Orders that count.", 1, 2, None)]
    assert definitions(made) == two
    for path in made.home.published.iterdir():
        path.unlink()
    publish(4, "Orders that count.")
    assert definitions(made) == two
    publish(5, "All orders.")
    restore(made.home, now=datetime(2026, 3, 6, 2))
    publish(7, "All orders.")
    assert definitions(made) == [
        ("Orders.", 1, 1, 2),
        ("Orders that count.", 1, 2, 5),
        ("All orders.", 1, 5, 6),
        ("Orders that count.", 1, 6, 7),
        ("All orders.", 1, 7, None),
    ]


def test_a_home_without_history_begins_it_with_what_stands_published(tmp_path: Path) -> None:
    from retention_pipeline.history.record import record
    from retention_pipeline.warehouse import opened

    made = MadeHome(tmp_path / "home")
    march = datetime(2026, 3, 1, 2)
    made.publish([figure(1, 5)], as_of=march.date(), at=march)
    with opened(tmp_path / "next.duckdb") as connection:
        connection.execute(f"attach '{made.home.current.resolve()}' as published (read_only)")
        connection.execute("create table retention_kpis as from published.retention_kpis")
        connection.execute("update retention_kpis set value = 6, run_id = 'run-2'")
        for path in (made.home.archive / "history").iterdir():
            path.unlink()
        recorded = record(connection, made.home, publication(2), published=publication(1), removed=False)
        assert recorded.before == publication(1) and recorded.changes == 1
        rows = connection.execute("select value, day(known_from), day(known_to) from retention_kpi_history order by 2")
        assert rows.fetchall() == [(5, 1, 2), (6, 2, None)]
