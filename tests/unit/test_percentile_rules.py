"""A percentile that is not where it must be among the values is seen, whatever the values are; a right one is not."""

import random
from collections import Counter

import duckdb
import pytest

from retention_pipeline.audit.percentiles import percentile_rules, percentiles_of, rule_of_waits
from retention_pipeline.kpis import orders, tickets
from retention_pipeline.kpis.registry import FAMILIES, KPIS

CELL = "'month', date '2024-03-01', 'order', 'all', 'all'"
GAPS = next(rule for rule in percentile_rules() if rule.tables[0] == "period_purchase_gaps")


def broken(values: list[int], figures: dict[str, float | None], *, n: int | None = None) -> list[str]:
    """The KPIs of one cell that the rule does not find right."""
    with duckdb.connect() as connection:
        columns = "grain varchar, period_start date, basis varchar, segment_dimension varchar, segment_value varchar"
        connection.execute(f"create table period_purchase_gaps ({columns}, gap_days integer, purchase_gaps bigint)")
        connection.execute(
            f"create table retention_kpis (kpi varchar, {columns}, value double, n bigint, null_reason varchar)"
        )
        for days, times in Counter(values).items():
            connection.execute(f"insert into period_purchase_gaps values ({CELL}, {days}, {times})")
        for kpi, value in figures.items():
            connection.execute(
                f"insert into retention_kpis values (?, {CELL}, ?, ?, ?)",
                [kpi, value, len(values) if n is None else n, "zero_denominator" if value is None else None],
            )
        return sorted(row[5] for row in connection.execute(GAPS.sql).fetchall())


def percentiles(values: list[int]) -> dict[str, float | None]:
    """By DuckDB's own function."""
    listed = ", ".join(f"quantile_cont(x, {fraction})" for fraction in (0.25, 0.5, 0.75))
    found = duckdb.execute(f"select {listed} from (select unnest(cast(? as double[])) as x)", [values]).fetchall()[0]
    return dict(zip((f"time_between_purchases_{name}" for name in ("p25", "median", "p75")), found, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_a_right_percentile_holds_and_another_one_is_seen(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.randint(0, chance.choice([3, 40])) for _ in range(chance.randint(1, 12))]
    right = percentiles(values)
    assert broken(values, right) == []
    for kpi, value in right.items():
        assert value is not None
        for wrong in (value + 0.001, value - 0.001, value + 1, None):
            assert broken(values, right | {kpi: wrong}) == [kpi]


def test_a_percentile_that_stayed_behind_its_values_is_seen() -> None:
    before, now = [10, 20, 30], [10, 20, 30, 31]
    assert broken(now, percentiles(before), n=3) == sorted(percentiles(before))
    assert broken([], percentiles(before), n=3) == sorted(percentiles(before))


def test_without_values_there_is_none() -> None:
    assert broken([], dict.fromkeys(percentiles([1]))) == []


def test_every_percentile_of_a_histogram_is_looked_at() -> None:
    looked_at = {
        kpi.id for one in FAMILIES for histogram in one.histograms for kpi, _, _ in percentiles_of(one, histogram)
    }
    named = {name for one in FAMILIES for histogram in one.histograms for name in histogram.names}
    assert looked_at == {kpi.id for kpi in KPIS if kpi.value and any(name in kpi.value for name in named)}
    assert len(looked_at) >= len(orders.FAMILY.histograms) + len(tickets.FAMILY.histograms)


@pytest.mark.parametrize(
    ("figure", "is_right"),
    [
        ((7.0, 4, None), True),
        ((6.0, 4, None), False),
        ((7.0, 3, None), False),
        ((None, None, "left_truncated"), True),
        ((None, None, "immature"), True),
        ((7.0, 4, "immature"), False),
        ((None, 4, "small_n"), True),
        ((None, 4, "zero_denominator"), False),
        ((None, 4, "not_reached"), False),
    ],
)
def test_the_median_wait_stands_on_its_curve(
    figure: tuple[float | None, int | None, str | None], is_right: bool
) -> None:
    """Of four purchase days two were followed by another after 3 and 7 days, two still wait: survival 3/4, 2/4."""
    with duckdb.connect() as connection:
        of_cell = "grain varchar, period_start date"
        segment = "segment_dimension varchar, segment_value varchar"
        connection.execute(f"create table periods ({of_cell}, close_date date)")
        connection.execute("insert into periods values ('month', '2024-03-01', '2024-04-01')")
        connection.execute(
            f"create table int_purchase_wait_flows ({of_cell}, {segment}, gap_days int, purchase_date date, waits int)"
        )
        connection.execute(
            "insert into int_purchase_wait_flows select 'month', '2024-03-01', 'all', 'all', unnest([3, 7, 0, 0]), "
            "unnest([null, null, date '2024-03-20', date '2024-03-21']), 1"
        )
        connection.execute(
            f"create table retention_kpis (kpi varchar, {of_cell}, basis varchar, {segment}, value double, n bigint, "
            "null_reason varchar)"
        )
        connection.execute(
            "insert into retention_kpis values "
            "('time_to_next_purchase_km_median', 'month', '2024-03-01', 'order', 'all', 'all', ?, ?, ?)",
            figure,
        )
        assert (connection.execute(rule_of_waits().sql).fetchall() == []) == is_right
