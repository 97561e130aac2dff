"""Customer lifetime value from the trailing monthly churn."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

from oracle.business_days import Period, add_months
from oracle.company import Company
from oracle.figures import Figure, missing, ratio

MONTHS = 6
YEAR = timedelta(days=365)


class Churn(NamedTuple):
    """S and lost of the trailing months, or the reason for which they give no churn."""

    started: int
    lost: int
    null_reason: str | None


class Lifetimes:
    """Figures that rest on c = lost / S over the last 6 calendar months before a close."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.month_counts = cache(self._month_counts)
        self.churn = cache(self._churn)

    def _month_counts(self, basis: str, dimension: str, value: str, month: Period) -> tuple[int, int]:
        """(S, lost) of the month row of this basis and segment value; an absent row reads as 0."""
        company = self.company
        opening = [
            customer
            for customer in company.active_days[basis]
            if company.is_active(basis, customer, month.start)
            and company.value_in_period(dimension, customer, month) == value
        ]
        return len(opening), sum(not company.is_active(basis, customer, month.close) for customer in opening)

    def _churn(self, basis: str, dimension: str, value: str, close: date) -> Churn:
        company = self.company
        last = company.period_holding("month", close)  # ends after the close: the first month not used
        first_fact = min(company.first_day[basis].values(), default=company.as_of)
        starts = [add_months(last.start, -back) for back in range(MONTHS, 0, -1)]
        months = [company.period("month", start) for start in starts]
        # The month of the first fact counts; history_start takes no month away.
        months = [month for month in months if month.end > first_fact]
        counts = [self.month_counts(basis, dimension, value, month) for month in months]
        started, lost = sum(count[0] for count in counts), sum(count[1] for count in counts)
        if any(company.is_cut(basis, month.start) for month in months):
            return Churn(started, lost, "left_truncated")
        if len(months) < MONTHS:
            return Churn(started, lost, "immature")
        if counts[0][0] < company.rules.min_n:
            return Churn(started, lost, "small_n")
        return Churn(started, lost, None if lost else "zero_denominator")

    def lifespan(self, basis: str, dimension: str, value: str, period: Period) -> dict[str, Figure]:
        churn = self.churn(basis, dimension, value, period.close)
        figure = ratio(churn.started, 12 * churn.lost, churn.started)
        return {"customer_lifespan_years": withheld(figure, churn.null_reason)}

    def of_orders(self, dimension: str, value: str, period: Period, members: list[str]) -> dict[str, Figure]:
        company, close = self.company, period.close
        orders = [order for customer in members for order in company.orders_between(customer, close - YEAR, close)]
        ordering = {order.customer for order in orders}
        ever = [order for customer in members for order in company.orders_between(customer, date.min, close)]
        revenue, historic = sum(order.revenue for order in orders), sum(order.revenue for order in ever)
        churn = self.churn("order", dimension, value, close)
        reason = churn.null_reason
        if company.rules.data_start and close - YEAR < company.rules.data_start:
            reason = "left_truncated"
        lifespan = churn.started / (12 * churn.lost) if churn.lost else 0.0
        return {
            "clv": withheld(ratio(revenue, len(ordering), factor=lifespan), reason),
            "clv_historic": ratio(historic, len({order.customer for order in ever})),
        }

    def of_subscriptions(self, dimension: str, value: str, period: Period, arpc: Figure) -> dict[str, Figure]:
        churn = self.churn("subscription", dimension, value, period.close)
        margin = self.company.rules.gross_margin
        assert arpc.numerator is not None and arpc.denominator is not None
        figure = ratio(arpc.numerator, arpc.denominator, arpc.n, factor=margin * churn.started / (churn.lost or 1))
        return {"clv_subscription": withheld(figure, churn.null_reason)}


def withheld(figure: Figure, reason: str | None) -> Figure:
    """left_truncated and immature show nothing; small_n and zero_denominator keep the parts."""
    if reason is None:
        return figure
    if reason in ("left_truncated", "immature"):
        return missing(reason)
    return figure._replace(value=None, null_reason=reason)
