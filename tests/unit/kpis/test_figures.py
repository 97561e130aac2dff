"""KPI values, null reasons and intervals over small period tables: ordinary, nothing to divide by, still open."""

from datetime import date
from math import sqrt

import pytest
from support.hand_made import Warehouse, one_month, rules

from retention_pipeline.kpis.figures import FIGURES, figures_statement
from retention_pipeline.kpis.registry import FAMILIES
from retention_pipeline.kpis.store import COLUMNS

JUNE = date(2023, 6, 1)


@pytest.mark.parametrize(
    ("kpi", "value"),
    [
        ("customer_retention_rate", 90 / 100),
        ("customer_churn_rate", 10 / 100),
        ("churn_rate_events", 12 / 100),
        ("churn_rate_stripe", 12 / 130),
        ("customers_end", 119),
        ("customers_active", 100 + 29 + 1),
        ("customer_retention_rate_formula", (119 - 29) / 100),
    ],
)
def test_thirty_join_and_eleven_end_a_span(kpi: str, value: float) -> None:
    """Start 100; 30 join, of whom 1 leaves again; 11 of the 100 end a span and 1 of them is back at the close."""
    warehouse = one_month(
        "period_customers",
        customers_start=100,
        customers_end=119,
        customers_retained=90,
        customers_new=29,
        customers_lost=10,
        customers_transient=1,
        customers_active=130,
        customers_joined=30,
        churn_events=12,
    )
    assert warehouse.row(kpi, JUNE).value == pytest.approx(value, rel=1e-12)


def test_the_textbook_formula_does_not_show_that_nobody_left() -> None:
    warehouse = one_month(
        "period_customers", customers_start=100, customers_new=20, customers_end=120, customers_retained=100
    )
    row = warehouse.row("customer_retention_rate_formula", JUNE)
    assert (row.value, row.numerator, row.denominator, row.n, row.null_reason) == (1.0, 100, 100, 100, None)
    assert row.ci_low is None and row.ci_high is None


def test_fifty_lost_of_a_thousand_are_a_churn_of_five_percent_with_its_interval() -> None:
    warehouse = one_month(
        "period_customers", customers_start=1000, customers_lost=50, customers_retained=950, customers_end=950
    )
    row = warehouse.row("customer_churn_rate", JUNE)
    z, p, n = 1.959964, 0.05, 1000
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert row.value == 0.05
    assert row.ci_low == pytest.approx((middle - half) / (1 + z * z / n), rel=1e-9)
    assert row.ci_high == pytest.approx((middle + half) / (1 + z * z / n), rel=1e-9)
    assert (row.ci_low, row.ci_high) == (pytest.approx(0.0381, abs=5e-5), pytest.approx(0.0653, abs=5e-5))
    assert warehouse.row("customer_retention_rate", JUNE).value == 0.95


def test_intervals_stay_within_zero_and_one_where_nobody_or_everybody_left() -> None:
    none = one_month("period_customers", customers_start=3, customers_retained=3, customers_end=3).row(
        "customer_churn_rate", JUNE
    )
    everybody = one_month("period_customers", customers_start=3, customers_lost=3).row("customer_churn_rate", JUNE)
    assert (
        none.ci_low == pytest.approx(0, abs=1e-12)
        and none.ci_low >= 0
        and none.ci_high == pytest.approx(0.5615, abs=1e-4)
    )
    assert everybody.ci_high == pytest.approx(1, abs=1e-12) and everybody.ci_high <= 1


def test_a_rate_over_nobody_is_null_with_its_reason_and_keeps_its_counts() -> None:
    warehouse = one_month("period_customers", customers_new=4, customers_end=4, customers_joined=4, churn_events=1)
    row = warehouse.row("customer_churn_rate", JUNE)
    assert (row.value, row.numerator, row.denominator, row.n) == (None, 0, 0, 0)
    assert (row.null_reason, row.ci_low, row.ci_high) == ("zero_denominator", None, None)
    assert warehouse.row("churn_rate_stripe", JUNE).value == 0.25


def test_counts_and_sums_carry_no_numerator_no_denominator_and_no_n() -> None:
    warehouse = one_month("period_orders", orders=3, order_revenue="12.50", ordering_customers=2)
    row = warehouse.row("order_revenue", JUNE)
    assert (row.value, row.numerator, row.denominator, row.n, row.unit, row.currency) == (
        12.5,
        None,
        None,
        None,
        "money",
        "EUR",
    )
    assert warehouse.row("orders", JUNE).currency is None


