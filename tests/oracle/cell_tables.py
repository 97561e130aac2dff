"""Tables of what stands in the cells of a company: orders by rank and tenure, failed invoices and tickets by reason,
active days, MRR by currency and plan, and orders that do not count. Rows that would say 0 are absent.

A row stands under (table, *key); TABLES names the keys.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from oracle.activity import NONE, count_between
from oracle.business_days import DAY, Period, days, moment
from oracle.company import Company
from oracle.money import CENT, MICRO
from oracle.orders import exclusion

Cells = dict[tuple[Any, ...], dict[str, Any]]
Cell = tuple[str, date, str, str]  # grain, period_start, segment_dimension, segment_value
CELL = ("grain", "period_start", "segment_dimension", "segment_value")
# A table and the columns that name a row of it.
TABLES: dict[str, tuple[str, ...]] = {
    "order_value_by_rank": (*CELL, "rank"),
    "revenue_by_tenure": (*CELL, "tenure_half_years"),
    "order_exclusions": ("grain", "period_start", "exclusion_reason"),
    "payment_failures": (*CELL, "failure_reason"),
    "engagement_lness": (*CELL, "active_days"),
    "tickets_by_reason": (*CELL, "reason"),
    "mrr_by_currency": (*CELL, "currency"),
    "mrr_by_plan": ("grain", "period_start", "plan"),
    "mrr_movements": ("customer_id", "movement_date"),
}
LESS = {"contraction", "churn"}  # movements that take away
LAST_RANK = 11
ZERO = Decimal(0)


def cell_tables(company: Company) -> Cells:
    """Every row of TABLES."""
    found: Cells = {}
    for table in (order_value_by_rank, revenue_by_tenure, payment_failures, tickets_by_reason):
        found |= table(company)
    found |= engagement_lness(company) | mrr_tables(company) | mrr_movements(company)
    return found | order_exclusions(company)


def has_rows(company: Company, period: Period) -> bool:
    return company.rules.history_start is None or period.end > company.rules.history_start


def cells_of(company: Company, customer: str | None, day: date) -> Iterator[tuple[Period, Cell]]:
    """The cells that a fact of a customer on a day belongs to: per grain `all`, and the value of each dimension."""
    for grain in company.rules.grains:
        period = company.period_holding(grain, day)
        if has_rows(company, period):
            for dimension in ("all", *company.rules.dimensions):
                value = company.value_in_period(dimension, customer, period)
                yield period, (grain, period.start, dimension, value)


def order_value_by_rank(company: Company) -> Cells:
    found: dict[Any, list[Decimal]] = defaultdict(list)
    for customer, orders in company.orders_of.items():
        for number, order in enumerate(orders, start=1):
            for period, cell in cells_of(company, customer, order.day):
                if not company.is_cut("order", period.start):
                    found[cell, min(number, LAST_RANK)].append(order.revenue)
    return {
        ("order_value_by_rank", *cell, rank): {"orders": float(len(amounts)), "order_revenue": float(sum(amounts))}
        for (cell, rank), amounts in found.items()
    }


def revenue_by_tenure(company: Company) -> Cells:
    found: dict[Any, list[Any]] = defaultdict(list)
    for customer, orders in company.orders_of.items():
        first = company.purchase_days[customer][0]
        for order in orders:
            months = (order.day.year * 12 + order.day.month) - (first.year * 12 + first.month)
            for period, cell in cells_of(company, customer, order.day):
                if not company.is_cut("order", period.start):
                    found[cell, months // 6].append(order)
    return {
        ("revenue_by_tenure", *cell, half_years): {
            "orders": float(len(orders)),
            "order_revenue": float(sum(order.revenue for order in orders)),
            "ordering_customers": float(len({order.customer for order in orders})),
        }
        for (cell, half_years), orders in found.items()
    }


def payment_failures(company: Company) -> Cells:
    found: dict[Any, list[bool]] = defaultdict(list)
    for invoice in company.further.get("payments", ()):
        if invoice.is_failed:
            for _, cell in cells_of(company, invoice.customer, invoice.day):
                found[cell, invoice.failure_reason or NONE].append(invoice.is_recovered)
    return {
        ("payment_failures", *cell, reason): {"invoices": float(len(invoices)), "recovered": float(sum(invoices))}
        for (cell, reason), invoices in found.items()
    }


def tickets_by_reason(company: Company) -> Cells:
    found = Counter(
        ("tickets_by_reason", *cell, ticket.reason or NONE)
        for ticket in company.further.get("tickets", ())
        for _, cell in cells_of(company, ticket.customer, ticket.day)
    )
    return {key: {"tickets": float(tickets)} for key, tickets in found.items()}


def periods_with_rows(company: Company, first_days: Iterable[date]) -> Iterator[Period]:
    """The periods of every grain from the one with the first of these days on."""
    begun = min(first_days, default=company.as_of)
    for grain in company.rules.grains if begun < company.as_of else ():
        yield from (period for period in company.periods(grain, begun) if has_rows(company, period))


def engagement_lness(company: Company) -> Cells:
    """Customers by their active days in the mau_days before the close."""
    window = timedelta(days=company.rules.mau_days)
    found: Counter[Any] = Counter()
    for period in periods_with_rows(company, (active[0] for active in company.event_days.values())):
        if company.rules.data_start and period.close - window < company.rules.data_start:
            continue
        for customer, active_days in company.event_days.items():
            active = count_between(active_days, period.close - window, period.close)
            for dimension in ("all", *company.rules.dimensions) if active else ():
                value = company.value_in_period(dimension, customer, period)
                found["engagement_lness", period.grain, period.start, dimension, value, active] += 1
    return {key: {"customers": float(customers)} for key, customers in found.items()}


def mrr_tables(company: Company) -> Cells:
    """MRR in native currency at the opening and at the close, and by the phases' own plans at the close."""
    by_currency: dict[Any, dict[str, Decimal]] = defaultdict(lambda: {"mrr_start": ZERO, "mrr_end": ZERO})
    by_plan: dict[Any, list[Decimal]] = defaultdict(list)
    for period in periods_with_rows(company, company.first_day["subscription"].values()):
        for customer in company.first_day["subscription"]:
            for column, boundary in (("mrr_start", period.start), ("mrr_end", period.close)):
                for currency, amount in company.native(customer, boundary - DAY).items():
                    for dimension in ("all", *company.rules.dimensions):
                        value = company.value_in_period(dimension, customer, period)
                        by_currency[period.grain, period.start, dimension, value, currency][column] += amount
            eve = period.close - DAY
            for phase in company.counted_on(customer, eve):
                amount = company.rates.reporting(phase.mrr, phase.currency, eve, MICRO)
                by_plan[period.grain, period.start, phase.plan].append(amount)
    found: Cells = {
        ("mrr_by_currency", *key): {column: float(amount) for column, amount in amounts.items()}
        for key, amounts in by_currency.items()
    }
    return found | {
        ("mrr_by_plan", *key): {"phases_end": float(len(amounts)), "mrr_end": float(sum(amounts))}
        for key, amounts in by_plan.items()
    }


