"""`customer_profiles` and `rfm_cut_points`: how each customer stands at as_of."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from oracle.business_days import DAY
from oracle.company import Company

MEASURES = ("recency_days", "purchase_days", "net_revenue")
FIFTHS = (1, 2, 3, 4)
Cells = dict[tuple[Any, ...], dict[str, Any]]


class Rfm(NamedTuple):
    """What a buyer's purchase days before a day come to, in the order of MEASURES."""

    recency_days: int
    purchase_days: int
    net_revenue: Decimal


def rfm(company: Company, customer: str, boundary: date) -> Rfm | None:
    """None without a purchase day before the boundary."""
    bought = company.purchase_days_before(customer, boundary)
    if not bought:
        return None
    revenue = sum((order.revenue for order in company.orders_between(customer, date.min, boundary)), Decimal(0))
    return Rfm((boundary - bought[-1]).days, len(bought), revenue)


def rfm_cut_points(company: Company) -> Cells:
    """Rows by (measure, quantile)."""
    return {
        (measure, Decimal(fifth) / 5): {"value": float(value)}
        for measure, values in cut_points(company).items()
        for fifth, value in zip(FIFTHS, values, strict=True)
    }


def cut_points(company: Company) -> dict[str, list[Any]]:
    """The four values per measure, of those who bought before the month that holds the eve of as_of; {} without any."""
    opening = (company.as_of - DAY).replace(day=1)
    buyers = [found for customer in company.orders_of if (found := rfm(company, customer, opening))]
    if not buyers:
        return {}
    return {
        measure: [discrete_quantile(values, Fraction(fifth, 5)) for fifth in FIFTHS]
        for measure, values in zip(MEASURES, zip(*buyers, strict=True), strict=True)
    }


def discrete_quantile(values: tuple[Any, ...], share: Fraction) -> Any:
    """The smallest of the values up to which lies this share of them."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


def customer_profiles(company: Company) -> Cells:
    """Rows by (customer_id,); a purchase day lies in a span, so whoever was ever active has one."""
    as_of, cuts = company.as_of, cut_points(company)
    month = company.period_holding("month", as_of - DAY)
    cells: Cells = {}
    for customer, first in company.first_day["any"].items():
        row: dict[str, Any] = {"first_active_day": first, "tenure_days": (as_of - first).days}
        for basis in ("order", "subscription", "any"):
            row[f"is_active_{basis}"] = company.is_active(basis, customer, as_of)
        bought = company.purchase_days_before(customer, as_of)
        row |= {"mrr": float(company.mrr(customer, as_of)), "last_purchase_day": bought[-1] if bought else None}
        row |= of_rfm(rfm(company, customer, as_of), cuts)
        for dimension in company.rules.dimensions:
            row[dimension] = company.value_in_period(dimension, customer, month)
        cells[customer,] = row
    return cells


def of_rfm(found: Rfm | None, cuts: dict[str, list[Any]]) -> dict[str, Any]:
    """The three measures, their scores and the group; None what cannot be said."""
    if found is None:
        return dict.fromkeys((*MEASURES, "r_score", "f_score", "m_score", "rfm_group"))
    row = found._asdict() | {"net_revenue": float(found.net_revenue)}
    if not cuts:
        return row | dict.fromkeys(("r_score", "f_score", "m_score", "rfm_group"))
    below = [sum(cut < value for cut in cuts[measure]) for measure, value in found._asdict().items()]
    r, f, m = 5 - below[0], 1 + below[1], 1 + below[2]
    return row | {"r_score": r, "f_score": f, "m_score": m, "rfm_group": rfm_group(r, f)}


def rfm_group(r: int, f: int) -> str:
    if r >= 4 and f >= 4:
        return "champions"
    if r >= 3 and f >= 3:
        return "loyal"
    if r >= 4:
        return "promising"
    if r == 3:
        return "needs_attention"
    return "slipping" if f >= 3 else "lapsed"
