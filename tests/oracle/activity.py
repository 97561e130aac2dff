"""Activity and answers of a company's customers by day, and the values of the dimensions of behaviour."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NamedTuple

from oracle.business_days import moment
from oracle.rules import Rules
from oracle.segments import UNKNOWN

NONE = "(none)"
Survivor = Callable[[str | None], str | None]


class Activity(NamedTuple):
    """A counted event of a known customer, by business day."""

    customer: str
    day: date
    seconds: float | None


class NpsAnswer(NamedTuple):
    """An answer on the scale of the net promoter score."""

    customer: str
    day: date
    score: int


def read_activity(rows: list[dict[str, Any]], survivor: Survivor, rules: Rules, as_of: date) -> list[Activity]:
    """Events that count: a known customer, a name in active_events, within [data_start, as_of)."""
    found = []
    for row in rows:
        customer = survivor(row.get("customer_id"))
        at = moment(row["occurred_at"], rules.zone, rules.source_zones["events"])
        assert at is not None
        is_named = rules.active_events is None or row["event"] in rules.active_events
        if customer and is_named and (rules.data_start or date.min) <= at.day < as_of:
            seconds = row.get("duration_seconds")
            found.append(Activity(customer, at.day, float(seconds) if seconds else None))
    return found


def read_nps_answers(rows: list[dict[str, Any]], survivor: Survivor, rules: Rules, as_of: date) -> list[NpsAnswer]:
    """NPS answers of known customers in the order in which they were given, ties by response_id."""
    found = []
    for row in rows:
        customer = survivor(row.get("customer_id"))
        at = moment(row["responded_at"], rules.zone, rules.source_zones["surveys"])
        assert at is not None
        if row["kind"] == "nps" and customer and (rules.data_start or date.min) <= at.day < as_of:
            found.append((at.day, at.instant, row["response_id"], NpsAnswer(customer, at.day, int(row["score"]))))
    return [answer for *_, answer in sorted(found)]


def days_of(activity: list[Activity]) -> dict[str, list[date]]:
    """Each customer's active days in order."""
    days: dict[str, set[date]] = defaultdict(set)
    for event in activity:
        days[event.customer].add(event.day)
    return {customer: sorted(found) for customer, found in days.items()}


def count_between(days: list[date], first: date, end: date) -> int:
    """Days in [first, end)."""
    return bisect_left(days, end) - bisect_left(days, first)


class EngagementGroups:
    """`engagement_group`: decided by the active days before the first day of the opening's calendar month."""

    def __init__(self, days: dict[str, list[date]], rules: Rules) -> None:
        self.days, self.rules = days, rules

    def in_period(self, customer: str | None, start: date, close: date) -> str:
        if customer is None:
            return UNKNOWN
        opening, days = start.replace(day=1), self.days.get(customer, [])
        if not bisect_left(days, opening):
            return NONE
        active = count_between(days, opening - timedelta(days=self.rules.mau_days), opening)
        low, medium, high = self.rules.engagement_cuts
        if active >= high:
            return "high"
        return "medium" if active >= medium else "low" if active >= low else "inactive"

    def on_day(self, customer: str | None, day: date) -> str:
        return self.in_period(customer, day, day)


class NpsClasses:
    """`nps_class`: the latest answer of the 365 days before the opening."""

    def __init__(self, answers: list[NpsAnswer]) -> None:
        self.answers: dict[str, list[NpsAnswer]] = defaultdict(list)
        for answer in answers:
            self.answers[answer.customer].append(answer)

    def in_period(self, customer: str | None, start: date, close: date) -> str:
        if customer is None:
            return UNKNOWN
        since = start - timedelta(days=365)
        before = [answer for answer in self.answers.get(customer, []) if since <= answer.day < start]
        if not before:
            return NONE
        score = before[-1].score
        return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"

    def on_day(self, customer: str | None, day: date) -> str:
        return self.in_period(customer, day, day)