def mrr_movements(company: Company) -> Cells:
    """What each day adds to a customer's MRR."""
    found: Cells = {}
    for customer, first in company.first_day["subscription"].items():
        for day in days(first, company.as_of):
            for movement, amount in company.movements(customer, day, day + DAY):
                signed = -amount if movement in LESS else amount
                found["mrr_movements", customer, day] = {"movement": movement, "amount": float(signed)}
    return found


def order_exclusions(company: Company) -> Cells:
    """Orders that do not count, on their own day, and their gross amounts at that day's rate. No figure needs these:
    an order without a rate adds nothing to them.
    """
    rules = company.rules
    found: dict[Any, list[Decimal]] = defaultdict(list)
    zone = rules.source_zones.get("orders", rules.zone)
    for row in company.order_rows:
        ordered = moment(row["ordered_at"], rules.zone, zone)
        assert ordered is not None
        reason = exclusion(row, company.survivor(row["customer_id"]), rules.count_zero_value)
        if reason and (rules.data_start or date.min) <= ordered.day < company.as_of:
            amount = in_reporting(company, Decimal(row["amount"]), row["currency"], ordered.day)
            for grain in company.rules.grains:
                period = company.period_holding(grain, ordered.day)
                if has_rows(company, period):
                    found["order_exclusions", grain, period.start, reason].append(amount)
    return {key: {"orders": float(len(amounts)), "amount": float(sum(amounts))} for key, amounts in found.items()}


def in_reporting(company: Company, amount: Decimal, currency: str, day: date) -> Decimal:
    try:
        return company.rates.reporting(amount, currency, day, CENT)
    except LookupError:
        return ZERO
