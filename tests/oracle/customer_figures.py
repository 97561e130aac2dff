"""KPIs of customers for one period, basis and set of customers."""

from __future__ import annotations

from datetime import date

from oracle.activity import count_between
from oracle.business_days import Period
from oracle.company import Company
from oracle.figures import Figure, count, nulled, ratio


def customer_figures(
    company: Company,
    basis: str,
    period: Period,
    members: list[str],
    moved_in: list[str] | None = None,
    moved_out: list[str] | None = None,
) -> dict[str, Figure]:
    """Figures over the members (customers who have the segment value in the period).

    moved_in, moved_out: customers whose value changed at the opening, None for `all`, where nobody moves.
    """

    def at(boundary: date) -> set[str]:
        return {customer for customer in members if company.is_active(basis, customer, boundary)}

    opening, close = at(period.start), at(period.close)
    joined = {
        customer
        for customer in members
        if (first := company.first_day[basis].get(customer)) and period.start <= first < period.close
    }
    in_between = {customer for customer in members if is_active_within(company, basis, customer, period)}
    new = (close - opening) & joined
    reactivated = (close - opening) - joined
    lost, retained = opening - close, opening & close
    transient = in_between - opening - close
    events = sum(
        1
        for customer in members
        for end in company.span_ends[basis].get(customer, ())
        if period.start <= end < period.close
    )
    start = len(opening)
    figures = {
        "customers_start": count(start),
        "customers_end": count(len(close)),
        "customers_retained": count(len(retained)),
        "customers_new": count(len(new)),
        "customers_reactivated": count(len(reactivated)),
        "customers_lost": count(len(lost)),
        "customers_transient": count(len(transient)),
        "customers_active": count(start + len(new) + len(reactivated) + len(transient)),
        "customers_joined": count(len(joined)),
        "customer_retention_rate": ratio(len(retained), start),
        "customer_churn_rate": ratio(len(lost), start),
        "customer_retention_rate_formula": ratio(len(close) - len(new), start),
        "churn_events": count(events),
        "churn_rate_events": ratio(events, start),
        "churn_rate_stripe": ratio(events, start + len(joined)),
    }
    if basis == "any" and company.referred is not None:
        figures["referral_share"] = ratio(len(joined & company.referred), len(joined))
    for kpi, movers in (("customers_moved_in", moved_in), ("customers_moved_out", moved_out)):
        if movers is not None:
            figures[kpi] = count(sum(company.is_active(basis, customer, period.start) for customer in movers))
    if company.is_cut(basis, period.start):
        nulled(figures, set(figures) - {"customers_end"}, "left_truncated")
    if company.is_cut(basis, period.close):
        nulled(figures, ["customers_end"], "left_truncated")
    return figures


def is_active_within(company: Company, basis: str, customer: str, period: Period) -> bool:
    return count_between(company.active_in_order[basis].get(customer, []), period.start, period.close) > 0
