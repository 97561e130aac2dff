"""What `data_start` withholds, KPI by KPI, at the boundary and one day later."""

from datetime import date, timedelta
from functools import cache

import pytest
from support.hand_made import Warehouse

JUNE = date(2023, 6, 1)
WINDOW = 90
DAY = timedelta(days=1)


@cache
def company(data_start: date | None, datasets: str = "orders subscriptions") -> Warehouse:
    """One month with customers in every basis, orders and MRR; `data_start` as given, a window of 90 days.

    Only to be read, as tests share it.
    """
    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2024, 7, 1))
    for basis in ("order", "subscription", "any"):
        warehouse.put(
            "period_customers", JUNE, basis=basis, customers_start=10, customers_end=10, customers_retained=10
        )
    warehouse.put("period_orders", JUNE, orders=5, ordering_customers=4, first_time_buyers=2, order_revenue=50)
    warehouse.put(
        "period_mrr", JUNE, mrr_open=100, customers_open=5, mrr_open_12m=90, customers_open_12m=4, mrr_end=100
    )
    warehouse.compute(date(2024, 7, 1), data_start=data_start, datasets=datasets)
    return warehouse


FIRST_WHOLE = {
    # kpi, basis: the latest data_start at which the figure of June is still given
    ("customers_start", "order"): JUNE - WINDOW * DAY,
    ("customers_end", "order"): date(2023, 7, 1) - WINDOW * DAY,
    ("customers_new", "any"): JUNE - WINDOW * DAY,
    ("customer_churn_rate", "subscription"): JUNE - DAY,
    ("customers_end", "subscription"): date(2023, 7, 1) - DAY,
    ("average_order_value_new", "order"): JUNE - WINDOW * DAY,
    ("returning_customer_rate", "order"): JUNE - WINDOW * DAY,
    ("repurchase_within_30d", "order"): JUNE - WINDOW * DAY,
    ("mrr_start", "subscription"): JUNE - DAY,
    ("mrr_new", "subscription"): JUNE - DAY,
    ("gross_revenue_retention", "subscription"): JUNE - DAY,
    ("involuntary_churn_rate", "subscription"): JUNE - DAY,
    ("gross_revenue_retention_12m", "subscription"): date(2022, 7, 1) - DAY,
    ("clv", "order"): date(2023, 7, 1) - 365 * DAY,
}


@pytest.mark.parametrize(("kpi", "basis"), FIRST_WHOLE)
def test_a_figure_is_withheld_from_the_day_on_which_its_look_back_is_cut(kpi: str, basis: str) -> None:
    last = FIRST_WHOLE[kpi, basis]
    whole = company(last).row(kpi, JUNE, basis=basis)
    cut = company(last + DAY).row(kpi, JUNE, basis=basis)
    assert whole.null_reason != "left_truncated"
    assert (cut.value, cut.numerator, cut.denominator, cut.n, cut.null_reason) == (None,) * 4 + ("left_truncated",)


@pytest.mark.parametrize(
    "kpi",
    [
        "orders",
        "average_order_value",
        "repeat_customer_rate",
        "clv_historic",
        "renewals_due",
        "renewal_rate",
        "cancellations_requested",
    ],
)
def test_what_looks_back_at_nothing_is_never_withheld(kpi: str) -> None:
    assert company(date(2023, 6, 15)).row(kpi, JUNE).null_reason != "left_truncated"


def test_the_first_reason_is_left_truncated_even_where_the_figure_is_also_immature() -> None:
    warehouse = Warehouse()
    warehouse.months(JUNE, as_of=date(2023, 7, 1))
    warehouse.put("period_orders", JUNE, first_time_buyers=2)
    warehouse.compute(date(2023, 7, 1), data_start=date(2023, 5, 1))
    assert warehouse.row("repurchase_within_365d", JUNE).null_reason == "left_truncated"


def test_without_orders_basis_any_is_cut_like_subscriptions() -> None:
    assert company(JUNE - DAY, "subscriptions").row("customers_start", JUNE, basis="any").null_reason is None
    assert company(JUNE - DAY).row("customers_start", JUNE, basis="any").null_reason == "left_truncated"
