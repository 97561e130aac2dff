"""Random rows of the further datasets: payments, surveys, e-mail events, tickets; some of them of nobody."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from oracle.business_days import add_months
from oracle.made_times import Clock

Row = dict[str, str]
REASONS = ("", "card_expired", "insufficient_funds")
TOPICS = ("", "billing", "how to")
SCALES = (4, 5, 7, 10)
FURTHER = ("payments", "surveys", "emails", "tickets")


def made_further_settings(random: Random) -> dict[str, Any]:
    """The settings that move figures of these datasets, drawn."""
    return {
        "payment_recovery_days": random.choice((1, 7, 30)),
        "email_window_days": random.choice((1, 3, 7)),
        "email_unit": random.choice(("delivered", "delivered", "sent")),
        "csat_positive": random.choice(({5: [4, 5], 10: [9, 10], 4: [3, 4]}, {5: [5], 7: [6, 7]})),
    }


def made_further(random: Random, dataset: str, clock: Clock, ids: list[str], first: date, last: date) -> list[Row]:
    """The rows of one of FURTHER; `ids` are those of customers, aliases among them."""
    make = {"payments": _payments, "surveys": _surveys, "emails": _emails, "tickets": _tickets}[dataset]
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    return make(random, clock, [*ids, *ids, "", ""], days)


def made_costs(random: Random, currencies: list[str], first: date, last: date) -> list[Row]:
    """Rows of `acquisition_costs`: months from some time on, channels of customers and others, some amounts 0."""
    month = first.replace(day=1)
    for _ in range(random.choice((0, 0, 2, 5))):
        month = add_months(month, 1)
    rows: dict[tuple[str, str, str], Row] = {}
    while month <= last:
        for _ in range(random.choice((0, 1, 2, 3))):
            row = {
                "month": month.isoformat(),
                "amount": random.choice(("0.00", "10.00", "99.95", f"{random.randint(1, 500)}.33")),
                "currency": random.choice(currencies),
                "acquisition_channel": random.choice(("ads", "organic", "fairs", "")),
            }
            rows[row["month"], row["currency"], row["acquisition_channel"]] = row
        month = add_months(month, 1)
    return list(rows.values())


def _payments(random: Random, clock: Clock, ids: list[str], days: list[date]) -> list[Row]:
    rows: list[Row] = []
    for number in range(3 * len(ids)):
        customer, day = random.choice(ids), random.choice(days)
        # Without an invoice; with one of many; with one that is called like a payment.
        invoice = random.choice(("", f"i{number}", f"i{number}", f"p{number}"))
        for _ in range(random.choice((1, 1, 2, 3))):
            rows.append(
                {
                    "payment_id": f"p{len(rows)}",
                    "invoice_id": invoice,
                    "customer_id": customer,
                    "attempted_at": clock.text(day)[0],
                    "status": random.choice(("failed", "succeeded")),
                    "failure_reason": random.choice(REASONS),
                }
            )
            day += timedelta(days=random.choice((0, 0, 1, 2, 7, 8, 30, 31)))
            if random.random() < 0.15:
                customer = random.choice(ids)
    return rows


def _surveys(random: Random, clock: Clock, ids: list[str], days: list[date]) -> list[Row]:
    rows: list[Row] = []
    for number in range(4 * len(ids)):
        kind = random.choice(("nps", "nps", "csat"))
        scale = 10 if kind == "nps" else random.choice(SCALES)
        rows.append(
            {
                "response_id": f"r{number}",
                "customer_id": random.choice(ids),
                "responded_at": clock.text(random.choice(days))[0],
                "kind": kind,
                "score": str(random.randint(0, scale)),
                "scale_max": str(scale),
            }
        )
    return rows


def _emails(random: Random, clock: Clock, ids: list[str], days: list[date]) -> list[Row]:
    rows: dict[tuple[Any, ...], Row] = {}
    people = [name for name in ids if name]
    for number in range(4 * len(people)):
        customer, day = random.choice(people), random.choice(days)
        for event in ("sent", "delivered", "bounced", "opened", "opened", "clicked"):
            if random.random() < (0.25 if event == "bounced" else 0.6):
                at, instant = clock.text(day + timedelta(days=random.choice((-1, 0, 0, 1, 2, 3, 4, 7, 8))))
                message = f"m{number % (2 * len(people))}"
                rows[message, customer, event, instant] = {
                    "message_id": message,
                    "customer_id": customer,
                    "event": event,
                    "occurred_at": at,
                    "is_machine": random.choice(("", "true", "false")),
                }
    return list(rows.values())


def _tickets(random: Random, clock: Clock, ids: list[str], days: list[date]) -> list[Row]:
    rows: list[Row] = []
    for number in range(3 * len(ids)):
        day = random.choice(days)
        opened, instant = clock.text(day)
        later = {}
        for column, chance in (("first_reply_at", 0.7), ("resolved_at", 0.7)):
            after = day + timedelta(days=random.choice((0, 1, 2, 2, 2, 3, 20)))
            later[column] = clock.text(after, after=instant, bare=0.0)[0] if random.random() < chance else ""
            if later[column] and random.random() < 0.2:
                later[column] = (instant + timedelta(hours=48)).isoformat()
        rows.append(
            {
                "ticket_id": f"t{number}",
                "customer_id": random.choice(ids),
                "opened_at": opened,
                **later,
                "reason": random.choice(TOPICS),
            }
        )
    return rows
