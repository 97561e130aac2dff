"""A company as of a day: who was active when, who paid what when. Everything the KPIs ask about states and days."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Any

from oracle.acquisition_figures import read_costs
from oracle.activity import Activity, EngagementGroups, NpsClasses, days_of, read_activity, read_nps_answers
from oracle.business_days import DAY, Period, days, moment, next_period, period_start
from oracle.further import Reader, answers, invoices, tickets, units
from oracle.identity import survivors
from oracle.money import MICRO, Rates
from oracle.orders import Order, read_orders
from oracle.phases import Phase, cancel_requests, read_phases
from oracle.refund_rows import with_refund_rows
from oracle.rules import Rules
from oracle.segments import ShownValues, Values, attribute_values, attributes_in_order, channel_values, plan_values

ZERO = Decimal(0)
READ_FURTHER: dict[str, Callable[..., list[Any]]] = {
    "payments": invoices,
    "surveys": answers,
    "emails": units,
    "tickets": tickets,
}


class Company:
    """Raw rows read under the rules, cut at as_of (exclusive) and at data_start."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]], rules: Rules, as_of: date) -> None:
        self.rules, self.as_of = rules, as_of
        rows = defaultdict(list, rows)
        alias_zone = rules.source_zones.get("customer_aliases", rules.zone)
        self.survivor = survivors(rows["customer_aliases"], as_of, rules.zone, alias_zone)
        self.rates = Rates(rows["fx_rates"], rules.reporting_currency, rules.fx_max_age_days)
        self.costs = read_costs(rows["acquisition_costs"], self.rates, rules, as_of)
        order_zone = rules.source_zones.get("orders", rules.zone)
        self.order_rows = with_refund_rows(rows["orders"], rules.zone, order_zone)
        self.orders, self.refunds = read_orders(self.order_rows, self.survivor, self.rates, rules, as_of)
        self.phases_until = partial(read_phases, rows["subscriptions"], self.survivor, rules)
        self.subscriptions = self.phases_until(as_of)
        self.requests = cancel_requests(rows["subscriptions"], self.survivor, rules, as_of)
        self.activity = read_activity(rows["events"], self.survivor, rules, as_of)
        self.event_days = days_of(self.activity)
        self.activity_of: dict[str, list[Activity]] = defaultdict(list)
        for event in self.activity:
            self.activity_of[event.customer].append(event)
        self.nps_answers = read_nps_answers(rows["surveys"], self.survivor, rules, as_of)
        self.attributes = attributes_in_order(rows["customers"], rules)
        self.further: dict[str, list[Any]] = {
            dataset: read(rows[dataset], Reader(dataset, self.survivor, rules, as_of))
            for dataset, read in READ_FURTHER.items()
            if dataset in rules.connected
        }
        self.referred = self._referred(rows["customers"])
        self._order_days()
        self._subscription_days()
        self.customers = sorted(
            {order.customer for order in self.orders}
            | {refund.customer for refund in self.refunds if refund.customer}
            | set(self.phases_of)
            | {customer for customer, _, _ in self.requests}
            | {fact.customer for facts in self.further.values() for fact in facts if fact.customer}
            | set(self.event_days)
        )
        self.values = {dimension: self._values(dimension) for dimension in rules.dimensions}
        self.value_in_period = cache(self._value_in_period)
        self.period = cache(self._period)
        self.period_holding = cache(self._period_holding)
        self.mrr = cache(self._mrr)

    def _referred(self, rows: list[dict[str, Any]]) -> set[str] | None:
        """Surviving ids whom a row in force before as_of calls referred; None where no row has the column."""
        if "customers" not in self.rules.connected or not any("referred_by" in row for row in rows):
            return None
        zone = self.rules.source_zones.get("customers", self.rules.zone)
        found: set[str] = set()
        current: dict[str, tuple[datetime, dict[str, Any]]] = {}
        for row in rows:
            delivered_at = moment(row.get("delivered_at"), self.rules.zone, zone)
            if delivered_at:  # versions of one row, of which the last is current
                current[row["customer_id"]] = max(
                    (delivered_at.instant, row),
                    current.get(row["customer_id"], (delivered_at.instant, row)),
                    key=lambda version: version[0],
                )
                continue
            since = moment(row.get("valid_from"), self.rules.zone, zone)
            if row.get("referred_by") and (since is None or since.day < self.as_of):
                found.add(row["customer_id"])
        found |= {customer for customer, (_, row) in current.items() if row.get("referred_by")}
        return {customer for customer in found if self.survivor(customer) == customer}

    def _order_days(self) -> None:
        self.orders_of: dict[str, list[Order]] = defaultdict(list)
        active: dict[str, set[date]] = defaultdict(set)
        for order in self.orders:
            self.orders_of[order.customer].append(order)
            active[order.customer].update(
                order.day + timedelta(days=number) for number in range(self.rules.activity_window_days)
            )
        self.purchase_days = {
            customer: sorted({order.day for order in orders}) for customer, orders in self.orders_of.items()
        }
        self.active_days: dict[str, dict[str, set[date]]] = {"order": dict(active)}

    def _subscription_days(self) -> None:
        self.phases_of: dict[str, list[Phase]] = defaultdict(list)
        self._counted: dict[tuple[str, date], list[Phase]] = defaultdict(list)
        active: dict[str, set[date]] = defaultdict(set)
        for phases in self.subscriptions.values():
            for phase in phases:
                self.phases_of[phase.customer].append(phase)
                active[phase.customer].update(phase.counted_days)
                for day in phase.counted_days:
                    self._counted[phase.customer, day].append(phase)
        self.active_days["subscription"] = {customer: found for customer, found in active.items() if found}
        by_basis = [self.active_days[basis] for basis in ("order", "subscription")]
        self.active_days["any"] = {
            customer: set().union(*(found.get(customer, set()) for found in by_basis))
            for customer in {customer for found in by_basis for customer in found}
        }
        self.active_in_order = {
            basis: {customer: sorted(found) for customer, found in by_customer.items()}
            for basis, by_customer in self.active_days.items()
        }
        self.first_day = {
            basis: {customer: min(found) for customer, found in by_customer.items()}
            for basis, by_customer in self.active_days.items()
        }
        # A span ends on the first day that is not active after one that was.
        self.span_ends = {
            basis: {customer: sorted({day + DAY for day in found} - found) for customer, found in by_customer.items()}
            for basis, by_customer in self.active_days.items()
        }

    def _values(self, dimension: str) -> Values | EngagementGroups | NpsClasses:
        if dimension == "engagement_group":
            return EngagementGroups(self.event_days, self.rules)
        if dimension == "nps_class":
            return NpsClasses(self.nps_answers)
        if dimension == "plan":
            values = plan_values(self.phases_of, self.counted_on, self.rates)
        elif dimension == "first_order_channel":
            values = channel_values(self.orders)
        else:
            values = attribute_values(dimension, self.attributes)
        return ShownValues(values, self.rules.shown.get(dimension, {}))

    # periods

    def _period(self, grain: str, start: date) -> Period:
        end = next_period(grain, start)
        return Period(grain, start, end, min(end, self.as_of), end <= self.as_of)

    def _period_holding(self, grain: str, day: date) -> Period:
        rules = self.rules
        return self.period(grain, period_start(grain, day, rules.week_start, rules.fiscal_year_start))

    def periods(self, grain: str, first_fact: date) -> list[Period]:
        """From the one that holds the first fact to the one that holds as_of - 1."""
        found = [self.period_holding(grain, first_fact)]
        while found[-1].end < self.as_of:
            found.append(self.period(grain, found[-1].end))
        return found

    def _value_in_period(self, dimension: str, customer: str | None, period: Period) -> str:
        return "all" if dimension == "all" else self.values[dimension].in_period(customer, period.start, period.close)

    # customers: the state at a boundary is that at the end of the day before

    def is_active(self, basis: str, customer: str, boundary: date) -> bool:
        return boundary - DAY in self.active_days[basis].get(customer, ())

    def is_cut(self, basis: str, boundary: date) -> bool:
        """Whether the state at this boundary looks back on days before data_start."""
        start = self.rules.data_start
        if start is None:
            return False
        # Basis any is cut as orders are, whose window is the longer look-back.
        looks_at_orders = basis == "order" or (basis == "any" and "orders" in self.rules.connected)
        window = self.rules.activity_window_days if looks_at_orders else 1
        return boundary - timedelta(days=window) < start

    # orders

    def orders_between(self, customer: str, first: date, end: date) -> list[Order]:
        return [order for order in self.orders_of.get(customer, ()) if first <= order.day < end]

    def purchase_days_before(self, customer: str, boundary: date) -> list[date]:
        found = self.purchase_days.get(customer, [])
        return found[: bisect_left(found, boundary)]

    # subscriptions

    def counted_on(self, customer: str, day: date) -> list[Phase]:
        return self._counted.get((customer, day), [])

    def native(self, customer: str, day: date, *, list_price: bool = False) -> dict[str, Decimal]:
        """MRR per currency at the end of a day."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for phase in self.counted_on(customer, day):
            sums[phase.currency] += phase.list_mrr if list_price else phase.mrr
        return dict(sums)

    def in_reporting(self, native: dict[str, Decimal], day: date) -> Decimal:
        """Native sums at a day's rates, each currency rounded, then added."""
        return sum((self.rates.reporting(amount, currency, day, MICRO) for currency, amount in native.items()), ZERO)

    def _mrr(self, customer: str, boundary: date, *, rates_of: date | None = None) -> Decimal:
        """MRR at a boundary, at the rates of the day before it, or before another boundary."""
        return self.in_reporting(self.native(customer, boundary - DAY), (rates_of or boundary) - DAY)

    def is_paying(self, customer: str, boundary: date) -> bool:
        """Whether there is MRR in any currency, which may be too little to be seen in another."""
        return any(self.native(customer, boundary - DAY).values())

    def movements(self, customer: str, first: date, end: date) -> list[tuple[str, Decimal]]:
        """Day by day: the total at the end of the day against that of the day before, both at the day's rates."""
        if customer not in self.first_day["subscription"]:
            return []
        found = []
        for day in days(max(first, self.first_day["subscription"][customer]), end):
            before_native, after_native = self.native(customer, day - DAY), self.native(customer, day)
            if before_native == after_native:
                continue
            before, after = self.in_reporting(before_native, day), self.in_reporting(after_native, day)
            paid, pays = any(before_native.values()), any(after_native.values())
            if pays and not paid:
                is_first = day == self.first_day["subscription"][customer]
                found.append(("new" if is_first else "reactivation", after))
            elif after > before:
                found.append(("expansion", after - before))
            elif paid and not pays:
                found.append(("churn", before))
            elif after < before:
                found.append(("contraction", before - after))
        return found
