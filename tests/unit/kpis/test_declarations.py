"""What a declaration can say, each shown by a made-up family whose measures are put in by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from types import ModuleType
from typing import Any

import pytest
from support.hand_made import KEY, Warehouse, settings

from retention_pipeline.kpis import customers, look_backs, registry, validate_kpis
from retention_pipeline.kpis.declaration import Family, Kpi, count, proportion, ratio
from retention_pipeline.kpis.inputs import Borrowed, BorrowedFigure, Histogram, TrailingMonths
from retention_pipeline.kpis.measures import flows
from retention_pipeline.kpis.row_model import CONTRACT
from retention_pipeline.kpis.rules import Rules
from retention_pipeline.kpis.store import KpiResult, write_kpis

JUNE, JULY, AS_OF = date(2023, 6, 1), date(2023, 7, 1), date(2024, 1, 1)
ACTIVITY = Family(
    name="activity",
    label="Activity",
    period_table="period_activity",
    bases=("all",),
    datasets=("events",),
    measures=flows("cases", "hits", "misses", "curve"),
    first_row="the first case",
    borrowed=(Borrowed(customers.FAMILY, "any", ("customers_active",)),),
    trailing=(
        TrailingMonths("of_cases", ("cases",)),
        TrailingMonths("of_customers", ("customers_joined",), customers.FAMILY, "any"),
    ),
    histograms=(
        Histogram("period_waits", "seconds", "waits", (("seconds_median", "0.5"),)),
        Histogram("period_replies", "reply_seconds", "replies", (("reply_median", "0.5"),)),
    ),
)
RESULTS = Family(
    name="results",
    label="Results",
    period_table="period_results",
    bases=("all",),
    datasets=("events",),
    measures=flows("costs"),
    first_row="the first case",
    borrowed_figures=(BorrowedFigure("hit_rate", "all"), BorrowedFigure("hits_per_customer", "all")),
)
WORDS: dict[str, Any] = {"label": "A", "definition": "A.", "better": "higher"}


def of_activity(id: str, unit: str = "count", **fields: Any) -> Kpi:
    return Kpi(id=id, family=ACTIVITY, unit=unit, **(WORDS | fields))


KPIS = (
    proportion("hit_rate", "A", "A.", ACTIVITY, "hits", "cases", better="higher", look_back=(look_backs.PERIOD,)),
    ratio(
        "net_score",
        "A",
        "A.",
        ACTIVITY,
        "hits - misses",
        "cases",
        n="cases",
        better="higher",
        unit="score",
        factor_numerator="100",
        interval="nps",
        sum_of_squares="hits + misses",
        valid_range=(-100.0, 100.0),
    ),
    ratio("hits_per_customer", "A", "A.", ACTIVITY, "hits", "customers_active", n="customers_active", better="higher"),
    ratio("hits_per_day", "A", "A.", ACTIVITY, "hits", "days_in_period", n="days_in_period", better="higher"),
    ratio("hits_of_mau_days", "A", "A.", ACTIVITY, "hits", "{mau_days} * cases", n="cases", better="higher"),
    of_activity("curve_median", "days", value="nullif(curve, 0)", n="cases", can_be_unreached=True),
    of_activity("wait_minutes_median", "minutes", value="seconds_median / 60"),
    of_activity("reply_hours_median", "hours", value="reply_median / 3600", n="cases"),
    of_activity("hits_of_quarters", value="hits", grains=("quarter", "year")),
    of_activity("hits_by_channel", value="hits", dimensions=("channel",)),
    of_activity("cases_3d", value="cases", horizon_days=3),
    of_activity("cases_in_recovery", value="cases", horizon_days="payment_recovery_days"),
    of_activity("cases_in_window", value="cases", horizon_days="email_window_days"),
    of_activity("cases_before", value="cases", look_back=(look_backs.BEFORE_PERIOD,)),
    of_activity("cases_of_previous", value="cases", look_back=(look_backs.PREVIOUS_PERIOD,)),
    of_activity("cases_of_week", value="cases", look_back=(look_backs.days_before_close(7),)),
    of_activity("cases_of_mau_days", value="cases", look_back=(look_backs.days_before_close("mau_days"),)),
    of_activity("cases_of_year", value="cases", look_back=(look_backs.YEAR,)),
    of_activity("cases_at_opening", value="cases", look_back=(look_backs.state_at("opening", "period_start", "any"),)),
    of_activity("cases_at_close", value="cases", look_back=(look_backs.state_at("close", "close", "order"),)),
    of_activity(
        "cases_of_subscribers", value="cases", look_back=(look_backs.state_at("close", "close", "subscription"),)
    ),
    ratio(
        "cases_per_joined",
        "A",
        "A.",
        ACTIVITY,
        "of_cases_cases",
        "of_customers_customers_joined",
        n="of_customers_customers_joined",
        better="lower",
        immature_when="of_cases_is_short",
        look_back=(look_backs.state_at("six_months", "six_months_start", "any"),),
    ),
    ratio(
        "result_to_costs",
        "A",
        "A.",
        RESULTS,
        "hit_rate_value",
        "costs",
        n="costs",
        better="higher",
        inherited_reason="case when not hit_rate_has_row then 'zero_denominator' else hit_rate_null_reason end",
        valid_range=(0.0, None),
    ),
    count("costs", "A", "A.", RESULTS, better="lower"),
    count("customers_active", "A", "A.", customers.FAMILY, better="higher"),
)


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """An empty warehouse under a registry that has these families only."""
    put_in_registry(monkeypatch, (customers.FAMILY, ACTIVITY, RESULTS), KPIS)
    made = Warehouse()
    for table, measures in (("activity", ACTIVITY.measure_names), ("results", RESULTS.measure_names)):
        made.connection.execute(f"create table period_{table} ({KEY}, {', '.join(f'{name} int' for name in measures)})")
    for histogram in ACTIVITY.histograms:
        made.connection.execute(f"create table {histogram.table} ({KEY}, {histogram.value} int, {histogram.count} int)")
    yield made


def put_in_registry(monkeypatch: pytest.MonkeyPatch, families: tuple[Family, ...], kpis: tuple[Kpi, ...]) -> None:
    """Put families and KPIs in place of the registry's, wherever these are imported."""
    from retention_pipeline.kpis import contract, definitions, rules, store

    replaced = {"FAMILIES": families, "KPIS": kpis, "IDENTITIES": (), "BY_ID": {kpi.id: kpi for kpi in kpis}}
    modules: tuple[ModuleType, ...] = (registry, contract, definitions, rules, store)
    for module in modules:
        for name, value in replaced.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


