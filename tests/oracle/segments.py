"""Which value of a dimension a customer has, in a period or on a day."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from oracle.business_days import DAY, Moment, moment
from oracle.money import Rates
from oracle.orders import Order
from oracle.phases import Phase, comparable_mrr
from oracle.rules import Rules

UNKNOWN = "(unknown)"
BEGINNING = Moment(date.min, datetime.min.replace(tzinfo=UTC))


class Change(NamedTuple):
    """A value came into force on a day."""

    day: date
    value: str


class Values:
    """The values of one dimension, per customer in the order in which they came into force."""

    def __init__(self, changes: dict[str, list[Change]]) -> None:
        # Of two on one day the later holds.
        self.changes: dict[str | None, list[Change]] = {
            customer: list({change.day: change for change in found}.values()) for customer, found in changes.items()
        }
        self.days: dict[str | None, list[date]] = {
            customer: [change.day for change in found] for customer, found in self.changes.items()
        }

    def in_period(self, customer: str | None, start: date, close: date) -> str:
        """The last that came into force before the period opens, else the first before the close, else unknown."""
        found = self.changes.get(customer, [])
        before = bisect_left(self.days.get(customer, []), start)
        if before:
            return found[before - 1].value
        return found[0].value if found and found[0].day < close else UNKNOWN

    def on_day(self, customer: str | None, day: date) -> str:
        """The value in force at the end of a day, else unknown."""
        before = bisect_right(self.days.get(customer, []), day)
        return self.changes[customer][before - 1].value if before else UNKNOWN


class ShownValues(Values):
    """Values under the names that figures show: those of little use are (other)."""

    def __init__(self, values: Values, shown: dict[str, str]) -> None:
        self.changes, self.days, self.shown = values.changes, values.days, shown

    def in_period(self, customer: str | None, start: date, close: date) -> str:
        value = super().in_period(customer, start, close)
        return self.shown.get(value, value)

    def on_day(self, customer: str | None, day: date) -> str:
        value = super().on_day(customer, day)
        return self.shown.get(value, value)


def attributes_in_order(rows: list[dict[str, Any]], rules: Rules) -> list[tuple[Moment, dict[str, Any]]]:
    """The rows of `customers` by the moment from which they hold.

    Where the source tells no day, the last version of a day stands: that of the first day from the beginning, a later
    one from the day of its delivery, before what another source dates for that day. A version of a source that could
    tell a day, and does not, takes those before it away.
    """
    source_zone = rules.source_zones.get("customers", rules.zone)
    dated: list[tuple[Moment, dict[str, Any]]] = []
    of_day: dict[tuple[str, date], tuple[Moment, dict[str, Any]]] = {}
    for row in rows:
        delivered_at = moment(row.get("delivered_at"), rules.zone, source_zone)
        if delivered_at:
            if "valid_from" in row:
                of_day = {key: version for key, version in of_day.items() if key[0] != row["customer_id"]}
            of_day[row["customer_id"], delivered_at.day] = (delivered_at, row)
        else:
            dated.append((moment(row.get("valid_from"), rules.zone, source_zone) or BEGINNING, row))
    first_days = {customer: day for customer, day in sorted(of_day, reverse=True)}
    for (customer, day), (delivered_at, row) in of_day.items():
        dated.append((BEGINNING if day == first_days[customer] else delivered_at, row))
    return sorted(dated, key=lambda pair: (pair[0].day, "delivered_at" not in pair[1], pair[0].instant))


def attribute_values(dimension: str, dated_rows: list[tuple[Moment, dict[str, Any]]]) -> Values:
    """A column of `customers`; an empty one is not a value. Rows of ids that were merged away are nobody's: facts
    carry the surviving id. Where the source tells no day, the first value holds from the beginning."""
    changes: dict[str, list[Change]] = defaultdict(list)
    told: set[str] = set()
    for valid_from, row in dated_rows:
        if row.get(dimension):
            of_customer = changes[row["customer_id"]]
            if "delivered_at" in row and row["customer_id"] not in told:
                told.add(row["customer_id"])
                of_customer.insert(0, Change(date.min, row[dimension]))
            of_customer.append(Change(valid_from.day, row[dimension]))
    return Values(changes)


def channel_values(orders: list[Order]) -> Values:
    """`first_order_channel`: the channel of the earliest counted order, in force from its day."""
    changes: dict[str, list[Change]] = {}
    for order in orders:
        if order.customer not in changes:
            changes[order.customer] = [Change(order.day, order.channel)] if order.channel else []
    return Values(changes)


def plan_values(phases_of: dict[str, list[Phase]], counted_on: Callable[..., Any], rates: Rates) -> Values:
    """`plan`: that of the highest counted phase, looked at on the days on which the counted phases change."""
    changes: dict[str, list[Change]] = defaultdict(list)
    for customer, phases in phases_of.items():
        for day in sorted({day for phase in phases for day in phase.counted_days}):
            counted = counted_on(customer, day)
            if set(counted) != set(counted_on(customer, day - DAY)):
                changes[customer].append(Change(day, leading_plan(counted, day, rates)))
    return Values(changes)


def leading_plan(counted: list[Phase], day: date, rates: Rates) -> str:
    """Highest MRR, ties by earliest start day, then subscription_id."""
    mrr = comparable_mrr(counted, day, rates)
    return min(counted, key=lambda phase: (-mrr[phase], phase.start, phase.subscription)).plan
