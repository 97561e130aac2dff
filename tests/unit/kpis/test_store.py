"""Which rows a run writes: those that changed, no others; a second run changes nothing."""

from datetime import date
from typing import Any

from support.hand_made import MONTHS, Warehouse

from retention_pipeline.kpis.store import COLUMNS, COMMENTS

AS_OF = date(2024, 1, 1)
MARCH = date(2023, 3, 1)


def company() -> Warehouse:
    """Eight months of everything for the whole and one country."""
    warehouse = Warehouse()
    warehouse.months(*MONTHS[:8], as_of=AS_OF)
    for number, month in enumerate(MONTHS[:8]):
        for segment in ("all=all", "country=NL"):
            for basis in ("order", "subscription", "any"):
                warehouse.put(
                    "period_customers",
                    month,
                    segment,
                    basis,
                    customers_start=50 + number,
                    customers_lost=3,
                    customers_end=60,
                )
            warehouse.put("period_orders", month, segment, orders=7, order_revenue="70.10", ordering_customers=6)
            warehouse.put("period_mrr", month, segment, mrr_end=100 + number, paying_customers_end=9)
    return warehouse


def written_by(warehouse: Warehouse, run: int) -> list[tuple[Any, ...]]:
    """kpi, period_start, segment_value and basis of the rows that a run wrote last."""
    return warehouse.connection.execute(
        "select kpi, period_start, segment_value, basis from retention_kpis where run_id = ? order by all",
        [f"run-{run}"],
    ).fetchall()


def test_a_second_run_with_the_same_tables_writes_nothing() -> None:
    warehouse = company()
    first = warehouse.compute()
    second = warehouse.compute(run=2)
    assert first.changed == first.rows > 0
    assert (second.rows, second.changed, second.removed, second.changed_months) == (first.rows, 0, 0, ())
    assert written_by(warehouse, 2) == []


def test_the_table_and_its_columns_say_what_they_hold() -> None:
    warehouse = company()
    for run in (1, 2):
        warehouse.compute(run=run)
        columns = "select column_name, comment from duckdb_columns() where table_name = 'retention_kpis'"
        assert dict(warehouse.connection.execute(columns).fetchall()) == COMMENTS
        warehouse.connection.execute("update period_orders set orders = orders + 1")
    assert set(COMMENTS) == set(COLUMNS)


def test_only_figures_of_the_changed_measure_are_written_anew() -> None:
    warehouse = company()
    warehouse.compute()
    warehouse.connection.execute(
        "update period_orders set orders = 8 where period_start = ? and segment_value = 'NL'", [MARCH]
    )
    result = warehouse.compute(run=2)
    assert written_by(warehouse, 2) == [
        (kpi, MARCH, "NL", "order")
        for kpi in sorted(
            [
                "average_order_value",
                "average_order_value_returning",
                "orders",
                "purchase_frequency",
                "returning_revenue_share",
            ]
        )
    ]
    assert (result.changed, result.changed_months) == (5, (MARCH,))
    assert warehouse.row("orders", MARCH, "country=NL").as_of == AS_OF


def test_a_changed_month_moves_the_lifetime_figures_of_the_six_months_after_it() -> None:
    warehouse = company()
    warehouse.compute()
    warehouse.connection.execute(
        "update period_customers set customers_lost = 4 where period_start = ? and segment_value = 'all' and basis "
        "= 'order'",
        [MARCH],
    )
    warehouse.compute(run=2)
    moved = [row[1] for row in written_by(warehouse, 2) if row[0] == "customer_lifespan_years"]
    assert moved == [date(2023, 6, 1), date(2023, 7, 1), date(2023, 8, 1)]


def test_differences_below_the_tolerance_are_none() -> None:
    warehouse = company()
    warehouse.compute()
    warehouse.connection.execute("update retention_kpis set value = value * (1 + 1e-13) where kpi = 'arpc'")
    warehouse.connection.execute("drop table kpi_cells_subscriptions")
    assert warehouse.compute(run=2).changed == 0
    warehouse.connection.execute("update retention_kpis set value = value * (1 + 1e-11) where kpi = 'arpc'")
    warehouse.connection.execute("drop table kpi_cells_subscriptions")
    assert {row[0] for row in written_by(warehouse, 3)} == set()
    assert warehouse.compute(run=3).changed == 16
    assert {row[0] for row in written_by(warehouse, 3)} == {"arpc"}