def put(
    warehouse: Warehouse, period_start: date = JUNE, segment: str = "all=all", table: str = "activity", **measures: int
) -> None:
    if table == "activity":
        measures = {"cases": measures.get("hits", 0)} | measures
    warehouse.put(f"period_{table}", period_start, segment, "all", **measures)


def compute(
    warehouse: Warehouse, as_of: date = AS_OF, run: int = 1, datasets: str = "orders events", **business: Any
) -> KpiResult:
    families = registry.connected_families(datasets.split())
    if not warehouse.connection.execute("select count(*) from periods").fetchall()[0][0]:
        warehouse.months(JUNE, as_of=as_of)
    chosen = settings(**business)
    rules = Rules(as_of, chosen.business, orders_connected="orders" in datasets)
    result = write_kpis(
        warehouse.connection, rules, families, run_id=f"run-{run}", computed_at=datetime(2024, 1, 1, run)
    )
    broken = validate_kpis(warehouse.connection, chosen)
    assert [violation for violation in broken if not violation.rule.startswith(CONTRACT)] == []  # it knows real KPIs
    return result


def test_a_measure_of_another_family_is_that_of_the_same_period_and_segment_of_the_named_basis(
    warehouse: Warehouse,
) -> None:
    put(warehouse, hits=6)
    warehouse.put("period_customers", JUNE, basis="any", customers_active=4)
    warehouse.put("period_customers", JUNE, basis="order", customers_active=3)
    compute(warehouse)
    row = warehouse.row("hits_per_customer", JUNE)
    assert (row.value, row.numerator, row.denominator, row.n, row.basis) == (1.5, 6, 4, 4, "all")


def test_a_borrowed_row_that_is_not_there_reads_as_0(warehouse: Warehouse) -> None:
    put(warehouse, hits=6)
    put(warehouse, JUNE, "country=NL", hits=6)
    warehouse.put("period_customers", JUNE, basis="any", customers_active=4)
    compute(warehouse)
    row = warehouse.row("hits_per_customer", JUNE, "country=NL")
    assert (row.value, row.denominator, row.n, row.null_reason) == (None, 0, 0, "zero_denominator")


