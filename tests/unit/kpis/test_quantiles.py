"""Percentiles from the histogram of gaps are those of the values themselves (type 7)."""

import random
from datetime import date

import duckdb
import pytest
from hand_made import Warehouse

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
