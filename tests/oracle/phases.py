"""Subscription phases: their days, their MRR, and the days on which they count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from oracle.business_days import DAY, days, moment
from oracle.money import MICRO, Rates, rounded
from oracle.rules import Rules

# Months in an interval as (numerator, denominator), so that MRR is rounded only once.
PARTS = {"week": (12, 52), "day": (12, 365), "month": (1, 1), "quarter": (3, 1), "year": (12, 1)}


@dataclass(eq=False)
class Phase:
    """One phase with days of its own: the subscription's terms from its start until its end (None: open)."""

    subscription: str
    customer: str
    plan: str
    currency: str
    status: str
    start: date
    end: date | None
    mrr: Decimal
    list_mrr: Decimal
    interval: str
    interval_count: int
    term_anchor: date | None
    end_reason: str | None
    instant: datetime
    counted_days_of_all_rows: set[date] = field(default_factory=set)
    counted_days: set[date] = field(default_factory=set)  # the same without the days before data_start
    next_phase: Phase | None = None


def monthly(amount: Decimal, interval: str, count: int) -> Decimal:
    """An amount per billing interval as MRR, rounded once to 6 decimals."""
    numerator, denominator = PARTS[interval]
    return rounded(amount * denominator / (numerator * count), MICRO)


def interval_months(interval: str, count: int) -> float:
    numerator, denominator = PARTS[interval]
    return numerator * count / denominator


def read_phases(
    rows: list[dict[str, Any]], survivor: Callable[..., Any], rules: Rules, as_of: date
) -> dict[str, list[Phase]]:
    """Phases with days, in order, per subscription; days from as_of on are not looked at."""
    source_zone = rules.source_zones.get("subscriptions", rules.zone)
    subscriptions: dict[str, list[Phase]] = defaultdict(list)
    for row in rows:
        start, end = (moment(row.get(name), rules.zone, source_zone) for name in ("started_at", "ended_at"))
        assert start is not None
        anchor = moment(row.get("term_ends_at"), rules.zone, source_zone)
        if end is not None and end.day <= start.day:
            continue  # phases without days are dropped first
        gross = Decimal(row["amount"]) * int(row.get("quantity") or 1)
        discount = Decimal(row.get("recurring_discount") or 0)
        interval, count = row["interval"], int(row.get("interval_count") or 1)
        subscriptions[row["subscription_id"]].append(
            Phase(
                subscription=row["subscription_id"],
                customer=survivor(row["customer_id"]),
                plan=row["plan"],
                currency=row["currency"],
                status=row["status"],
                start=start.day,
                end=end.day if end else None,
                mrr=monthly(gross - discount, interval, count),
                list_mrr=monthly(gross, interval, count),
                interval=interval,
                interval_count=count,
                term_anchor=anchor.day if anchor else None,
                end_reason=row.get("end_reason") or None,
                instant=start.instant,
            )
        )
    return {name: cleaned(phases, rules, as_of) for name, phases in subscriptions.items()}


def cleaned(phases: list[Phase], rules: Rules, as_of: date) -> list[Phase]:
    """Each phase ends at the latest where the next of its subscription starts; then the days that count."""
    phases = sorted(phases, key=lambda phase: phase.instant)
    for phase, following in pairwise(phases):
        if phase.end is None or phase.end > following.start:
            phase.end = following.start
    phases = [phase for phase in phases if phase.end is None or phase.end > phase.start]
    for phase, following in pairwise(phases):
        phase.next_phase = following
    mark_counted_days(phases, rules, as_of)
    return phases


def mark_counted_days(phases: list[Phase], rules: Rules, as_of: date) -> None:
    """Walk the subscription's days: active with MRR counts; so do the first days of an unbroken run of past_due
    days that directly follows a counted active day."""
    state: dict[date, Phase] = {}
    for phase in phases:
        for day in days(phase.start, min(phase.end or as_of, as_of)):
            state[day] = phase
    run_length, run_follows_active = 0, False
    for day in sorted(state):
        phase, eve = state[day], state.get(day - DAY)
        if phase.status == "past_due":
            if eve is None or eve.status != "past_due":
                run_length = 0
                run_follows_active = (
                    eve is not None and eve.status == "active" and day - DAY in eve.counted_days_of_all_rows
                )
            run_length += 1
            counts = run_follows_active and run_length <= rules.count_past_due_days and phase.mrr > 0
        else:
            counts = phase.status == "active" and phase.mrr > 0
        if counts:
            phase.counted_days_of_all_rows.add(day)
            if day >= (rules.data_start or date.min):
                phase.counted_days.add(day)


def comparable_mrr(phases: list[Phase], day: date, rates: Rates) -> dict[Phase, Decimal]:
    """The MRR of phases by which one is the highest: at the day's rates, natively where they have one currency."""
    if len({phase.currency for phase in phases}) == 1:
        return {phase: phase.mrr for phase in phases}
    return {phase: phase.mrr * rates.rate(phase.currency, day) for phase in phases}


def cancel_requests(
    rows: list[dict[str, Any]], survivor: Callable[..., Any], rules: Rules, as_of: date
) -> set[tuple[str, str, date]]:
    """Distinct (customer, subscription, day) of a cancel request, of any row, dated in [data_start, as_of)."""
    source_zone = rules.source_zones.get("subscriptions", rules.zone)
    found = set()
    for row in rows:
        requested = moment(row.get("cancel_requested_at"), rules.zone, source_zone)
        if requested and (rules.data_start or date.min) <= requested.day < as_of:
            found.add((survivor(row["customer_id"]), row["subscription_id"], requested.day))
    return found