def test_tables_of_others_that_are_not_there_read_as_0_and_as_no_months(warehouse: Warehouse) -> None:
    put(warehouse, hits=6)
    warehouse.connection.execute("drop view customer_months; drop table period_customers")
    compute(warehouse, datasets="events")
    row = warehouse.row("hits_per_customer", JUNE)
    assert (row.value, row.denominator, row.null_reason) == (None, 0, "zero_denominator")
    assert warehouse.row("cases_per_joined", JUNE).denominator is None


@pytest.mark.parametrize(
    ("kpi", "last_day_before_it_is_given"),
    [
        ("cases_3d", date(2023, 7, 3)),
        ("cases_in_recovery", date(2023, 7, 30)),
        ("cases_in_window", date(2023, 7, 7)),
    ],
)
def test_each_horizon_passes_on_its_own_day_a_number_or_a_setting(
    warehouse: Warehouse, kpi: str, last_day_before_it_is_given: date
) -> None:
    put(warehouse, cases=5)
    compute(warehouse, last_day_before_it_is_given)
    row = warehouse.row(kpi, JUNE)
    assert (row.value, row.n, row.null_reason) == (None, None, "immature")
    compute(warehouse, date.fromordinal(last_day_before_it_is_given.toordinal() + 1), run=2)
    assert warehouse.row(kpi, JUNE).value == 5


def test_a_horizon_of_a_setting_follows_the_setting(warehouse: Warehouse) -> None:
    put(warehouse, cases=5)
    compute(warehouse, date(2023, 7, 10), payment_recovery_days=9)
    assert warehouse.row("cases_in_recovery", JUNE).value == 5


def test_percentiles_of_several_histograms_are_those_of_their_values_in_the_unit_that_the_kpi_says(
    warehouse: Warehouse,
) -> None:
    put(warehouse, cases=4)
    put(warehouse, JUNE, "country=NL", cases=1)
    key = "'month', date '2023-06-01', 'all', 'all', 'all'"
    warehouse.connection.execute(f"insert into period_waits values ({key}, 60, 2), ({key}, 90, 1), ({key}, 600, 1)")
    warehouse.connection.execute(f"insert into period_replies values ({key}, 7200, 1), ({key}, 9000, 0)")
    compute(warehouse)
    assert warehouse.row("wait_minutes_median", JUNE).value == 1.25  # between 60 and 90 seconds
    assert warehouse.row("reply_hours_median", JUNE).value == 2
    none = warehouse.row("wait_minutes_median", JUNE, "country=NL")
    assert (none.value, none.null_reason) == (None, "zero_denominator")


def test_a_point_of_a_curve_is_not_reached_or_has_nothing_behind_it(warehouse: Warehouse) -> None:
    put(warehouse, cases=9, curve=41)
    put(warehouse, JUNE, "country=NL", cases=9)
    put(warehouse, JUNE, "country=BE")
    compute(warehouse)
    found = [warehouse.row("curve_median", JUNE, segment) for segment in ("all=all", "country=NL", "country=BE")]
    assert [(row.value, row.n, row.null_reason) for row in found] == [
        (41, 9, None),
        (None, 9, "not_reached"),
        (None, 0, "zero_denominator"),
    ]


def test_a_mean_of_scores_has_its_interval_times_the_factor_which_is_not_in_the_numerator(warehouse: Warehouse) -> None:
    put(warehouse, cases=6, hits=3, misses=1)  # scores 0 7 7 9 9 9 in the words of surveys: mean 1/3, variance 5/9
    compute(warehouse)
    row = warehouse.row("net_score", JUNE)
    half = 100 * 1.959964 * math.sqrt((4 / 6 - (2 / 6) ** 2) / 6)
    assert (row.numerator, row.denominator, row.n) == (2, 6, 6)
    assert (row.value, row.ci_low, row.ci_high) == pytest.approx((100 / 3, 100 / 3 - half, 100 / 3 + half))


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({"cases": 1, "misses": 1}, (-100, None, None)),  # of one answer there is no interval
        ({"cases": 2, "hits": 2}, (100, 100, 100)),
        ({"cases": 3, "hits": 2}, (200 / 3, 200 / 3 - 100 * 1.959964 * math.sqrt(2 / 27), 100)),  # clipped
        ({"cases": 2}, (0, 0, 0)),
        ({}, (None, None, None)),
    ],
)
def test_the_interval_of_scores_stays_within_the_valid_range(
    warehouse: Warehouse, measures: dict[str, Any], expected: tuple[float | None, ...]
) -> None:
    put(warehouse, **measures)
    compute(warehouse)
    row = warehouse.row("net_score", JUNE)
    assert (row.value, row.ci_low, row.ci_high) == pytest.approx(expected)