def test_an_open_period_is_not_complete_and_has_figures_all_the_same() -> None:
    row = one_month("period_orders", as_of=date(2023, 6, 20), orders=4, ordering_customers=2).row(
        "purchase_frequency", JUNE
    )
    assert (row.value, row.n, row.is_complete) == (2.0, 2, False)
    assert row.period_end == date(2023, 7, 1)


def test_two_hundred_of_a_thousand_buyers_bought_again() -> None:
    warehouse = one_month(
        "period_orders", orders=1300, ordering_customers=1000, repeat_customers=200, buyers_to_date=4000
    )
    assert warehouse.row("repeat_purchase_rate", JUNE).value == 0.2
    assert warehouse.row("repeat_purchase_rate_base", JUNE).value == 0.05


@pytest.mark.parametrize(
    ("kpi", "numerator", "denominator", "n"),
    [
        ("average_order_value", 100, 8, 8),
        ("average_order_value_new", 36, 2, 2),
        ("average_order_value_returning", 64, 6, 6),
        ("returning_revenue_share", 64, 100, 8),
        ("returning_customer_rate", 3, 5, 5),
        ("repeat_customer_rate", 7, 10, 10),
        ("one_time_customer_rate", 3, 10, 10),
        ("clv_historic", 500, 10, 10),
        ("time_between_purchases_mean", 90, 6, 6),
    ],
)
def test_ratios_of_orders(kpi: str, numerator: float, denominator: float, n: int) -> None:
    warehouse = one_month(
        "period_orders",
        orders=8,
        order_revenue=100,
        ordering_customers=5,
        new_customer_orders=2,
        new_customer_revenue=36,
        returning_customers=3,
        buyers_to_date=10,
        repeat_buyers_to_date=7,
        revenue_to_date=500,
        purchase_gaps=6,
        purchase_gap_days=90,
    )
    row = warehouse.row(kpi, JUNE)
    assert (row.numerator, row.denominator, row.n) == (numerator, denominator, n)
    assert row.value == pytest.approx(numerator / denominator, rel=1e-12)


def test_repurchase_is_immature_until_everybody_had_the_days() -> None:
    measures = {"first_time_buyers": 10, "repurchased_30d": 4}
    early = one_month("period_orders", as_of=date(2023, 7, 30), **measures).row("repurchase_within_30d", JUNE)
    mature = one_month("period_orders", as_of=date(2023, 7, 31), **measures).row("repurchase_within_30d", JUNE)
    assert (early.value, early.numerator, early.denominator, early.n, early.null_reason) == (None,) * 4 + ("immature",)
    assert (mature.value, mature.numerator, mature.n, mature.null_reason) == (0.4, 4, 10, None)


def test_quartiles_of_gaps_lie_between_neighbours() -> None:
    """Gaps 7, 7, 10, 30: positions 0.75, 1.5 and 2.25 of 0…3."""
    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2024, 1, 1))
    warehouse.put("period_orders", JUNE, purchase_gaps=4, purchase_gap_days=54)
    warehouse.put_gaps(JUNE, d7=2, d10=1, d30=1)
    warehouse.compute()
    values = [warehouse.row(f"time_between_purchases_{name}", JUNE) for name in ("p25", "median", "p75", "mean")]
    assert [row.value for row in values] == [7, 8.5, 15, 13.5]
    assert [(row.numerator, row.denominator, row.n) for row in values[:3]] == [(None, None, 4)] * 3


def test_without_gaps_there_is_no_median() -> None:
    row = one_month("period_orders", orders=1, ordering_customers=1).row("time_between_purchases_median", JUNE)
    assert (row.value, row.n, row.null_reason) == (None, 0, "zero_denominator")


