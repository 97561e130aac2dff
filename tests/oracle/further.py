"""Payments, surveys, e-mail and tickets: facts from raw rows, and the figures of a period over some of them.

A fact belongs to a customer (None: to nobody) and a day; a figure is counted over the facts of some customers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from oracle.business_days import Moment, Period, moment
from oracle.figures import Figure, count, missing, percentile, ratio
from oracle.rules import Rules


class Invoice(NamedTuple):
    """All attempts of an invoice that lie before as_of, by its first one."""

    name: str  # of an attempt without an invoice its payment_id
    customer: str | None
    day: date
    is_failed: bool
    is_recovered: bool
    failure_reason: str | None  # of the first attempt
    is_paid: bool  # at any time


class Answer(NamedTuple):
    """One answer to a survey."""

    customer: str | None
    day: date
    place: tuple[datetime, str]
    kind: str
    score: int
    scale: int


class Unit(NamedTuple):
    """A message at a customer, and what happened to it in its window before as_of."""

    customer: str | None
    day: date
    happened: frozenset[str]  # opened, opened_raw, clicked


class Ticket(NamedTuple):
    """One ticket; what lies from as_of on has not happened."""

    name: str
    customer: str | None
    day: date
    opened: datetime
    replied: Moment | None
    resolved: Moment | None
    reason: str | None


@dataclass(frozen=True)
class Reader:
    """How the rows of one dataset are read: whose they are, and when."""

    dataset: str
    survivor: Callable[[str | None], str | None]
    rules: Rules
    as_of: date

    def at(self, text: str | None) -> Moment | None:
        """When something happened; None for never, or not before as_of."""
        zone = self.rules.source_zones.get(self.dataset, self.rules.zone)
        found = moment(text, self.rules.zone, zone)
        return found if found is not None and found.day < self.as_of else None

    def is_in_data(self, day: date) -> bool:
        return self.rules.data_start is None or day >= self.rules.data_start


def invoices(rows: list[dict[str, Any]], reader: Reader) -> list[Invoice]:
    attempts = defaultdict(list)
    for row in rows:
        at = reader.at(row["attempted_at"])
        if at:
            name = ("invoice", row["invoice_id"]) if row.get("invoice_id") else ("payment", row["payment_id"])
            attempts[name].append((at.instant, row["payment_id"], at.day, row))
    found = []
    for (_, name), tried in attempts.items():
        _, _, day, first = min(tried, key=lambda attempt: attempt[:2])
        last = day + timedelta(days=reader.rules.payment_recovery_days)
        is_failed = first["status"] == "failed"
        paid = any(row["status"] == "succeeded" and tried_on <= last for _, _, tried_on, row in tried)
        if reader.is_in_data(day):
            customer, reason = reader.survivor(first.get("customer_id")), first.get("failure_reason") or None
            is_paid = any(row["status"] == "succeeded" for _, _, _, row in tried)
            found.append(Invoice(name, customer, day, is_failed, is_failed and paid, reason, is_paid))
    return found


def answers(rows: list[dict[str, Any]], reader: Reader) -> list[Answer]:
    found = []
    for row in rows:
        at = reader.at(row["responded_at"])
        if at and reader.is_in_data(at.day):
            customer = reader.survivor(row.get("customer_id"))
            place = (at.instant, row["response_id"])
            found.append(Answer(customer, at.day, place, row["kind"], int(row["score"]), int(row["scale_max"])))
    return found


def units(rows: list[dict[str, Any]], reader: Reader) -> list[Unit]:
    events = defaultdict(list)
    for row in rows:
        at = reader.at(row["occurred_at"])
        if at and reader.is_in_data(at.day):
            is_machine = str(row.get("is_machine") or "").lower() == "true"
            events[row["message_id"], reader.survivor(row["customer_id"])].append((row["event"], at.day, is_machine))
    found = []
    for (_, customer), happened in events.items():
        days = [day for event, day, _ in happened if event == reader.rules.email_unit]
        if not days:
            continue
        last = min(days) + timedelta(days=reader.rules.email_window_days)
        within = [(event, is_machine) for event, day, is_machine in happened if min(days) <= day <= last]
        if reader.rules.email_unit == "sent" and any(event == "bounced" for event, _ in within):
            continue
        became = {event for event, is_machine in within if event in ("opened", "clicked") and not is_machine}
        became |= {"opened_raw"} if any(event == "opened" for event, _ in within) else set()
        found.append(Unit(customer, min(days), frozenset(became)))
    return found


def tickets(rows: list[dict[str, Any]], reader: Reader) -> list[Ticket]:
    found = []
    for row in rows:
        opened = reader.at(row["opened_at"])
        if opened and reader.is_in_data(opened.day):
            replied, resolved = reader.at(row.get("first_reply_at")), reader.at(row.get("resolved_at"))
            customer = reader.survivor(row.get("customer_id"))
            name, reason = row["ticket_id"], row.get("reason") or None
            found.append(Ticket(name, customer, opened.day, opened.instant, replied, resolved, reason))
    return found


def after(period: Period, days: int, as_of: date, figure: Figure) -> Figure:
    """The figure once everything of the period has had so many days."""
    return figure if period.end + timedelta(days=days) <= as_of else missing("immature")


def payment_figures(facts: list[Invoice], period: Period, rules: Rules, as_of: date) -> dict[str, Figure]:
    begun = [fact for fact in facts if period.start <= fact.day < period.close]
    failed = [fact for fact in begun if fact.is_failed]
    recovered = ratio(sum(fact.is_recovered for fact in failed), len(failed))
    return {
        "invoices_attempted": count(len(begun)),
        "failed_payment_rate": ratio(len(failed), len(begun)),
        "payment_recovery_rate": after(period, rules.payment_recovery_days, as_of, recovered),
    }


def survey_figures(facts: list[Answer], period: Period, rules: Rules, as_of: date) -> dict[str, Figure]:
    given = [fact for fact in facts if period.start <= fact.day < period.close]
    last: dict[object, Answer] = {}
    for number, fact in enumerate(sorted((fact for fact in given if fact.kind == "nps"), key=lambda fact: fact.place)):
        last[fact.customer or number] = fact
    scores = [fact.score for fact in last.values()]
    promoters, detractors = sum(score >= 9 for score in scores), sum(score <= 6 for score in scores)
    positive = {int(scale): set(listed) for scale, listed in rules.csat_positive.items()}
    rated = [fact for fact in given if fact.kind == "csat" and fact.scale in positive]
    return {
        "nps": ratio(promoters - detractors, len(scores), factor=100),
        "promoter_share": ratio(promoters, len(scores)),
        "passive_share": ratio(len(scores) - promoters - detractors, len(scores)),
        "detractor_share": ratio(detractors, len(scores)),
        "nps_responses": count(len(scores)),
        "csat": ratio(sum(fact.score in positive[fact.scale] for fact in rated), len(rated)),
        "survey_responses": count(len(given)),
    }


def email_figures(facts: list[Unit], period: Period, rules: Rules, as_of: date) -> dict[str, Figure]:
    sent = [fact.happened for fact in facts if period.start <= fact.day < period.close]
    clicked, either = sum("clicked" in one for one in sent), sum(bool(one & {"opened", "clicked"}) for one in sent)
    rates = {
        "email_open_rate": ratio(sum("opened" in one for one in sent), len(sent)),
        "email_open_rate_raw": ratio(sum("opened_raw" in one for one in sent), len(sent)),
        "email_click_rate": ratio(clicked, len(sent)),
        "email_click_to_open_rate": ratio(clicked, either),
    }
    mature = {name: after(period, rules.email_window_days, as_of, figure) for name, figure in rates.items()}
    return {"emails_delivered": count(len(sent))} | mature


def ticket_figures(facts: list[Ticket], period: Period, customers: Figure, as_of: date) -> dict[str, Figure]:
    """`customers` is customers_active of basis any, or that it cannot be given."""
    opened = [fact for fact in facts if period.start <= fact.day < period.close]
    late = [fact for fact in opened if not fact.resolved or hours(fact.opened, fact.resolved) > 48]

    def waits(ends: Callable[[Ticket], Moment | None]) -> Figure:
        ended = [(fact.opened, ends(fact)) for fact in facts]
        return percentile((hours(at, end) for at, end in ended if end and period.start <= end.day < period.close), 0.5)

    per_100 = customers if customers.null_reason else ratio(len(opened), customers.value or 0, factor=100)
    return {
        "tickets_opened": count(len(opened)),
        "tickets_per_100_customers": per_100,
        "ticket_unresolved_48h_rate": after(period, 3, as_of, ratio(len(late), len(opened))),
        "first_reply_hours_median": waits(lambda fact: fact.replied),
        "resolution_hours_median": waits(lambda fact: fact.resolved),
    }


def hours(opened: datetime, ended: Moment) -> float:
    return (ended.instant - opened) / timedelta(hours=1)
