"""Activity events and answers to surveys of a made-up company: bursts, edges of windows and months, nobody's events."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from oracle.made_times import Clock

EVENTS = ("login", "view", "export", "ping")
MAU_DAYS = (7, 28, 30, 31, 90)
DURATIONS = ("", "", "0", "60", "90.5", "840.918")


def activity_settings(random: Random) -> dict[str, Any]:
    """Business settings of activity, drawn."""
    return {
        "mau_days": random.choice(MAU_DAYS),
        "active_events": random.choice((None, ["login", "view"], ["export"])),
        "engagement_cuts": random.choice(([1, 4, 12], [1, 2, 5], [2, 4, 6])),
    }


def made_events(random: Random, clock: Clock, customers: list[str], first: date, last: date) -> list[dict[str, str]]:
    """Rows of `events` over [first, last], in random order; some of nobody, some customers without any."""
    rows: list[dict[str, str]] = []
    for customer in customers:
        if random.random() < 0.25:
            continue
        day = first + timedelta(days=random.randrange((last - first).days))
        while day <= last and random.random() < 0.93:
            for _ in range(random.choice((1, 1, 1, 2))):
                rows.append(
                    {
                        "event_id": f"e{len(rows):05d}",
                        "customer_id": customer if random.random() > 0.04 else "",
                        "occurred_at": clock.text(day)[0],
                        "event": random.choice(EVENTS),
                        "duration_seconds": random.choice(DURATIONS),
                    }
                )
            day = _next_active_day(random, day)
    random.shuffle(rows)
    return rows


def _next_active_day(random: Random, day: date) -> date:
    """Mostly soon; or at the edge of a window, or on the last or first day of a month."""
    chance = random.random()
    if chance < 0.5:
        return day + timedelta(days=random.randint(1, 4))
    if chance < 0.7:
        return day + timedelta(days=random.choice((6, 7, 8, 27, 28, 29, 30, 31, 32, 90, 91, 364, 365, 366)))
    if chance < 0.85:
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return max(day + timedelta(days=1), following - timedelta(days=random.choice((0, 1))))
    return day + timedelta(days=random.randrange(1, 100))


def made_surveys(random: Random, clock: Clock, customers: list[str], first: date, last: date) -> list[dict[str, str]]:
    """Rows of `surveys`: some on one day, some more than a year apart, on two scales."""
    rows: list[dict[str, str]] = []
    for customer in customers:
        if random.random() < 0.3:
            continue
        day = first + timedelta(days=random.randrange((last - first).days))
        while day <= last and random.random() < 0.8:
            is_nps = random.random() < 0.7
            scale = 10 if is_nps else random.choice((5, 10, 7))
            rows.append(
                {
                    "response_id": f"r{len(rows):05d}",
                    "customer_id": customer if random.random() > 0.1 else "",
                    "responded_at": clock.text(day)[0],
                    "kind": "nps" if is_nps else "csat",
                    "score": str(random.randint(0, scale)),
                    "scale_max": str(scale),
                }
            )
            day += timedelta(days=random.choice((0, 1, 30, 100, 364, 365, 366)))
    random.shuffle(rows)
    return rows