def test_a_share_has_a_wilson_interval_and_a_ratio_has_none(warehouse: Warehouse) -> None:
    put(warehouse, cases=100, hits=5)
    compute(warehouse)
    share, other = warehouse.row("hit_rate", JUNE), warehouse.row("hits_of_mau_days", JUNE)
    assert (share.ci_low, share.ci_high) == pytest.approx((0.02154, 0.11175), abs=1e-5)
    assert (other.ci_low, other.ci_high) == (None, None)


def test_a_setting_in_an_expression_is_its_number_and_a_changed_one_writes_the_row_anew(warehouse: Warehouse) -> None:
    put(warehouse, cases=8, hits=7)
    compute(warehouse)
    row = warehouse.row("hits_of_mau_days", JUNE)
    assert (row.value, row.denominator) == (7 / 224, 224)
    compute(warehouse, run=2, mau_days=7)
    assert warehouse.row("hits_of_mau_days", JUNE).value == 0.125


def test_days_of_the_period_end_with_the_close(warehouse: Warehouse) -> None:
    put(warehouse, hits=60)
    compute(warehouse)
    assert warehouse.row("hits_per_day", JUNE).denominator == 30
    warehouse.connection.execute("update periods set is_complete = false")
    compute(warehouse, date(2023, 6, 11), run=2)
    assert warehouse.row("hits_per_day", JUNE).denominator == 10


@pytest.mark.parametrize(
    ("kpi", "last_day_that_is_early_enough"),
    [
        ("hit_rate", JUNE),  # needs all of the period
        ("cases_before", date(2023, 5, 31)),
        ("cases_of_previous", date(2023, 5, 1)),
        ("cases_of_week", date(2023, 6, 24)),
        ("cases_of_mau_days", date(2023, 6, 3)),
        ("cases_of_year", date(2022, 7, 1)),
        ("cases_at_opening", date(2023, 3, 3)),  # the activity window of 90 days before 1 June
        ("cases_at_close", date(2023, 4, 2)),
        ("cases_of_subscribers", date(2023, 6, 30)),
    ],
)
def test_each_look_back_is_cut_by_its_own_day(
    warehouse: Warehouse, kpi: str, last_day_that_is_early_enough: date
) -> None:
    put(warehouse, cases=5, hits=1)
    compute(warehouse, data_start=last_day_that_is_early_enough)
    assert warehouse.row(kpi, JUNE).value is not None
    compute(warehouse, run=2, data_start=date.fromordinal(last_day_that_is_early_enough.toordinal() + 1))
    row = warehouse.row(kpi, JUNE)
    assert (row.value, row.numerator, row.denominator, row.n, row.null_reason) == (*[None] * 4, "left_truncated")


def test_without_orders_the_state_of_basis_any_is_cut_by_the_eve(warehouse: Warehouse) -> None:
    put(warehouse, cases=5)
    compute(warehouse, datasets="subscriptions events", data_start=date(2023, 5, 31))
    assert warehouse.row("cases_at_opening", JUNE).value == 5
    compute(warehouse, run=2, datasets="subscriptions events", data_start=JUNE)
    assert warehouse.row("cases_at_opening", JUNE).null_reason == "left_truncated"


@pytest.mark.parametrize(
    ("grain", "previous"),
    [("week", "2023-05-25"), ("month", "2023-05-01"), ("quarter", "2023-03-01"), ("year", "2022-06-01")],
)
def test_the_previous_period_begins_a_period_before_whether_it_has_figures_or_not(
    warehouse: Warehouse, grain: str, previous: str
) -> None:
    warehouse.connection.execute(f"insert into periods values ('{grain}', '2023-06-01', '2023-06-08', true)")
    warehouse.put("period_activity", JUNE, basis="all", grain=grain, cases=5)
    compute(warehouse, data_start=date.fromisoformat(previous))
    assert warehouse.row("cases_of_previous", JUNE).value == 5
    compute(warehouse, run=2, data_start=date.fromordinal(date.fromisoformat(previous).toordinal() + 1))
    assert warehouse.row("cases_of_previous", JUNE).value is None


