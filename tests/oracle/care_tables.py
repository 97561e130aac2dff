"""`at_risk` and `customer_actions`: whom to look after at as_of, and what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from oracle.business_days import DAY, add_months
from oracle.company import Company
from oracle.figures import percentile
from oracle.phases import Phase, interval_months
from oracle.renewals import ends_of_terms

Cells = dict[tuple[Any, ...], dict[str, Any]]


def at_risk(company: Company) -> Cells:
    """Rows by (customer_id,) of those who are active in basis any at as_of and have a reason."""
    as_of = company.as_of
    since = add_months(as_of, -12)
    found = {
        "cancel_requested": cancel_requested(company),
        "past_due": past_due(company),
        "overdue": overdue(company),
        "inactive": inactive(company),
        "detractor": detractors(company),
        "open_ticket": with_open_ticket(company),
    }
    cells: Cells = {}
    for customer in company.active_days["any"]:
        reasons = [reason for reason, whom in found.items() if customer in whom]
        if reasons and company.is_active("any", customer, as_of):
            revenue = sum(order.revenue for order in company.orders_between(customer, since, as_of))
            cells[customer,] = {
                "reasons": ",".join(reasons),
                "mrr": float(company.mrr(customer, as_of)),
                "revenue_12m": float(revenue),
            }
    return cells


def counting_on_eve(company: Company) -> Iterator[Phase]:
    """The phases that count on as_of - 1."""
    for phases in company.subscriptions.values():
        yield from (phase for phase in phases if company.as_of - DAY in phase.counted_days)


def cancel_requested(company: Company) -> set[str]:
    """A request, of any row of a subscription, in the unbroken run of counted days that holds the eve."""
    requested: dict[str, set[date]] = defaultdict(set)
    for _, subscription, day in company.requests:
        requested[subscription].add(day)
    found = set()
    for phase in counting_on_eve(company):
        counted = set().union(*(other.counted_days for other in company.subscriptions[phase.subscription]))
        day = company.as_of - DAY
        while day in counted:
            if day in requested[phase.subscription]:
                found.add(phase.customer)
            day -= DAY
    return found


def past_due(company: Company) -> set[str]:
    return {phase.customer for phase in counting_on_eve(company) if phase.status == "past_due"}


def overdue(company: Company) -> set[str]:
    """Buyers of whom no order has come for longer than is usual for them, or for all where they have too few gaps."""
    as_of = company.as_of
    since = as_of - timedelta(days=365)
    of_all = [
        (later - earlier).days
        for bought in company.purchase_days.values()
        for earlier, later in pairwise(bought)
        if since <= later < as_of
    ]
    usual = percentile(of_all, 0.9).value
    found = set()
    for customer, bought in company.purchase_days.items():
        waited, gaps = (as_of - bought[-1]).days, len(bought) - 1
        if len(bought) >= 3:
            is_late = waited * gaps > 2 * (bought[-1] - bought[0]).days
        else:
            is_late = usual is not None and waited > usual
        if is_late and company.is_active("order", customer, as_of):
            found.add(customer)
    return found


def inactive(company: Company) -> set[str]:
    """An active day ever, none in the last mau_days."""
    since = company.as_of - timedelta(days=company.rules.mau_days)
    return {customer for customer, days in company.event_days.items() if days[-1] < since}


def detractors(company: Company) -> set[str]:
    """The latest of the answers of the last 180 days."""
    since = company.as_of - timedelta(days=180)
    latest = {answer.customer: answer.score for answer in company.nps_answers if answer.day >= since}
    return {customer for customer, score in latest.items() if score <= 6}


def with_open_ticket(company: Company) -> set[str]:
    """Open for at least 48 hours when as_of begins."""
    begins = datetime.combine(company.as_of, time.min, company.rules.zone).astimezone(UTC)
    return {
        ticket.customer
        for ticket in company.further.get("tickets", ())
        if ticket.customer and ticket.resolved is None and ticket.opened <= begins - timedelta(hours=48)
    }


def customer_actions(company: Company) -> Cells:
    """Rows by (customer_id, action, subject, due_on), which have no other column."""
    to_do = {
        "ticket_reminder": ticket_reminders,
        "purchase_follow_up": purchase_follow_ups,
        "payment_failed": failed_payments,
        "renewal_due": renewals_due,
    }
    return {
        (customer, action, subject, due_on): {}
        for action, days in company.rules.actions.items()
        for customer, subject, due_on in to_do[action](company, days)
        if customer
    }


Due = Iterator[tuple[str | None, str, date]]


def ticket_reminders(company: Company, days: int) -> Due:
    for ticket in company.further.get("tickets", ()):
        due_on = ticket.day + timedelta(days=days)
        if ticket.resolved is None and due_on <= company.as_of:
            yield ticket.customer, ticket.name, due_on


def purchase_follow_ups(company: Company, days: int) -> Due:
    for customer, bought in company.purchase_days.items():
        due_on = bought[-1] + timedelta(days=days)
        if company.as_of - timedelta(days=7) <= due_on <= company.as_of:
            yield customer, bought[-1].isoformat(), due_on


def failed_payments(company: Company, days: int) -> Due:
    since = company.as_of - timedelta(days=company.rules.payment_recovery_days)
    for invoice in company.further.get("payments", ()):
        if not invoice.is_paid and invoice.day >= since:
            yield invoice.customer, invoice.name, invoice.day + timedelta(days=days)


def renewals_due(company: Company, days: int) -> Due:
    """Ends of terms to come of a phase that counts on the eve, and goes on until the term's end as its rows stand."""
    as_of, last = company.as_of, company.as_of + timedelta(days=days)
    for phases in company.phases_until(last).values():
        for phase in phases:
            is_long = interval_months(phase.interval, phase.interval_count) >= company.rules.renewal_min_term_months
            if is_long and as_of - DAY in phase.counted_days:
                first_counted = min(day for other in phases for day in other.counted_days_of_all_rows)
                for due_on in ends_of_terms(phase, first_counted, last):
                    if due_on >= as_of and due_on - DAY in phase.counted_days:
                        yield phase.customer, phase.subscription, due_on
