"""Terms that end and whether they are renewed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from oracle.business_days import DAY, add_months, days
from oracle.company import Company
from oracle.phases import Phase, interval_months


class Term(NamedTuple):
    """One term of a phase that ended on a day; renewed_mrr None where it was not renewed (yet)."""

    customer: str
    day: date
    is_resolved: bool
    is_renewed: bool
    due: Decimal
    renewed: Decimal


def terms(company: Company) -> list[Term]:
    """Every term end before as_of of every phase whose interval is long enough."""
    found = []
    for phases in company.subscriptions.values():
        first_counted = min((day for phase in phases for day in phase.counted_days_of_all_rows), default=None)
        for phase in phases:
            months = interval_months(phase.interval, phase.interval_count)
            if months >= company.rules.renewal_min_term_months and phase.counted_days:
                found += [renewed_or_not(company, phase, day) for day in term_ends(company, phase, first_counted)]
    return found


def term_ends(company: Company, phase: Phase, first_counted: date | None) -> list[date]:
    """Days D = anchor + j x interval with the phase counted on D - 1 and D before as_of."""
    return [day for day in ends_of_terms(phase, first_counted, company.as_of) if day - DAY in phase.counted_days]


def ends_of_terms(phase: Phase, first_counted: date | None, before: date) -> Iterator[date]:
    """Days anchor + j x interval before a day: any j from the phase's own anchor, from 1 on from the first counted day
    of the subscription.
    """
    j, anchor = 1, first_counted
    if phase.term_anchor is not None:
        anchor = phase.term_anchor
        shortest = phase.interval_count * {"day": 1, "week": 7, "month": 28, "quarter": 89, "year": 365}[phase.interval]
        j = min(0, (phase.start - anchor).days // shortest) - 1  # ends before the phase begins
    assert anchor is not None
    while (day := term_end(anchor, phase, j)) < before:
        yield day
        j += 1


def term_end(anchor: date, phase: Phase, j: int) -> date:
    count = phase.interval_count * j
    if phase.interval in ("week", "day"):
        return anchor + timedelta(days=count * (7 if phase.interval == "week" else 1))
    return add_months(anchor, count * {"month": 1, "quarter": 3, "year": 12}[phase.interval])


def renewed_or_not(company: Company, phase: Phase, day: date) -> Term:
    """Renewed by this subscription, or another of the customer that did not count on the eve, counting as active."""
    grace = company.rules.renewal_grace_days
    others_before = {other.subscription for other in company.counted_on(phase.customer, day - DAY)}
    others_before.discard(phase.subscription)
    is_resolved = day + timedelta(days=grace) <= company.as_of
    # A term renewed before its grace has passed is still pending.
    due = company.in_reporting({phase.currency: phase.mrr}, day - DAY)
    for candidate in days(day, day + timedelta(days=max(grace, 1))):
        own = [other for other in company.subscriptions[phase.subscription] if candidate in other.counted_days]
        others = [
            other
            for other in company.counted_on(phase.customer, candidate)
            if other.subscription not in (*others_before, phase.subscription)
        ]
        renewing = [other for other in own + others if other.status == "active"]
        if renewing:
            native: dict[str, Decimal] = defaultdict(Decimal)
            for other in renewing:
                native[other.currency] += other.mrr
            renewed = company.in_reporting(native, day - DAY)
            return Term(phase.customer, day, is_resolved, True, due, renewed)
    return Term(phase.customer, day, is_resolved, False, due, Decimal(0))
