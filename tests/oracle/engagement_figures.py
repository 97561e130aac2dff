"""KPIs of activity for one period and set of customers, day by day."""

from __future__ import annotations

from datetime import date, timedelta

from oracle.activity import count_between
from oracle.business_days import Period
from oracle.company import Company
from oracle.figures import Figure, count, nulled, percentile, ratio


def engagement_figures(company: Company, period: Period, before: Period, members: list[str]) -> dict[str, Figure]:
    """Figures over the members (customers who have the segment value in the period); `before` is the period before."""
    start, close, window = period.start, period.close, company.rules.mau_days
    of = {customer: company.event_days.get(customer, []) for customer in members}

    def active(first: date, end: date) -> set[str]:
        return {customer for customer, found in of.items() if count_between(found, first, end)}

    def in_last(number: int) -> set[str]:
        return active(close - timedelta(days=number), close)

    def days_in_window(customers: set[str] | list[str]) -> int:
        return sum(count_between(of[customer], close - timedelta(days=window), close) for customer in customers)

    now, earlier = active(start, close), active(before.start, start)
    new = {customer for customer in now if of[customer][0] >= start}
    wau, mau, yau = in_last(7), in_last(window), in_last(365)
    at_close = [customer for customer in members if company.is_active("any", customer, close)]
    length = (close - start).days
    minutes = [
        event.seconds / 60
        for customer in members
        for event in company.activity_of.get(customer, ())
        if event.seconds is not None and start <= event.day < close
    ]
    figures = {
        "dau": ratio(sum(count_between(found, start, close) for found in of.values()), length),
        "wau": count(len(wau)),
        "mau": count(len(mau)),
        "yau": count(len(yau)),
        "stickiness": ratio(days_in_window(mau), window * len(mau), len(mau)),
        "stickiness_yearly": ratio(len(mau), len(yau)),
        "lness_mean": ratio(days_in_window(mau), len(mau)),
        "engagement_index": ratio(days_in_window(at_close), window * len(at_close), len(at_close)),
        "active_customers": count(len(now)),
        "active_new": count(len(new)),
        "active_returning": count(len(now & earlier)),
        "active_resurrected": count(len(now - earlier - new)),
        "active_dormant": count(len(earlier - now)),
        "session_minutes_median": percentile(minutes, 0.5),
    }
    begins = company.rules.data_start
    if begins:
        cut = {
            "dau": start < begins,
            "wau": close - timedelta(days=7) < begins,
            "mau": close - timedelta(days=window) < begins,
            "yau": close - timedelta(days=365) < begins,
            "active_new": start <= begins,
            "active_returning": before.start < begins,
        }
        cut |= {"stickiness": cut["mau"], "lness_mean": cut["mau"], "stickiness_yearly": cut["yau"]}
        cut |= {"active_resurrected": cut["active_new"], "active_dormant": cut["active_returning"]}
        cut["engagement_index"] = cut["mau"] or company.is_cut("any", close)
        nulled(figures, [kpi for kpi, is_cut in cut.items() if is_cut], "left_truncated")
    return figures
