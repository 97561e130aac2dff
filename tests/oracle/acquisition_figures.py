"""KPIs of acquisition costs: what is paid per month and channel, against the customers who joined."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from oracle.business_days import Period, add_months
from oracle.figures import Figure, count, missing, ratio
from oracle.money import CENT, Rates
from oracle.rules import Rules
from oracle.segments import UNKNOWN

MONTHS = 6
KEEPS_NOTHING = ("left_truncated", "immature")


class Cost(NamedTuple):
    """What a month cost for one channel, in the reporting currency."""

    month: date
    channel: str
    amount: Decimal


def read_costs(rows: list[dict[str, Any]], rates: Rates, rules: Rules, as_of: date) -> list[Cost]:
    begins = rules.data_start.replace(day=1) if rules.data_start else date.min
    found = []
    for row in rows:
        month = date.fromisoformat(row["month"])
        if begins <= month < as_of:
            amount = rates.reporting(Decimal(row["amount"]), row["currency"], month, CENT)
            channel = row.get("acquisition_channel") or UNKNOWN
            found.append(Cost(month, rules.shown.get("acquisition_channel", {}).get(channel, channel), amount))
    return found


def acquisition_figures(
    costs: list[Cost],
    period: Period,
    joined_in: Callable[[Period], int],
    months: list[Period],
    lifetime: tuple[Figure | None, Figure | None],
    is_cut: Callable[[date], bool],
) -> dict[str, Figure]:
    """Figures of one segment value: `costs` are its own, `joined_in` counts its customers who joined, `months` are the
    six before the close that the costs of all have begun by, `lifetime` its clv_subscription and clv.
    """
    of_period = sum((cost.amount for cost in costs if period.start <= cost.month < period.end), Decimal(0))
    joined = joined_in(period)
    return {
        "acquisition_cost": count(of_period),
        "customer_acquisition_cost": missing("left_truncated")
        if is_cut(period.start)
        else ratio(of_period, joined, joined),
        "ltv_to_cac": lifetime_to_cost(costs, period, joined_in, months, lifetime, is_cut),
    }


def lifetime_to_cost(
    costs: list[Cost],
    period: Period,
    joined_in: Callable[[Period], int],
    months: list[Period],
    lifetime: tuple[Figure | None, Figure | None],
    is_cut: Callable[[date], bool],
) -> Figure:
    """L over C of the six months; what L cannot be given for, this cannot either."""
    first = add_months(period.close.replace(day=1), -MONTHS)
    if any(is_cut(add_months(first, number)) for number in range(MONTHS)):
        return missing("left_truncated")
    if len(months) < MONTHS:
        return missing("immature")
    joined = sum(joined_in(month) for month in months)
    paid = sum((cost.amount for cost in costs if first <= cost.month < period.close.replace(day=1)), Decimal(0))
    cost = float(paid) / joined if joined and paid else None
    of_subscriptions, of_orders = lifetime
    value = next((figure.value for figure in lifetime if figure is not None and figure.value is not None), None)
    reason = None
    if value is None:
        behind = of_orders or of_subscriptions
        reason = behind.null_reason if behind else "zero_denominator"
        if reason in KEEPS_NOTHING:
            return missing(str(reason))
    elif cost is None:
        reason = "zero_denominator"
    ratio_of_both = value / cost if value is not None and cost else None
    return Figure(ratio_of_both, value, cost, float(joined), reason)