def test_a_kpi_is_given_for_its_grains_and_dimensions_only(warehouse: Warehouse) -> None:
    warehouse.connection.execute("insert into periods values ('quarter', '2023-04-01', '2023-07-01', true)")
    warehouse.months(JUNE, as_of=AS_OF)
    put(warehouse, hits=1)
    put(warehouse, JUNE, "channel=paid", hits=1)
    put(warehouse, JUNE, "country=NL", hits=1)
    warehouse.put("period_activity", date(2023, 4, 1), basis="all", grain="quarter", cases=3, hits=3)
    compute(warehouse)
    rows = "select grain, segment_dimension from retention_kpis where kpi = ? order by all"
    found = {
        kpi: warehouse.connection.execute(rows, [kpi]).fetchall() for kpi in ("hits_of_quarters", "hits_by_channel")
    }
    assert found["hits_of_quarters"] == [("quarter", "all")]
    assert found["hits_by_channel"] == [("month", "all"), ("month", "channel"), ("quarter", "all")]


def test_rows_that_a_narrower_declaration_has_no_more_are_removed(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(warehouse, cases=1)
    compute(warehouse)
    assert warehouse.row("cases_3d", JUNE).value == 1
    narrower = tuple(replace(kpi, grains=("year",)) if kpi.id == "cases_3d" else kpi for kpi in KPIS)
    put_in_registry(monkeypatch, registry.FAMILIES, narrower)
    assert compute(warehouse, run=2).removed == 1


def six_months(warehouse: Warehouse) -> None:
    """January to June: a case a month for 10 who joined in all; basis order is another."""
    months = [date(2023, month, 1) for month in range(1, 7)]
    warehouse.months(*months, as_of=AS_OF)
    for month in months:
        put(warehouse, month, cases=1)
    warehouse.put("period_customers", months[0], basis="any", customers_joined=7)
    warehouse.put("period_customers", months[5], basis="any", customers_joined=3)
    warehouse.put("period_customers", months[5], basis="order", customers_joined=5)


def test_trailing_months_of_the_own_table_and_of_another_basis(warehouse: Warehouse) -> None:
    six_months(warehouse)
    compute(warehouse)
    row = warehouse.row("cases_per_joined", JUNE)
    assert (row.value, row.numerator, row.denominator, row.n) == (0.6, 6, 10, 10)
    may = warehouse.row("cases_per_joined", date(2023, 5, 1))
    assert (may.value, may.null_reason) == (None, "immature")


def test_of_several_reasons_the_first_applies(warehouse: Warehouse) -> None:
    six_months(warehouse)
    compute(warehouse, data_start=date(2022, 10, 4))  # less than 90 days before the first of May's six months
    found = {month: warehouse.row("cases_per_joined", date(2023, month, 1)).null_reason for month in (5, 6)}
    assert found == {5: "left_truncated", 6: "left_truncated"}
    compute(warehouse, run=2, data_start=date(2022, 9, 1))
    found = {month: warehouse.row("cases_per_joined", date(2023, month, 1)).null_reason for month in (5, 6)}
    assert found == {5: "immature", 6: None}


@pytest.mark.parametrize(
    ("cases", "data_start", "expected"),
    [
        (4, None, (0.05, 0.5, 10, 10, None)),
        (0, None, (None, None, 10, 10, "zero_denominator")),
        (4, date(2023, 6, 2), (None, None, None, None, "left_truncated")),
    ],
)
def test_a_figure_that_builds_on_another_takes_over_why_that_is_not_given(
    warehouse: Warehouse, cases: int, data_start: date | None, expected: tuple[Any, ...]
) -> None:
    put(warehouse, cases=cases, hits=cases // 2)
    put(warehouse, table="results", costs=10)
    compute(warehouse, data_start=data_start)
    row = warehouse.row("result_to_costs", JUNE)
    assert (row.value, row.numerator, row.denominator, row.n, row.null_reason) == pytest.approx(expected)


def test_a_figure_follows_the_one_that_it_builds_on_and_knows_when_that_has_no_row(warehouse: Warehouse) -> None:
    put(warehouse, cases=4, hits=2)
    put(warehouse, table="results", costs=10)
    put(warehouse, JUNE, "country=NL", "results", costs=10)
    compute(warehouse)
    assert warehouse.row("result_to_costs", JUNE, "country=NL").null_reason == "zero_denominator"
    warehouse.connection.execute("update period_activity set hits = 4")
    result = compute(warehouse, run=2)
    row = warehouse.row("result_to_costs", JUNE)
    assert (row.value, row.run_id) == (0.1, "run-2")
    assert result.changed_months == (JUNE,)
    assert warehouse.row("costs", JUNE).run_id == "run-1"
