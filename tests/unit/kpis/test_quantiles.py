"""Percentiles from the histogram of gaps are those of the values themselves (type 7)."""

import random
from datetime import date

import duckdb
import pytest
from support.hand_made import Warehouse

from retention_pipeline.kpis import histograms

JUNE = date(2023, 6, 1)


@pytest.mark.parametrize("seed", range(12))
def test_percentiles_of_the_histogram_are_those_of_the_list(seed: int) -> None:
    draw = random.Random(seed)
    gaps = [draw.randint(1, 40) for _ in range(draw.randint(1, 30))]
    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2024, 1, 1))
    warehouse.put("period_orders", JUNE, purchase_gaps=len(gaps), purchase_gap_days=sum(gaps))
    warehouse.put_gaps(JUNE, **{f"d{days}": gaps.count(days) for days in set(gaps)})
    warehouse.compute()
    expected = duckdb.execute(
        "select quantile_cont(cast(g as double), [0.25, 0.5, 0.75]) from (select unnest($g) as g)", {"g": gaps}
    ).fetchall()[0][0]
    found = [warehouse.row(f"time_between_purchases_{name}", JUNE).value for name in ("p25", "median", "p75")]
    assert found == pytest.approx(expected, rel=1e-12)


JULY = date(2023, 7, 1)


def two_months() -> Warehouse:
    """June with gaps of 10 and 20 days, July with 30 and 40; computed once."""
    warehouse = Warehouse()
    warehouse.months(JUNE, JULY, as_of=date(2024, 1, 1))
    for month, days in ((JUNE, (10, 20)), (JULY, (30, 40))):
        warehouse.put("period_orders", month, purchase_gaps=2, purchase_gap_days=sum(days))
        warehouse.put_gaps(month, **{f"d{one}": 1 for one in days})
    warehouse.compute()
    return warehouse


def medians(warehouse: Warehouse) -> list[float | None]:
    return [warehouse.row("time_between_purchases_median", month).value for month in (JUNE, JULY)]


def test_a_histogram_that_changed_is_computed_again_and_the_others_are_taken_over() -> None:
    warehouse = two_months()
    assert medians(warehouse) == [15, 35]
    warehouse.connection.execute("update period_purchase_gaps set gap_days = 50 where gap_days = 40")
    warehouse.connection.execute("update kpi_cells_orders set gap_days_median = 99")  # known by being taken over
    warehouse.compute(run=2)
    assert medians(warehouse) == [15, 40], "June's row is as stored, its cell did not change"
    cells = "select gap_days_median from kpi_cells_orders where purchase_gaps > 0 order by period_start"
    assert warehouse.connection.execute(cells).fetchall() == [(99,), (40,)]


@pytest.mark.parametrize(
    ("before", "after", "median"),
    [
        ({"d5": 1, "d9": 1, "d20": 3}, {"d5": 2, "d9": 2, "d20": 3}, 9),  # two values came once more
        ({"d5": 1, "d9": 2}, {"d5": 2, "d9": 1}, 5),  # one gap became another
        ({"d5": 1, "d9": 2, "d20": 4}, {"d5": 4, "d9": 1, "d20": 2}, 5),
    ],
)
def test_counts_that_change_alike_are_a_change(before: dict[str, int], after: dict[str, int], median: float) -> None:
    def deliver(gaps: dict[str, int]) -> None:
        for table in ("period_orders", "period_purchase_gaps"):
            warehouse.connection.execute(f"delete from {table}")
        days = sum(int(name[1:]) * count for name, count in gaps.items())
        warehouse.put("period_orders", JUNE, purchase_gaps=sum(gaps.values()), purchase_gap_days=days)
        warehouse.put_gaps(JUNE, **gaps)

    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2024, 1, 1))
    deliver(before)
    warehouse.compute()
    deliver(after)
    warehouse.compute(run=2)
    whole = warehouse.connection.execute("select gap_days_median from kpi_cells_orders where purchase_gaps > 0")
    assert whole.fetchall() == [(median,)]
    assert warehouse.row("time_between_purchases_median", JUNE).value == median


def test_nothing_is_taken_over_from_another_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = two_months()
    warehouse.connection.execute("update kpi_cells_orders set gap_days_median = 99")
    formula = histograms.quantile
    monkeypatch.setattr(histograms, "quantile", lambda name: formula(name).replace("floor", "trunc"))
    warehouse.compute(run=2)
    cells = "select gap_days_median from kpi_cells_orders where purchase_gaps > 0 order by period_start"
    assert warehouse.connection.execute(cells).fetchall() == [(15,), (35,)]
