"""Subscriptions of a made-up company: trials, pauses, past-due runs, free plans, discounts, overlapping phases."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

from oracle.made_times import Clock

PLANS = ("basic", "team", "pro")
INTERVALS = (
    ("month", 1),
    ("month", 1),
    ("month", 1),
    ("month", 3),
    ("month", 6),
    ("quarter", 1),
    ("year", 1),
    ("week", 2),
    ("week", 1),
    ("day", 30),
    ("day", 90),
)
REASONS = ("", "", "payment_failed", "too_expensive", "competitor", "odd", "unclear")
# What may follow: mostly what happens, sometimes what should not.
FOLLOWS = {
    "trialing": ("active", "active", "active", "cancelled", "past_due"),
    "active": ("active", "active", "past_due", "past_due", "paused", "cancelled", "unpaid"),
    "past_due": ("active", "active", "past_due", "unpaid", "cancelled", "paused"),
    "paused": ("active", "active", "cancelled", "past_due"),
    "unpaid": ("active", "cancelled"),
    "cancelled": ("active", "trialing"),
}


def made_subscriptions(
    random: Random,
    clock: Clock,
    customers: list[str],
    first: date,
    last: date,
    currencies: list[str],
    intervals: tuple[tuple[str, int], ...] = INTERVALS,
) -> list[dict[str, str]]:
    """Rows of `subscriptions` that start over [first, last], in random order."""
    rows: list[dict[str, str]] = []
    for customer in customers:
        start = first + timedelta(days=random.randrange((last - first).days))
        for number in range(random.choice((0, 1, 1, 1, 2, 3))):
            phases = made_phases(random, clock, f"s{customer}-{number}", customer, start, last, currencies, intervals)
            rows += phases
            # A further subscription: anywhere, or close to the days on which the one before changed.
            change = date.fromisoformat(random.choice(phases)["started_at"][:10])
            start = min(change + timedelta(days=random.choice((0, 1, 2, 7, 29, 30, 31, random.randrange(200)))), last)
    random.shuffle(rows)
    return rows


def made_phases(
    random: Random,
    clock: Clock,
    subscription: str,
    customer: str,
    start: date,
    last: date,
    currencies: list[str],
    intervals: tuple[tuple[str, int], ...],
) -> list[dict[str, str]]:
    """The phases of one subscription, no two of which start at the same instant."""
    phases: list[dict[str, str]] = []
    instants: set[datetime] = set()
    status = random.choice(("active", "active", "active", "trialing", "past_due"))
    terms = made_terms(random, currencies, intervals)
    while start <= last and len(phases) < 9:
        started, instant = clock.text(start)
        if instant in instants:
            instant = max(instants) + timedelta(seconds=1)
            started = instant.astimezone(UTC).isoformat()
        instants.add(instant)
        length = random.choice((0, 1, 2, 9, 10, 11, 29, 30, 31, 32, 60, 92, random.randrange(300)))
        end = start + timedelta(days=length)
        phases.append(
            {
                "subscription_id": subscription,
                "customer_id": customer,
                **terms,
                "status": status,
                "started_at": started,
                "ended_at": "",
                "term_ends_at": any_day(random, clock, start, 400) if random.random() < 0.35 else "",
                "cancel_requested_at": any_day(random, clock, start, 60) if random.random() < 0.15 else "",
                "end_reason": random.choice(REASONS),
            }
        )
        if random.random() < 0.85:
            phases[-1]["ended_at"], _ = clock.text(end, after=instant)
        # The next phase follows at once, overlaps, or leaves a gap.
        start = end + timedelta(days=random.choice((0, 0, 0, 0, 0, 0, -1, -3, 1, 5, 40)))
        start = max(start, instant.astimezone(clock.business_zone).date())
        status = random.choice(FOLLOWS[status])
        if random.random() < 0.5:
            terms = made_terms(random, currencies, intervals)
        if random.random() < 0.18:
            break
    return phases


def made_terms(random: Random, currencies: list[str], intervals: tuple[tuple[str, int], ...]) -> dict[str, str]:
    """Plan, price, discount (some, all, none), currency and interval."""
    interval, interval_count = random.choice(intervals)
    amount = random.choice(("9.00", "10.00", "49.50", "99.99", "2000.00", "0.00", "0.000001", "33.333333"))
    quantity = random.choice((1, 1, 1, 2, 3))
    share = random.choice((0, 0, 0, 0, 0.2, 0.6, 1))
    gross = float(amount) * quantity
    return {
        "plan": random.choice(PLANS),
        "amount": amount,
        "quantity": str(quantity),
        "recurring_discount": f"{int(gross * share * 100) / 100:.2f}",
        "currency": random.choice((currencies[0], random.choice(currencies))),
        "interval": interval,
        "interval_count": str(interval_count),
    }


def any_day(random: Random, clock: Clock, start: date, spread: int) -> str:
    return clock.text(start + timedelta(days=random.randrange(-spread // 4, spread)))[0]