@pytest.mark.parametrize(
    ("kpi", "value", "n"),
    [
        ("gross_revenue_retention", 0.85, 20),
        ("net_revenue_retention", 0.95, 20),
        ("mrr_churn_rate", 0.15, 20),
        ("mrr_churn_rate_cancelled", 0.10, 20),
        ("existing_customer_revenue_growth", -0.05, 20),
        ("mrr_growth_rate", 0.06, 20),
        ("net_mrr_churn_rate", (100 + 50 - 90 - 20) / 1000, 20),
        ("quick_ratio", (85 + 20 + 90) / (100 + 50), 4),
        ("involuntary_churn_rate", 0.05, 20),
        ("voluntary_churn_rate", 0.10, 20),
        ("unknown_churn_rate", 0.0, 20),
        ("arpc", 1060 / 22, 22),
    ],
)
def test_ratios_of_revenue(kpi: str, value: float, n: int) -> None:
    warehouse = one_month(
        "period_mrr",
        mrr_start=1000,
        mrr_end=1060,
        mrr_new=85,
        mrr_reactivation=20,
        mrr_expansion=90,
        mrr_contraction=50,
        mrr_churn=100,
        paying_customers_end=22,
        customers_open=20,
        mrr_open=1000,
        mrr_kept=850,
        mrr_kept_and_grown=950,
        mrr_cancelled=100,
        customers_with_losses=4,
        lost_involuntary=1,
        lost_voluntary=2,
    )
    row = warehouse.row(kpi, JUNE)
    assert row.value == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert row.n == n
    assert warehouse.row("mrr_fx", JUNE).value == 15
    assert warehouse.row("arr_end", JUNE).value == 12 * 1060


def test_a_quick_ratio_without_losses_is_null_not_infinite() -> None:
    row = one_month("period_mrr", mrr_new=10, mrr_end=10, paying_customers_end=1).row("quick_ratio", JUNE)
    assert (row.value, row.numerator, row.denominator, row.null_reason) == (None, 10, 0, "zero_denominator")


def test_a_hundred_customers_paying_fifty_are_five_thousand_of_mrr() -> None:
    warehouse = one_month("period_mrr", mrr_end=5000, paying_customers_end=100)
    assert (warehouse.row("mrr_end", JUNE).value, warehouse.row("arpc", JUNE).value) == (5000, 50)


def test_rows_of_a_native_currency_are_not_kpi_rows() -> None:
    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2024, 1, 1))
    warehouse.put("period_mrr", JUNE, mrr_end=120)
    warehouse.put("period_mrr", JUNE, mrr_end=100, currency="USD")
    warehouse.compute()
    assert warehouse.row("mrr_end", JUNE).value == 120


@pytest.mark.parametrize(
    ("pending", "renewed", "lapsed", "value", "reason"),
    [(1, 3, 1, 0.75, None), (0, 0, 0, None, "zero_denominator"), (2, 0, 0, None, "immature")],
)
def test_renewals_are_immature_with_pending_terms_only(
    pending: int, renewed: int, lapsed: int, value: float | None, reason: str | None
) -> None:
    warehouse = one_month(
        "period_mrr",
        renewals_due=pending + renewed + lapsed,
        renewals_pending=pending,
        renewals_renewed=renewed,
        renewals_not_renewed=lapsed,
        renewal_mrr_due=10 * (renewed + lapsed),
        renewal_mrr_renewed=10 * renewed,
    )
    for kpi in ("renewal_rate", "renewal_rate_value"):
        row = warehouse.row(kpi, JUNE)
        assert (row.value, row.null_reason) == (value, reason)
        assert row.n == (None if reason == "immature" else renewed + lapsed)
    assert warehouse.row("renewals_pending", JUNE).value == pending


def test_moved_customers_have_rows_for_segment_values_only() -> None:
    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2024, 1, 1))
    warehouse.put("period_customers", JUNE, customers_start=5)
    warehouse.put("period_customers", JUNE, "country=NL", customers_start=2, customers_moved_in=1)
    warehouse.compute()
    found = warehouse.connection.execute(
        "select segment_dimension, value from retention_kpis where kpi = 'customers_moved_in'"
    ).fetchall()
    assert found == [("country", 1.0)]


def test_rows_of_one_family_alone_have_the_types_of_the_table() -> None:
    warehouse = Warehouse()
    warehouse.compute(datasets=" ".join(dataset for family in FAMILIES for dataset in family.datasets))
    for family in FAMILIES:
        rows = figures_statement({family: f"kpi_cells_{family.name}"}, rules())
        described = warehouse.connection.execute(f"describe {rows}").fetchall()
        types = {name: kind.lower() for name, kind, *_ in described}
        assert types == {name: kind for name, kind in COLUMNS.items() if name in FIGURES}, family.name
