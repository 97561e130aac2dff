"""`cohort_retention`: what became of those who began in the same period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from oracle.business_days import Period, moment
from oracle.company import Company

ZERO = Decimal(0)


def cohort_cells(company: Company) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Cells by (basis, grain, segment_dimension, segment_value, cohort_start, age)."""
    cells = {}
    for basis in company.rules.bases:
        begun = begin_days(company, basis)
        for grain in company.rules.grains:
            for dimension in ("all", *company.rules.dimensions):
                for (value, cohort), members in cohorts(company, begun, grain, dimension).items():
                    if not company.is_cut(basis, cohort.start):
                        for age, cell in enumerate(cells_of(company, basis, cohort, members)):
                            cells[basis, grain, dimension, value, cohort.start, age] = cell
    return cells


def begin_days(company: Company, basis: str) -> dict[str, date]:
    """The day on which each customer begins: the first active day, or the sign-up."""
    if company.rules.cohort_event == "signup":
        return sign_up_days(company)
    return company.first_day[basis]


def sign_up_days(company: Company) -> dict[str, date]:
    """signed_up_at of the last row in force that has one, where it is before as_of."""
    rules, found = company.rules, {}
    for valid_from, row in company.attributes:
        signed_up = moment(row.get("signed_up_at"), rules.zone, rules.source_zones.get("customers", rules.zone))
        is_survivor = company.survivor(row["customer_id"]) == row["customer_id"]
        if signed_up and is_survivor and valid_from.day < company.as_of:
            found[row["customer_id"]] = signed_up.day
    return {customer: day for customer, day in found.items() if day < company.as_of}


def cohorts(
    company: Company, begun: dict[str, date], grain: str, dimension: str
) -> dict[tuple[str, Period], list[str]]:
    """Customers by the segment value in force on the day on which they began, and its period."""
    found = defaultdict(list)
    for customer, day in begun.items():
        value = "all" if dimension == "all" else company.values[dimension].on_day(customer, day)
        found[value, company.period_holding(grain, day)].append(customer)
    return found


def cells_of(company: Company, basis: str, cohort: Period, members: list[str]) -> Iterator[dict[str, Any]]:
    """One cell per age from 0 on, as long as it starts before as_of."""
    oldest = company.rules.cohort_max_age[cohort.grain]
    periods = company.periods(cohort.grain, cohort.start)
    active = [{member for member in members if is_active_in(company, basis, member, period)} for period in periods]
    revenues = [revenue(company, basis, period, members) for period in periods]
    for age, period in enumerate(periods[: oldest + 1]):
        now = len(active[age])
        is_known = basis != "any"
        yield {
            "cohort_size": len(members),
            "active": now,
            "active_or_later": len(set().union(*active[age:])),
            "revenue": float(revenues[age]) if is_known else None,
            "cumulative_revenue": float(sum(revenues[: age + 1], ZERO)) if basis == "order" else None,
            "retention_rate": now / len(members),
            "revenue_retention_rate": float(revenues[age]) / float(revenues[0]) if is_known and revenues[0] else None,
            "is_complete": period.is_complete,
        }


def is_active_in(company: Company, basis: str, customer: str, period: Period) -> bool:
    """A purchase day in the period, or a day that counts; not the activity window of orders."""
    bought = any(period.start <= day < period.close for day in company.purchase_days.get(customer, ()))
    counted = any(period.start <= day < period.close for day in company.active_days["subscription"].get(customer, ()))
    return {"order": bought, "subscription": counted, "any": bought or counted}[basis]


def revenue(company: Company, basis: str, period: Period, members: list[str]) -> Decimal:
    """Order revenue of the period, or MRR at its close."""
    if basis == "order":
        orders = [order for m in members for order in company.orders_between(m, period.start, period.close)]
        return sum((order.revenue for order in orders), ZERO)
    if basis == "subscription":
        return sum((company.mrr(member, period.close) for member in members), ZERO)
    return ZERO
