"""KPIs of the family `orders`: what was ordered, how often, by whom again, after how long, and what was paid back.

Orders, purchase days and net amounts are those of vocabulary.py. Lifetime value, which also needs churn, is in
lifetime_value.py.
"""

from dataclasses import replace
from typing import Any

from retention_pipeline.kpis import customers, look_backs
from retention_pipeline.kpis.declaration import (
    NOT_NEGATIVE,
    SHARE,
    Family,
    Headline,
    Kpi,
    count,
    money,
    proportion,
    ratio,
)
from retention_pipeline.kpis.identities import Identity, equal
from retention_pipeline.kpis.inputs import Borrowed, Histogram
from retention_pipeline.kpis.measures import balances, derived, flows, once_per_period

FAMILY = Family(
    name="orders",
    label="Orders",
    period_table="period_orders",
    bases=("order",),
    datasets=("orders",),
    measures=(
        *flows(
            "orders",
            "order_revenue",
            "new_customer_orders",
            "new_customer_revenue",
            "first_time_buyers",
            "repurchased_30d",
            "repurchased_60d",
            "repurchased_90d",
            "repurchased_180d",
            "repurchased_365d",
            "purchase_gaps",
            "purchase_gap_days",
            "refunds_by_refund_date",
        ),
        *once_per_period(
            "ordering_customers",
            "repeat_customers",
            "returning_customers",
            "buyers_returning",
            "ordering_customers_previous",
        ),
        *balances(
            "buyers_to_date",
            "repeat_buyers_to_date",
            "repeat_buyers_by_orders_to_date",
            "revenue_to_date",
            "loyal_customers",
            "ordering_customers_365d",
            "order_revenue_365d",
            "purchase_days_365d",
        ),
        *derived("next_purchase_median_days"),
    ),
    further_measures=(
        *flows("guest_facts"),
        *balances("customers_known"),
    ),
    first_row="the first counted order or refund",
    borrowed=(Borrowed(customers.FAMILY, "order", ("customers_end",)),),
    trailing=(replace(customers.CHURN_OF_SIX_MONTHS, family=customers.FAMILY),),
    histograms=(
        Histogram(
            "period_purchase_gaps",
            value="gap_days",
            count="purchase_gaps",
            quantiles=(("gap_days_p25", "0.25"), ("gap_days_median", "0.5"), ("gap_days_p75", "0.75")),
        ),
    ),
)

COUNTED: dict[str, Any] = {"settings": ("count_zero_value",)}
MONEY: dict[str, Any] = {
    "settings": (
        "count_zero_value",
        "reporting_currency",
        "fx_max_age_days",
    )
}
FIRSTS: dict[str, Any] = {"look_back": (look_backs.OPENING,)}
BEFORE_WINDOW: dict[str, Any] = {"settings": ("count_zero_value", "activity_window_days")} | FIRSTS
CALENDAR: dict[str, Any] = COUNTED | {"look_back": (look_backs.PREVIOUS_PERIOD,)}
MONEY_BEFORE_WINDOW: dict[str, Any] = {"settings": (*MONEY["settings"], "activity_window_days")} | FIRSTS


def repurchase_within(days: int) -> Kpi:
    """The share of first-time buyers who bought again within `days` days, given once all had that long."""
    return proportion(
        f"repurchase_within_{days}d",
        f"Repurchase within {days} days",
        f"Of the customers whose first purchase day lies in the period, the share with a second purchase day at "
        f"most {days} days "
        f"after it; not given until {days} days have passed since the period's end.",
        FAMILY,
        f"repurchased_{days}d",
        "first_time_buyers",
        better="higher",
        horizon_days=days,
        **BEFORE_WINDOW,
    )


def time_between_purchases(statistic: str, label: str, fraction: str, headline: Headline | None = None) -> Kpi:
    """A percentile of the days between consecutive purchase days, taken from the histogram period_purchase_gaps."""
    return Kpi(
        f"time_between_purchases_{statistic}",
        f"Time between purchases, {label}",
        f"The {label} (type 7: linear between neighbours, at {fraction} of the way through the sorted values) of "
        f"the days "
        "between consecutive purchase days of a customer; a gap belongs to the period and segment of its later day.",
        FAMILY,
        unit="days",
        better="lower",
        value=f"gap_days_{statistic}",
        n="purchase_gaps",
        headline=headline,
        **COUNTED,
    )


