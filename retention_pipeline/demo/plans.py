"""What a subscriber does month by month: trial, upgrade, seats, failed payment, pause, cancellation, return.

The life of one subscription is told as rows of unchanged terms. How a billing system writes them down is in billing.py.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

POUNDS_PER_EURO = 0.9
PRICES = {"starter": 12.0, "plus": 24.0, "family": 39.0, "office": 9.0}
PRICE_RISE = 1.08
REASONS = ["too_expensive", "not_using_it", "moved_away", "competitor", ""]
REASON_WEIGHTS = [30, 28, 12, 14, 16]


@dataclass(frozen=True)
class Terms:
    """What one customer pays, until something changes."""

    plan: str
    interval: str
    quantity: int = 1
    discount: float = 0.0
    risen: bool = False

    def price(self, pounds: bool) -> float:
        """Per unit and interval; a year costs ten months."""
        amount = PRICES.get(self.plan, 0.0) * (PRICE_RISE if self.risen else 1.0)
        return round(amount * (10 if self.interval == "year" else 1) * (POUNDS_PER_EURO if pounds else 1.0), 2)


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    total = day.year * 12 + day.month - 1 + months
    first = date(total // 12, total % 12 + 1, 1)
    length = (date(first.year + first.month // 12, first.month % 12 + 1, 1) - first).days
    return first.replace(day=min(day.day, length))


@dataclass
class Subscriber:
    """One customer's subscriptions, told as rows: (terms, status, start, end or None, reason, cancel day or None)."""

    random: Random
    quality: float
    kind: str
    until: date
    price_rise: date

    def first_terms(self) -> Terms:
        """Offices take seats; one in five pays by the year; one in ten starts with three euros off."""
        draw = self.random
        interval = "year" if draw.random() < 0.2 else "month"
        if self.kind == "office":
            return Terms("office", interval, quantity=draw.randint(3, 25))
        plan = draw.choices(["free", "starter", "plus", "family"], [5, 50, 33, 12])[0]
        discount = 3.0 if draw.random() < 0.1 else 0.0
        return Terms("free", "month") if plan == "free" else Terms(plan, interval, discount=discount)

    def lives(self, start: date) -> Iterator[list[tuple[Any, ...]]]:
        """One list of rows per subscription: some who left come back after a break."""
        while start < self.until:
            rows = list(self.one_life(start))
            yield rows
            ended = max((row[3] for row in rows if row[3]), default=None)
            if rows[-1][3] is None and rows[-1][1] != "cancelled":
                return
            if ended is None or self.random.random() > 0.2 * self.quality:
                return
            start = ended + timedelta(days=self.random.randint(35, 320))

    def one_life(self, start: date) -> Iterator[tuple[Any, ...]]:
        """The rows of one subscription, billed on the day of the month on which paying began."""
        draw, terms = self.random, self.first_terms()
        if terms.interval == "month" and terms.plan != "free" and draw.random() < 0.55:
            ends = start + timedelta(days=14)
            if ends >= self.until:
                yield terms, "trialing", start, None, "", None
                return
            stays = draw.random() < min(0.9, 0.6 * self.quality)
            yield terms, "trialing", start, ends, "" if stays else "trial_not_converted", None
            if not stays:
                return
            start = ends
        step = 12 if terms.interval == "year" else 1
        anchor, since, number = start, start, 0
        terms = replace(terms, risen=start >= self.price_rise)
        while True:
            number += 1
            bill = months_later(anchor, step * number)
            leaves = draw.random() < self._hazard(step, number)
            asked = bill - timedelta(days=draw.randint(1, 24)) if leaves else None
            if bill >= self.until:
                known = asked is not None and asked < self.until
                yield terms, "active", since, bill if known else None, "", asked if known else None
                return
            if leaves:
                yield terms, "active", since, bill, draw.choices(REASONS, REASON_WEIGHTS)[0], asked
                return
            event = draw.random()
            if terms.plan == "free":
                event = 1.0
            if event < 0.028:
                yield terms, "active", since, bill, "", None
                resumed = yield from self._payment_fails(terms, bill)
            elif event < 0.040:
                yield terms, "active", since, bill, "", None
                resumed = yield from self._pauses(terms, bill)
            else:
                changed = self._changed(terms, bill, number)
                if changed != terms:
                    yield terms, "active", since, bill, "", None
                    terms, since = changed, bill
                continue
            if resumed is None:
                return
            since = resumed
            while months_later(anchor, step * (number + 1)) <= since:
                number += 1

    def _hazard(self, step: int, number: int) -> float:
        if step == 12:
            return min(0.6, 0.24 / self.quality)
        return min(0.5, (0.075 if number <= 3 else 0.034) / self.quality)

    def _payment_fails(self, terms: Terms, bill: date) -> Generator[tuple[Any, ...], None, date | None]:
        """Past due; three in four pay after all, the rest stay unpaid for two weeks and are cancelled."""
        draw = self.random
        recovers = draw.random() < 0.76
        paid = bill + timedelta(days=draw.randint(2, 20) if recovers else draw.randint(18, 40))
        if paid >= self.until:
            yield terms, "past_due", bill, None, "", None
            return None
        yield terms, "past_due", bill, paid, "", None
        if recovers:
            return paid
        given_up = paid + timedelta(days=14)
        if given_up >= self.until:
            yield terms, "unpaid", paid, None, "", None
            return None
        yield terms, "unpaid", paid, given_up, "", None
        yield terms, "cancelled", given_up, None, "payment_failed", None
        return None

    def _pauses(self, terms: Terms, bill: date) -> Generator[tuple[Any, ...], None, date | None]:
        back = months_later(bill, self.random.randint(1, 3))
        if back >= self.until:
            yield terms, "paused", bill, None, "", None
            return None
        returns = self.random.random() < 0.8
        yield terms, "paused", bill, back, "" if returns else "not_using_it", None
        return back if returns else None

    def _changed(self, terms: Terms, bill: date, number: int) -> Terms:
        """Upgrade, downgrade, seats, the end of a starting discount, the year's price rise; mostly nothing."""
        draw, order = self.random, ["free", "starter", "plus", "family"]
        if bill >= self.price_rise and not terms.risen:
            terms = replace(terms, risen=True)
        if terms.discount and number >= 6:
            terms = replace(terms, discount=0.0)
        change = draw.random()
        if terms.plan == "office":
            if change < 0.07:
                terms = replace(terms, quantity=max(2, terms.quantity + draw.choice([-2, -1, 1, 2, 3, 5])))
        elif change < 0.026 and terms.plan != "family":
            terms = replace(terms, plan=order[order.index(terms.plan) + 1])
        elif change > 0.988 and terms.plan in ("plus", "family"):
            terms = replace(terms, plan=order[order.index(terms.plan) - 1])
        return terms
