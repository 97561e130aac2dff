"""What the random companies of the oracle leave out, since no figure is about it, but what nights must stand:
subscriptions that change hands or end for two customers on one day, and values that are called like our own.
"""

from __future__ import annotations

from random import Random

from oracle.companies import MadeCompany
from oracle.nights import Row


def make_nasty(random: Random, company: MadeCompany) -> None:
    """Change the rows of a company in place."""
    subscriptions: dict[str, list[Row]] = {}
    for row in company.rows.get("subscriptions", []):
        subscriptions.setdefault(row["subscription_id"], []).append(row)
    subscribers = sorted({row["customer_id"] for rows in subscriptions.values() for row in rows})
    for phases in subscriptions.values():
        phases.sort(key=lambda row: row["started_at"])
        if random.random() < 0.4:
            _change_hands(random, phases, random.choice(subscribers))
        if random.random() < 0.3:
            _cancel_together(random, phases)
    for row in company.rows.get("customers", []):
        if random.random() < 0.1:
            row["country"] = random.choice(("(unknown)", "(other)"))


def _change_hands(random: Random, phases: list[Row], other: str) -> None:
    for row in phases[random.randrange(len(phases)) :]:
        row["customer_id"] = other


def _cancel_together(random: Random, phases: list[Row]) -> None:
    day = random.choice(phases)["started_at"]
    for row in phases:
        if random.random() < 0.7:
            row["cancel_requested_at"] = day
