"""KPIs of orders for one period and set of customers."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from oracle.business_days import Period
from oracle.company import Company
from oracle.figures import Figure, count, missing, nulled, percentile, ratio

HORIZONS = (30, 60, 90, 180, 365)
# What names a first purchase, NULL where the opening is cut by data_start, sooner than immature. Not repeat_*,
# one_time_customer_rate and gaps between purchases: they only know no days before data_start.
NAMES_A_FIRST = (
    "average_order_value_new",
    "average_order_value_returning",
    "returning_customer_rate",
    "returning_revenue_share",
    "buyers_resurrected",
    *(f"repurchase_within_{days}d" for days in HORIZONS),
)


def order_figures(company: Company, period: Period, members: list[str], *, with_guests: bool) -> dict[str, Figure]:
    """Figures over the members' orders; refunds of orders without a customer where `with_guests`."""
    start, close = period.start, period.close
    orders = [order for customer in members for order in company.orders_between(customer, start, close)]
    first_days = {
        customer: company.purchase_days[customer][0] for customer in members if company.purchase_days.get(customer)
    }
    new = [order for order in orders if order.day == first_days[order.customer]]
    returning = [order for order in orders if order.day != first_days[order.customer]]
    days_ever = {customer: company.purchase_days_before(customer, close) for customer in members}
    days_within = {customer: [day for day in found if day >= start] for customer, found in days_ever.items()}
    ordering = [customer for customer in members if days_within[customer]]
    buyers = sum(1 for found in days_ever.values() if found)
    twice_within = sum(1 for found in days_within.values() if len(found) >= 2)
    twice_ever = sum(1 for found in days_ever.values() if len(found) >= 2)
    returned = sum(1 for customer in ordering if first_days[customer] < days_within[customer][-1])
    gaps = [
        (later - earlier).days for found in days_ever.values() for earlier, later in pairwise(found) if later >= start
    ]
    refunds = [
        refund.amount
        for refund in company.refunds
        if start <= refund.day < close and (with_guests if refund.customer is None else refund.customer in days_ever)
    ]
    revenue = sum(order.revenue for order in orders)
    figures = {
        "orders": count(len(orders)),
        "order_revenue": count(revenue),
        "ordering_customers": count(len(ordering)),
        "average_order_value": ratio(revenue, len(orders)),
        "average_order_value_new": ratio(sum(order.revenue for order in new), len(new)),
        "average_order_value_returning": ratio(sum(order.revenue for order in returning), len(returning)),
        "purchase_frequency": ratio(len(orders), len(ordering)),
        "repeat_purchase_rate": ratio(twice_within, len(ordering)),
        "repeat_purchase_rate_base": ratio(twice_within, buyers),
        "returning_customer_rate": ratio(returned, len(ordering)),
        "repeat_customer_rate": ratio(twice_ever, buyers),
        "one_time_customer_rate": ratio(buyers - twice_ever, buyers),
        "returning_revenue_share": ratio(sum(order.revenue for order in returning), revenue, len(orders)),
        "time_between_purchases_mean": ratio(sum(gaps), len(gaps)),
        "time_between_purchases_median": percentile(gaps, 0.5),
        "time_between_purchases_p25": percentile(gaps, 0.25),
        "time_between_purchases_p75": percentile(gaps, 0.75),
        "refunds_by_refund_date": count(sum(refunds)),
    }
    figures.update(calendar_figures(company, period, days_ever))
    figures.update(year_figures(company, period, days_ever))
    twice_ordered = sum(len(company.orders_between(customer, date.min, close)) >= 2 for customer in members)
    figures["repeat_customer_rate_by_orders"] = ratio(twice_ordered, buyers)
    first_time = [customer for customer, day in first_days.items() if start <= day < close]
    for days in HORIZONS:
        figures[f"repurchase_within_{days}d"] = repurchase(company, period, first_time, days)
    if company.is_cut("order", start):
        nulled(figures, NAMES_A_FIRST, "left_truncated")
    return figures


def repurchase(company: Company, period: Period, first_time: list[str], days: int) -> Figure:
    """Share of first-time buyers with a second purchase day at most `days` after the first."""
    horizon = timedelta(days=days)
    if period.end + horizon > company.as_of:
        return missing("immature")
    purchases = [company.purchase_days[customer] for customer in first_time]
    again = sum(1 for found in purchases if len(found) >= 2 and found[1] <= found[0] + horizon)
    return ratio(again, len(first_time))


def calendar_figures(company: Company, period: Period, days_ever: dict[str, list[date]]) -> dict[str, Figure]:
    """Who bought in this calendar period and in the one before, whatever the window."""
    before = company.period_holding(period.grain, period.start - timedelta(days=1)).start
    now = {customer for customer, found in days_ever.items() if found and found[-1] >= period.start}
    then = {customer for customer, found in days_ever.items() if any(before <= day < period.start for day in found)}
    earlier = {customer for customer, found in days_ever.items() if found and found[0] < period.start}
    figures = {
        "buyers_returning": count(len(now & then)),
        "buyers_dormant": count(len(then - now)),
        "buyers_resurrected": count(len((now & earlier) - then)),
        "period_repurchase_rate": ratio(len(now & then), len(then)),
    }
    if company.rules.data_start and before < company.rules.data_start:
        nulled(figures, ("buyers_returning", "buyers_dormant", "period_repurchase_rate"), "left_truncated")
    return figures


def year_figures(company: Company, period: Period, days_ever: dict[str, list[date]]) -> dict[str, Figure]:
    """What the 365 days before the close say: loyalty, and how long until the next purchase day."""
    first, close = period.close - timedelta(days=365), period.close
    active = [customer for customer in days_ever if company.is_active("order", customer, close)]
    enough = company.rules.loyal_purchase_days
    loyal = sum(sum(day >= first for day in days_ever[customer]) >= enough for customer in active)
    figures = {"loyal_customer_share": ratio(loyal, len(active))}
    if period.grain != "week":
        lives = [
            ((following or close) - day, following is not None)
            for found in days_ever.values()
            if found
            for day, following in zip(found, [*found[1:], None], strict=True)
            if day >= first
        ]
        figures["time_to_next_purchase_km_median"] = halved(lives)
    cut = company.rules.data_start is not None and first < company.rules.data_start
    if cut:
        nulled(figures, list(figures), "left_truncated")
    if company.is_cut("order", close):
        nulled(figures, ["loyal_customer_share"], "left_truncated")
    return figures


def halved(lives: list[tuple[timedelta, bool]]) -> Figure:
    """The first duration at which the product of the shares that go on is at most one half, as an exact fraction."""
    survival, at_risk = Fraction(1), len(lives)
    left, ended = Counter(life[0] for life in lives), Counter(duration for duration, is_over in lives if is_over)
    for duration in sorted(left):
        survival *= Fraction(at_risk - ended[duration], at_risk)
        if survival <= Fraction(1, 2):
            return Figure(float(duration.days), n=float(len(lives)))
        at_risk -= left[duration]
    return Figure(None, n=float(len(lives)), null_reason="not_reached" if lives else "zero_denominator")