def test_rows_go_with_their_cells() -> None:
    warehouse = company()
    before = warehouse.compute()
    warehouse.connection.execute("delete from period_orders where period_start = ? and segment_value = 'NL'", [MARCH])
    after = warehouse.compute(run=2)
    assert before.rows - after.rows == after.removed > 0
    assert after.changed_months == (MARCH,)
    left = warehouse.connection.execute(
        "select count(*) from retention_kpis where kpi = 'orders' and segment_value = 'NL'"
    ).fetchall()
    assert left == [(7,)]


def test_a_period_that_closes_changes_its_rows() -> None:
    warehouse = company()
    warehouse.connection.execute("update periods set is_complete = false where period_start = ?", [MONTHS[7]])
    warehouse.compute(date(2023, 8, 20))
    warehouse.connection.execute("update periods set is_complete = true")
    result = warehouse.compute(date(2023, 9, 1), run=2)
    assert result.changed_months[-1] == MONTHS[7]
    assert warehouse.row("orders", MONTHS[7]).run_id == "run-2"
    assert warehouse.row("orders", MARCH).run_id == "run-1"


def test_a_horizon_that_passes_changes_the_figure_although_no_measure_did() -> None:
    warehouse = company()
    warehouse.connection.execute("update period_orders set first_time_buyers = 4, repurchased_180d = 1")
    warehouse.compute(date(2024, 1, 1))
    assert warehouse.row("repurchase_within_180d", MONTHS[7]).null_reason == "immature"
    warehouse.compute(date(2024, 3, 1), run=2)
    row = warehouse.row("repurchase_within_180d", MONTHS[7])
    assert (row.value, row.null_reason, row.run_id) == (0.25, None, "run-2")


def test_a_changed_setting_is_seen_without_a_changed_table() -> None:
    warehouse = company()
    warehouse.compute()
    warehouse.compute(run=2, gross_margin=0.5)
    assert {row[0] for row in written_by(warehouse, 2)} == {"clv_subscription"}


def test_writing_in_place_and_writing_anew_end_in_the_same_rows() -> None:
    """A run that finds a few changed rows deletes and inserts them, one that finds many makes a new table."""
    in_place, anew = company(), company()
    in_place.compute()
    anew.connection.execute("update period_customers set customers_start = 5, customers_end = 7, customers_lost = 1")
    anew.connection.execute("update period_mrr set mrr_end = 3, customers_open = 2")
    anew.connection.execute("update period_orders set orders = 1")
    anew.compute()
    change = "update period_orders set orders = 9 where period_start = date '2023-04-01'"
    in_place.connection.execute(change)
    in_place.compute(run=2)
    for table in ("period_customers", "period_orders", "period_mrr"):
        anew.connection.execute(f"delete from {table}")
    same = company()
    same.connection.execute(change)
    for table in ("period_customers", "period_orders", "period_mrr"):
        rows = same.connection.execute(f"select * from {table}").fetchall()
        anew.connection.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)
    assert anew.compute(run=2).changed > 0.2 * anew.compute(run=3).rows
    assert anew.all_rows() == in_place.all_rows()


def test_a_dataset_that_is_no_longer_connected_takes_its_family_away() -> None:
    warehouse = company()
    warehouse.compute()
    warehouse.connection.execute("delete from period_orders")
    warehouse.connection.execute("delete from period_customers where basis = 'order'")
    warehouse.compute(run=2, datasets="subscriptions")
    families = warehouse.connection.execute(
        "select distinct family from retention_kpis join kpi_definitions using (kpi) order by 1"
    ).fetchall()
    assert families == [("customers",), ("subscriptions",)]


def test_a_kpi_that_is_no_longer_declared_goes() -> None:
    warehouse = company()
    warehouse.compute()
    warehouse.connection.execute("update retention_kpis set kpi = 'of_yesterday' where kpi = 'orders'")
    warehouse.connection.execute("drop table kpi_cells_orders")
    warehouse.compute(run=2)
    ids = {row[0] for row in warehouse.connection.execute("select distinct kpi from retention_kpis").fetchall()}
    assert "of_yesterday" not in ids and "orders" in ids
