"""What the random companies of the oracle leave out, but what nights must stand: subscriptions that change hands or end
for two customers on one day, refunds that are rows, values that are called like our own, and the datasets of behaviour.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from oracle.companies import MadeCompany
from oracle.made_activity import activity_settings, made_events, made_surveys
from oracle.made_times import Clock
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
    _refund_by_rows(random, company.rows.get("orders", []))
    for row in company.rows.get("customers", []):
        if random.random() < 0.1:
            row["country"] = random.choice(("(unknown)", "(other)"))


def _refund_by_rows(random: Random, orders: list[Row]) -> None:
    """Refunds as negative rows, of orders that there are and of one that there is not, by anybody or nobody."""
    refunds = []
    for number, order in enumerate(orders):
        for part in range(random.choice((0, 0, 0, 0, 1, 2))):
            day = date.fromisoformat(order["ordered_at"][:10]) + timedelta(days=random.randrange(90))
            refund = {
                **{name: "" for name in order},
                "order_id": f"refund {number}-{part}",
                "refund_of": order["order_id"] if random.random() < 0.9 else "no order",
                "customer_id": random.choice((order["customer_id"], random.choice(orders)["customer_id"], "")),
                "ordered_at": day.isoformat(),
                "amount": str(-random.choice((1, 5, 1000))),
                "currency": order["currency"],
                "status": "paid",
            }
            refunds.append(refund)
    orders += refunds


def _change_hands(random: Random, phases: list[Row], other: str) -> None:
    for row in phases[random.randrange(len(phases)) :]:
        row["customer_id"] = other


def _cancel_together(random: Random, phases: list[Row]) -> None:
    day = random.choice(phases)["started_at"]
    for row in phases:
        if random.random() < 0.7:
            row["cancel_requested_at"] = day


def add_behaviour(random: Random, company: MadeCompany, days: int) -> None:
    """Connect events and surveys, now and then one of them alone, with their dimensions among the segments."""
    business = company.settings["business"]
    business.update(activity_settings(random))
    ids = sorted({row["customer_id"] for rows in company.rows.values() for row in rows if row.get("customer_id")})
    first = (
        min(date.fromisoformat(row["ordered_at"][:10]) for row in company.rows["orders"])
        if company.rows.get("orders")
        else company.as_of - timedelta(days=days)
    )
    last = first + timedelta(days=days)
    dimensions = {"events": "engagement_group", "surveys": "nps_class"}
    for dataset, makes in (("events", made_events), ("surveys", made_surveys)):
        if random.random() < 0.15:
            continue
        if dataset not in company.rows:
            source = {
                "type": "files",
                "path": f"landing/{dataset}/*.csv",
                "timezone": random.choice(("UTC", "Asia/Kolkata")),
            }
            clock = Clock(random, business["timezone"], source["timezone"])
            company.settings["sources"][dataset] = source
            company.rows[dataset] = makes(random, clock, ids, first, last)
        segments = company.settings.setdefault("segments", ["country", "plan"])
        if dimensions[dataset] not in segments and random.random() < 0.7:
            segments.append(dimensions[dataset])
