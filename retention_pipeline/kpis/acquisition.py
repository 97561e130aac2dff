"""KPIs of the family `acquisition`: what it costs to win a customer, and what that customer is worth against it.

Costs have no customer: their rows are those of `all` and of the dimension acquisition_channel. The share of customers
who were referred is in customers.py.
"""

from typing import Any

from retention_pipeline.kpis import look_backs
from retention_pipeline.kpis.declaration import Family, Headline, Kpi, money, ratio
from retention_pipeline.kpis.inputs import BorrowedFigure
from retention_pipeline.kpis.measures import balances, derived, flows

FAMILY = Family(
    name="acquisition",
    label="Acquisition",
    period_table="period_acquisition",
    bases=("all",),
    datasets=("acquisition_costs",),
    measures=(
        *flows("acquisition_cost", "customers_joined"),
        *balances("acquisition_cost_6m"),
        *balances("customers_joined_6m", is_additive=False),
        *derived("months_are_short", is_signed=True),
    ),
    first_row="the first month of costs",
    borrowed_figures=(BorrowedFigure("clv_subscription", "subscription"), BorrowedFigure("clv", "order")),
)

LIFETIME_VALUE = "coalesce(clv_subscription_value, clv_value)"
REASON_WITHOUT_VALUE = """case when clv_has_row then clv_null_reason
    when clv_subscription_has_row then clv_subscription_null_reason else 'zero_denominator' end"""
COST_OF_SIX_MONTHS = """case when acquisition_cost_6m <> 0
    then cast(acquisition_cost_6m as double) / nullif(customers_joined_6m, 0) end"""
COSTS: dict[str, Any] = {
    "unit": "money",
    "better": "lower",
    "grains": ("month", "quarter", "year"),
    "dimensions": ("acquisition_channel",),
    "settings": ("reporting_currency", "fx_max_age_days"),
}
JOINED: dict[str, Any] = COSTS | {"settings": (*COSTS["settings"], "activity_window_days", "count_past_due_days")}

KPIS: tuple[Kpi, ...] = (
    money(
        "acquisition_cost",
        "Acquisition cost",
        "Costs of the months whose first day lies in the period, at the rate of that day.",
        FAMILY,
        **{name: value for name, value in COSTS.items() if name != "unit"},
    ),
    ratio(
        "customer_acquisition_cost",
        "Customer acquisition cost",
        "Costs of the period / customers (basis any) whose first span ever starts in it, of the same segment value.",
        FAMILY,
        "acquisition_cost",
        "customers_joined",
        n="customers_joined",
        look_back=(look_backs.state_at("opening", "period_start", "any"),),
        headline=Headline("Acquisition", 450),
        **JOINED,
    ),
    ratio(
        "ltv_to_cac",
        "Lifetime value to acquisition cost",
        "clv_subscription, else clv, of the same cell / customer acquisition cost of the last six calendar months that "
        "ended by the close, all costs over all who joined. Not given before there are six months since the first "
        "costs. n = customers who joined in them.",
        FAMILY,
        LIFETIME_VALUE,
        COST_OF_SIX_MONTHS,
        n="customers_joined_6m",
        look_back=(look_backs.state_at("six_months", "six_months_start", "any"),),
        immature_when="months_are_short",
        inherited_reason=f"case when {LIFETIME_VALUE} is null then {REASON_WITHOUT_VALUE} end",
        **(JOINED | {"unit": "ratio", "better": "higher", "format": "decimals"}),
    ),
)