KPIS: tuple[Kpi, ...] = (
    count(
        "orders",
        "Orders",
        "Counted orders of the period.",
        FAMILY,
        better="higher",
        headline=Headline("Orders", 220),
        **COUNTED,
    ),
    money(
        "order_revenue",
        "Order revenue",
        "Net amount of the counted orders of the period.",
        FAMILY,
        better="higher",
        headline=Headline("Orders", 210),
        **MONEY,
    ),
    count(
        "ordering_customers",
        "Ordering customers",
        "Distinct customers with a counted order in the period.",
        FAMILY,
        better="higher",
        **COUNTED,
    ),
    ratio(
        "average_order_value",
        "Average order value",
        "Net amount of the counted orders of the period / number of counted orders.",
        FAMILY,
        "order_revenue",
        "orders",
        n="orders",
        unit="money",
        better="higher",
        headline=Headline("Orders", 230),
        **MONEY,
    ),
    ratio(
        "average_order_value_new",
        "Average order value, first purchase day",
        "Net amount / number of the period's counted orders that lie on their customer's first purchase day ever.",
        FAMILY,
        "new_customer_revenue",
        "new_customer_orders",
        n="new_customer_orders",
        unit="money",
        better="higher",
        **MONEY_BEFORE_WINDOW,
    ),
    ratio(
        "average_order_value_returning",
        "Average order value, later purchase days",
        "Net amount / number of the period's counted orders that lie after their customer's first purchase day ever.",
        FAMILY,
        "order_revenue - new_customer_revenue",
        "orders - new_customer_orders",
        n="orders - new_customer_orders",
        unit="money",
        better="higher",
        **MONEY_BEFORE_WINDOW,
    ),
    ratio(
        "purchase_frequency",
        "Purchase frequency",
        "Counted orders of the period / distinct customers who placed them (orders, not days; per period, not per "
        "year).",
        FAMILY,
        "orders",
        "ordering_customers",
        n="ordering_customers",
        better="higher",
        format="decimals",
        headline=Headline("Orders", 240),
        **COUNTED,
    ),
    proportion(
        "repeat_purchase_rate",
        "Repeat purchase rate",
        "Customers with at least two purchase days in the period / customers with a counted order in the period.",
        FAMILY,
        "repeat_customers",
        "ordering_customers",
        better="higher",
        headline=Headline("Orders", 250),
        **COUNTED,
    ),
    proportion(
        "repeat_purchase_rate_base",
        "Repeat purchase rate of the whole base",
        "Customers with at least two purchase days in the period / customers with a purchase day ever before the "
        "close.",
        FAMILY,
        "repeat_customers",
        "buyers_to_date",
        better="higher",
        **COUNTED,
    ),
    proportion(
        "returning_customer_rate",
        "Returning customer rate",
        "Ordering customers whose first purchase day ever is before their last one in the period / ordering customers.",
        FAMILY,
        "returning_customers",
        "ordering_customers",
        better="higher",
        headline=Headline("Orders", 260),
        **BEFORE_WINDOW,
    ),
    proportion(
        "repeat_customer_rate",
        "Repeat customer rate",
        "Customers with at least two purchase days before the close / customers with at least one.",
        FAMILY,
        "repeat_buyers_to_date",
        "buyers_to_date",
        better="higher",
        headline=Headline("Orders", 270),
        **COUNTED,
    ),
    proportion(
        "one_time_customer_rate",
        "One-time customer rate",
        "Customers with exactly one purchase day before the close / customers with at least one.",
        FAMILY,
        "buyers_to_date - repeat_buyers_to_date",
        "buyers_to_date",
        better="lower",
        **COUNTED,
    ),
    proportion(
        "repeat_customer_rate_by_orders",
        "Repeat customer rate by orders",
        "Customers with at least two counted orders before the close, of one day or several / customers with at least "
        "one.",
        FAMILY,
        "repeat_buyers_by_orders_to_date",
        "buyers_to_date",
        better="higher",
        **COUNTED,
    ),
    count(
        "buyers_returning",
        "Returning buyers",
        "By calendar period, without the activity window: customers with a purchase day in the period and in the one "
        "before.",
        FAMILY,
        better="higher",
        **CALENDAR,
    ),
    count(
        "buyers_resurrected",
        "Resurrected buyers",
        "Customers with a purchase day in the period and an earlier one, but none in the period before.",
        FAMILY,
        "ordering_customers - buyers_returning - first_time_buyers",
        better="higher",
        **BEFORE_WINDOW,
    ),
    count(
        "buyers_dormant",
        "Dormant buyers",
        "Customers with a purchase day in the period before and none in this one, by their value in this one.",
        FAMILY,
        "ordering_customers_previous - buyers_returning",
        better="lower",
        **CALENDAR,
    ),
    proportion(
        "period_repurchase_rate",
        "Period repurchase rate",
        "Of the customers with a purchase day in the period before, the share with one in this period: the retention "
        "that tools without an activity window show.",
        FAMILY,
        "buyers_returning",
        "ordering_customers_previous",
        better="higher",
        **CALENDAR,
    ),
    proportion(
        "loyal_customer_share",
        "Loyal customer share",
        "Of the customers active in basis order at the close, the share with at least loyal_purchase_days purchase "
        "days in the 365 days before it.",
        FAMILY,
        "loyal_customers",
        "customers_end",
        better="higher",
        look_back=(look_backs.YEAR, look_backs.CLOSE),
        settings=("count_zero_value", "activity_window_days", "loyal_purchase_days"),
    ),
    *(repurchase_within(days) for days in (30, 60, 90, 180, 365)),
    ratio(
        "returning_revenue_share",
        "Returning revenue share",
        "Net amount of the period's counted orders after their customer's first purchase day ever / net amount of all.",
        FAMILY,
        "order_revenue - new_customer_revenue",
        "order_revenue",
        n="orders",
        valid_range=SHARE,
        better="higher",
        **MONEY_BEFORE_WINDOW,
    ),
    ratio(
        "time_between_purchases_mean",
        "Time between purchases, mean",
        "Mean of the days between consecutive purchase days of a customer; a gap belongs to the period and segment "
        "of its "
        "later day.",
        FAMILY,
        "purchase_gap_days",
        "purchase_gaps",
        n="purchase_gaps",
        unit="days",
        better="lower",
        **COUNTED,
    ),
    time_between_purchases("median", "median", "0.5", Headline("Orders", 280)),
    time_between_purchases("p25", "lower quartile", "0.25"),
    time_between_purchases("p75", "upper quartile", "0.75"),
    Kpi(
        "time_to_next_purchase_km_median",
        "Days to the next purchase, median",
        "Kaplan–Meier median of the days from a purchase day of the 365 days before the close to the next one: those "
        "without one before the close are censored there. The first day on which the curve is at most one half. n = "
        "purchase days.",
        FAMILY,
        unit="days",
        better="lower",
        value="next_purchase_median_days",
        n="purchase_days_365d",
        can_be_unreached=True,
        grains=("month", "quarter", "year"),
        look_back=(look_backs.YEAR,),
        **COUNTED,
    ),
    money(
        "refunds_by_refund_date",
        "Refunds by refund date",
        "Refunded amounts of every order but test ones, whatever its status, dated on the refund's day (without "
        "one on the "
        "order's day), at the rate of the order's day.",
        FAMILY,
        valid_range=NOT_NEGATIVE,
        settings=("reporting_currency", "fx_max_age_days"),
        better="lower",
    ),
)

IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "buyers are returning, resurrected or buy for the first time",
        "value(buyers_returning) + value(buyers_resurrected) <= value(ordering_customers)",
    ),
    Identity(
        "repeat customers and one-time customers are together all buyers",
        equal("value(repeat_customer_rate) + value(one_time_customer_rate)", "1"),
    ),
    *(
        Identity(
            f"who bought again within {days} days did so within {longer} days",
            f"numerator(repurchase_within_{days}d) <= numerator(repurchase_within_{longer}d)",
        )
        for days, longer in ((30, 60), (60, 90), (90, 180), (180, 365))
    ),
)
