"""Attributes with history, aliases of aliases, and rates of exchange of a made-up company."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random

from oracle.made_times import Clock

COUNTRIES = ("NL", "DE", "BE", "")
CHANNELS = ("ads", "organic", "ref", "")
SIZES = ("small", "large", "")


def made_customers(random: Random, clock: Clock, customers: list[str], first: date, last: date) -> list[dict[str, str]]:
    """Rows of `customers`: one in ten has none, some several, some from the beginning, some in the future."""
    rows: list[dict[str, str]] = []
    span = (last - first).days
    for customer in customers:
        if random.random() < 0.1:
            continue
        instants: set[datetime] = set()
        day = first + timedelta(days=random.randrange(-30, span))
        from_beginning = random.random() < 0.5
        signed_up = clock.text(day)[0] if random.random() < 0.9 else ""
        for number in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
            valid_from, instant = clock.text(day)
            if instant in instants:
                continue
            instants.add(instant)
            rows.append(
                {
                    "customer_id": customer,
                    "valid_from": "" if number == 0 and from_beginning else valid_from,
                    "signed_up_at": signed_up if random.random() < 0.9 else "",
                    "country": random.choice(COUNTRIES),
                    "acquisition_channel": random.choice(CHANNELS),
                    "referred_by": "somebody" if len(rows) % 3 == 0 else "",
                    "size": random.choice(SIZES),
                }
            )
            day += timedelta(days=random.choice((0, 1, 7, 30, 31, random.randrange(1, 300))))
    random.shuffle(rows)
    return rows


def without_dates(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of `customers` of a company that only tells the present: one per customer, without `valid_from`."""
    present = {row["customer_id"]: row for row in rows}
    return [{column: text for column, text in row.items() if column != "valid_from"} for row in present.values()]


def made_aliases(
    random: Random, clock: Clock, customers: list[str], first: date, last: date
) -> tuple[list[dict[str, str]], list[str]]:
    """(rows of `customer_aliases`, the alias ids): aliases, and aliases of aliases, some not yet valid."""
    rows, ids = [], []
    for customer in customers:
        owner = customer
        while random.random() < 0.25 and len(owner) - len(customer) < 3:
            alias = owner + "x"
            day = first + timedelta(days=random.randrange((last - first).days + 60))
            valid_from = clock.text(day)[0] if random.random() < 0.5 else ""
            rows.append({"alias_id": alias, "customer_id": owner, "valid_from": valid_from})
            ids.append(alias)
            owner = alias
    random.shuffle(rows)
    return rows, ids


def made_rates(random: Random, currencies: list[str], first: date, last: date, max_age: int) -> list[dict[str, str]]:
    """Rows of `fx_rates`, never further apart than the greatest age."""
    rows = []
    for currency in currencies:
        day, rate = first, random.uniform(0.7, 1.4)
        while day <= last:
            rows.append({"date": day.isoformat(), "currency": currency, "rate_to_reporting": f"{rate:.6f}"})
            rate *= random.uniform(0.97, 1.03)
            day += timedelta(days=random.randint(max(1, max_age - 3), max_age + 1))
    random.shuffle(rows)
    return rows
