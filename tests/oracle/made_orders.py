"""Orders of a made-up company: edges of windows and months, tests, cancelled, negative, free, refunded and guests'."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from oracle.made_times import Clock

AMOUNTS = ("5.00", "19.99", "0.01", "120.50", "49.90", "1000.00", "33.33")
CHANNELS = ("web", "store", "app", "")


def made_orders(
    random: Random, clock: Clock, customers: list[str], first: date, last: date, currencies: list[str], window: int
) -> list[dict[str, str]]:
    """Rows of `orders` over [first, last], in random order."""
    rows: list[dict[str, str]] = []
    for customer in customers:
        day = first + timedelta(days=random.randrange((last - first).days))
        while day <= last and random.random() < 0.88:
            for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
                rows.append(made_order(random, clock, len(rows), customer, day, currencies))
            day = next_day(random, clock, day, window)
    random.shuffle(rows)
    return rows


def next_day(random: Random, clock: Clock, day: date, window: int) -> date:
    """The next purchase: any day, or a day on the edge of the activity window, of a month, of a horizon, or a day on
    which the clocks change."""
    changes = [found for found in clock.days_of_change(day, 200) if found > day]
    if changes and random.random() < 0.05:
        return random.choice(changes)
    if random.random() < 0.35:
        return day + timedelta(days=max(1, window + random.choice((-1, 0, 0, 1))))
    if random.random() < 0.2:
        return day + timedelta(days=random.choice((29, 30, 31, 60, 61, 90, 91, 180, 365, 366)))
    if random.random() < 0.2:
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return max(day + timedelta(days=1), following - timedelta(days=random.choice((0, 1))))
    return day + timedelta(days=random.randrange(1, 80))


def made_order(
    random: Random, clock: Clock, number: int, customer: str, day: date, currencies: list[str]
) -> dict[str, str]:
    amount = random.choice(AMOUNTS) if random.random() < 0.6 else f"{random.randrange(1, 40000) / 100:.2f}"
    status = random.choice(("paid",) * 14 + ("refunded", "refunded", "cancelled", "pending"))
    if random.random() < 0.06:
        amount = "0.00"
    elif random.random() < 0.04:
        amount = "-" + amount
    row = {
        "order_id": f"o{number:05d}",
        "customer_id": customer if random.random() > 0.04 else "",
        "ordered_at": clock.text(day)[0],
        "amount": amount,
        "currency": random.choice(currencies),
        "status": status,
        "refunded_amount": "",
        "refunded_at": "",
        "is_test": random.choice(("", "", "", "", "false", "")) if random.random() > 0.04 else "true",
        "channel": random.choice(CHANNELS),
    }
    refund(random, clock, row, day)
    if row["status"] in ("cancelled", "pending") and not row["refunded_amount"] and random.random() < 0.5:
        row["currency"] = "JPY"  # there are no rates for it, and no figure asks for one
    return row


def refund(random: Random, clock: Clock, row: dict[str, str], day: date) -> None:
    """Part, all, or an explicit nothing went back, on a later day, an unknown day, or (wrongly) before the order."""
    amount = float(row["amount"])
    if amount > 0 and (row["status"] == "refunded" or random.random() < 0.1):
        row["refunded_amount"] = random.choice(("", "0.00", f"{amount / 2:.2f}", row["amount"], "0.01"))
    if row["refunded_amount"] or row["status"] == "refunded":
        later = day + timedelta(days=random.choice((0, 1, 3, 20, 45, 100, 400, -2)))
        row["refunded_at"] = clock.text(later)[0] if random.random() < 0.75 else ""
