"""KPIs of how long customers stay and what they are worth: lifespan and lifetime values.

They are rows of the other families' cells (a lifespan per basis, `clv` with the orders, `clv_subscription` with the
subscriptions) and share the trailing monthly churn: customers lost / customers at the start, both summed over the last
six calendar months that ended by the close, of the same basis and segment value.
"""

from typing import Any

from retention_pipeline.kpis import (
    customers,
    look_backs,
    orders,
    subscriptions,
)
from retention_pipeline.kpis.declaration import (
    Headline,
    Kpi,
    ratio,
)

TRAILING: dict[str, Any] = {
    "look_back": (customers.CHURN_OF_SIX_MONTHS.look_back,),
    "immature_when": "trailing_is_short",
    "sample": "trailing_first_customers_start",
    "settings": (
        "activity_window_days",
        "count_past_due_days",
        "min_n",
    ),
}
TRAILING_WORDS = (
    "trailing monthly churn = customers lost / customers at the start, both summed over the last six calendar "
    "months that "
    "ended by the close"
)

KPIS: tuple[Kpi, ...] = (
    ratio(
        "customer_lifespan_years",
        "Customer lifespan",
        f"1 / (12 × trailing monthly churn), in years; {TRAILING_WORDS}, of the same basis and segment value. Not "
        f"given before "
        "there are six months, or while the first of them starts with fewer than min_n customers.",
        customers.FAMILY,
        "trailing_customers_start",
        "12 * trailing_customers_lost",
        n="trailing_customers_start",
        unit="years",
        better="higher",
        headline=Headline("Lifetime", 910, ("subscription", "order")),
        **TRAILING,
    ),
    ratio(
        "clv",
        "Customer lifetime value",
        "(Net amount of the counted orders of the 365 days before the close / distinct customers who placed them) "
        "× customer "
        "lifespan in years of basis order; no margin. Numerator and denominator are those of the bracket.",
        orders.FAMILY,
        "order_revenue_365d",
        "ordering_customers_365d",
        n="ordering_customers_365d",
        factor_numerator="trailing_customers_start",
        factor_denominator="12 * trailing_customers_lost",
        unit="money",
        better="higher",
        headline=Headline("Lifetime", 930),
        **(
            TRAILING
            | {
                "look_back": (
                    look_backs.YEAR,
                    customers.CHURN_OF_SIX_MONTHS.look_back,
                ),
                "settings": (
                    *orders.MONEY["settings"],
                    "activity_window_days",
                    "min_n",
                ),
            }
        ),
    ),
    ratio(
        "clv_historic",
        "Historic customer lifetime value",
        "Net amount of all counted orders before the close / customers with a purchase day before it.",
        orders.FAMILY,
        "revenue_to_date",
        "buyers_to_date",
        n="buyers_to_date",
        unit="money",
        better="higher",
        headline=Headline("Lifetime", 940),
        **orders.MONEY,
    ),
    ratio(
        "clv_subscription",
        "Subscription lifetime value",
        f"(MRR at the close / customers with MRR at the close) × gross_margin / trailing monthly churn; "
        f"{TRAILING_WORDS}, of "
        "basis subscription. Numerator and denominator are those of the bracket.",
        subscriptions.FAMILY,
        "mrr_end",
        "paying_customers_end",
        n="paying_customers_end",
        factor_numerator="{gross_margin} * trailing_customers_start",
        factor_denominator="trailing_customers_lost",
        unit="money",
        better="higher",
        headline=Headline("Lifetime", 920),
        **(
            TRAILING
            | {
                "settings": (
                    "gross_margin",
                    "count_past_due_days",
                    "reporting_currency",
                    "fx_max_age_days",
                    "min_n",
                )
            }
        ),
    ),
)
