"""The trailing monthly churn and the figures made of it."""

from datetime import date

import pytest
from support.hand_made import MONTHS, Warehouse

AS_OF = date(2023, 8, 1)
JULY = date(2023, 7, 1)


def company(starts: list[int], lost: list[int], months: list[date] = MONTHS, as_of: date = AS_OF) -> Warehouse:
    """Months from January 2023 on with customers at the start and lost, in all three bases."""
    warehouse = Warehouse()
    used = months[: len(starts)]
    warehouse.months(*used, as_of=as_of)
    for month, start, gone in zip(used, starts, lost, strict=True):
        for basis in ("order", "subscription", "any"):
            warehouse.put("period_customers", month, basis=basis, customers_start=start, customers_lost=gone)
        warehouse.put("period_orders", month, order_revenue_365d=4000, ordering_customers_365d=20)
        warehouse.put("period_mrr", month, mrr_end=1000, paying_customers_end=20)
    return warehouse


def test_a_lifetime_value_is_fifty_times_four_a_year_times_five_years() -> None:
    """Six months of 100 customers, 10 lost of 600: churn 1/60 a month, lifespan 5 years; 200 a year and customer."""
    warehouse = company([0, *[100] * 6], [0, 2, 2, 2, 2, 1, 1])
    warehouse.compute(AS_OF)
    lifespan = warehouse.row("customer_lifespan_years", JULY, basis="order")
    clv = warehouse.row("clv", JULY)
    assert (lifespan.value, lifespan.numerator, lifespan.denominator, lifespan.n) == (pytest.approx(5), 600, 120, 600)
    assert (clv.value, clv.numerator, clv.denominator, clv.n) == (pytest.approx(1000), 4000, 20, 20)


def test_the_subscription_lifetime_value_counts_the_margin() -> None:
    warehouse = company([0, *[100] * 6], [0, 2, 2, 2, 2, 1, 1])
    warehouse.compute(AS_OF, gross_margin=0.8)
    row = warehouse.row("clv_subscription", JULY)
    assert (row.value, row.numerator, row.denominator) == (pytest.approx(50 * 0.8 * 60), 1000, 20)


def test_a_margin_may_be_as_small_as_one_likes() -> None:
    warehouse = company([0, *[100] * 6], [0, 2, 2, 2, 2, 1, 1])
    warehouse.compute(AS_OF, gross_margin=0.00001)
    assert warehouse.row("clv_subscription", JULY).value == pytest.approx(50 * 0.00001 * 60)


def test_five_months_are_too_few() -> None:
    """The first fact lies in February: of the six months before 1 August all count, of those before 1 July five."""
    warehouse = company([0, *[100] * 6], [0, *[2] * 6])
    warehouse.connection.execute("delete from period_customers where period_start = date '2023-01-01'")
    warehouse.compute(AS_OF)
    june = warehouse.row("customer_lifespan_years", date(2023, 6, 1), basis="any")
    assert (june.value, june.numerator, june.n, june.null_reason) == (None, None, None, "immature")
    assert warehouse.row("customer_lifespan_years", JULY, basis="any").null_reason is None


def test_an_open_month_looks_at_the_six_complete_ones_before_it() -> None:
    warehouse = company([100] * 7, [2, 2, 2, 2, 2, 2, 50], as_of=date(2023, 7, 15))
    warehouse.compute(date(2023, 7, 15))
    assert warehouse.row("customer_lifespan_years", JULY, basis="order").denominator == 12 * 12


def test_a_first_month_below_the_minimum_sample_is_small_but_keeps_its_counts() -> None:
    warehouse = company([29, *[100] * 5], [1] * 6)
    warehouse.compute(AS_OF, min_n=30)
    row = warehouse.row("clv", date(2023, 6, 1))
    assert (row.value, row.null_reason, row.numerator, row.denominator, row.n) == (None, "small_n", 4000, 20, 20)
    warehouse.compute(AS_OF, min_n=29, run=2)
    assert warehouse.row("clv", date(2023, 6, 1)).null_reason is None


def test_without_losses_nobody_leaves_and_there_is_no_lifespan() -> None:
    warehouse = company([100] * 6, [0] * 6)
    warehouse.compute(AS_OF)
    row = warehouse.row("customer_lifespan_years", date(2023, 6, 1), basis="subscription")
    assert (row.value, row.null_reason, row.numerator, row.denominator) == (None, "zero_denominator", 600, 0)
    assert warehouse.row("clv_subscription", date(2023, 6, 1)).null_reason == "zero_denominator"


def test_an_absent_month_of_a_segment_reads_as_zero() -> None:
    """The whole exists since January, the segment since April: its first month of six has nobody."""
    warehouse = company([100] * 6, [2] * 6)
    for month in MONTHS[3:6]:
        warehouse.put("period_customers", month, "country=NL", basis="order", customers_start=40, customers_lost=1)
    warehouse.compute(AS_OF)
    row = warehouse.row("customer_lifespan_years", date(2023, 6, 1), "country=NL", basis="order")
    assert (row.null_reason, row.numerator, row.denominator) == ("small_n", 120, 36)


def test_months_before_history_start_count_where_they_are_kept_apart() -> None:
    warehouse = company([100] * 6, [2] * 6)
    warehouse.connection.execute("drop view customer_months")
    warehouse.connection.execute("create table customer_months as select * from period_customers where grain = 'month'")
    warehouse.connection.execute("delete from period_customers where period_start < date '2023-06-01'")
    warehouse.compute(AS_OF)
    assert warehouse.row("customer_lifespan_years", date(2023, 6, 1), basis="order").numerator == 600


@pytest.mark.parametrize(
    ("basis", "start", "reason"),
    [
        ("subscription", date(2022, 12, 31), None),
        ("subscription", date(2023, 1, 1), "left_truncated"),
        ("order", date(2022, 10, 3), None),
        ("order", date(2022, 10, 4), "left_truncated"),
        ("any", date(2022, 10, 4), "left_truncated"),
    ],
)
def test_a_cut_opening_of_one_of_the_six_months_cuts_the_lifespan(basis: str, start: date, reason: str | None) -> None:
    warehouse = company([100] * 6, [2] * 6)
    warehouse.compute(AS_OF, data_start=start)
    assert warehouse.row("customer_lifespan_years", date(2023, 6, 1), basis=basis).null_reason == reason


def test_in_the_month_of_the_first_fact_there_are_no_months_that_could_be_cut() -> None:
    """The month has not ended: it is not one of the six, so the figure waits for months rather than for data."""
    warehouse = company([100], [2], as_of=date(2023, 1, 20))
    warehouse.compute(date(2023, 1, 20), data_start=date(2023, 1, 5))
    row = warehouse.row("customer_lifespan_years", date(2023, 1, 1), basis="order")
    assert row.null_reason == "immature"
