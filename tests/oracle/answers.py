"""Every KPI row and cohort cell of a company: which rows exist, and what stands in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, NamedTuple

from oracle.acquisition_figures import MONTHS, acquisition_figures
from oracle.business_days import Period, add_months
from oracle.cohort_cells import cohort_cells
from oracle.company import Company
from oracle.customer_figures import customer_figures, is_active_within
from oracle.engagement_figures import engagement_figures
from oracle.figures import Figure
from oracle.further import email_figures, payment_figures, survey_figures, ticket_figures
from oracle.lifetime_figures import Lifetimes
from oracle.order_figures import order_figures
from oracle.rules import read_rules
from oracle.segments import UNKNOWN
from oracle.source_forms import plain_rows
from oracle.subscription_figures import Subscriptions


class Key(NamedTuple):
    """What a row of retention_kpis is about."""

    kpi: str
    grain: str
    period_start: date
    basis: str
    segment_dimension: str
    segment_value: str


class Answer(NamedTuple):
    """The figure of a key, and whether its period is complete."""

    figure: Figure
    is_complete: bool


class Group(NamedTuple):
    """Customers who have a segment value in a period; movers are None for `all`."""

    dimension: str
    value: str
    members: list[str]
    moved_in: list[str] | None
    moved_out: list[str] | None


def read_company(
    rows: dict[str, list[dict[str, Any]]],
    settings: dict[str, Any],
    as_of: date,
    shown: dict[str, dict[str, str]] | None = None,
) -> Company:
    """`shown`: the names of values that are not shown as they are, by dimension."""
    rules = read_rules(settings)
    rows = plain_rows(rows, settings["sources"], rules)
    kept = tuple(name for name in rules.dimensions if has_values(rows, name))
    return Company(rows, replace(rules, segments=kept, shown=shown or {}), as_of)


def has_values(rows: dict[str, list[dict[str, Any]]], dimension: str) -> bool:
    """Whether a row has a value of the dimension: one that would hold only `(unknown)` is left out."""
    dataset, column = ("orders", "channel") if dimension == "first_order_channel" else ("customers", dimension)
    of_dataset = rows.get(dataset, [])
    always = dimension in ("plan", "engagement_group", "nps_class") or not of_dataset
    return always or any(row.get(column) for row in of_dataset)


def expected_cohorts(company: Company) -> dict[tuple[Any, ...], dict[str, Any]]:
    return cohort_cells(company)


def expected_kpis(company: Company) -> dict[Key, Answer]:
    """Every row of every family, for every grain, period, basis and segment value."""
    answers: dict[Key, Answer] = {}
    lifetimes, subscriptions = Lifetimes(company), Subscriptions(company)
    connected = company.rules.connected
    for basis in company.rules.bases:

        def of_customers(period: Period, group: Group, basis: str = basis) -> dict[str, Figure]:
            figures = customer_figures(company, basis, period, *group[2:])
            return figures | lifetimes.lifespan(basis, group.dimension, group.value, period)

        begun = first_facts(company.first_day[basis].items())
        answers |= family(company, basis, begun, of_customers, counted_under=movers_of(company, basis))

    def of_orders(period: Period, group: Group) -> dict[str, Figure]:
        with_guests = group.value in ("all", UNKNOWN)
        figures = order_figures(company, period, group.members, with_guests=with_guests)
        return figures | lifetimes.of_orders(group.dimension, group.value, period, group.members)

    def of_subscriptions(period: Period, group: Group) -> dict[str, Figure]:
        earlier = [
            c for c in company.customers if value_of_twelve_months(company, group.dimension, c, period) == group.value
        ]
        figures = subscriptions.figures(period, group.members, earlier, group.moved_in, group.moved_out)
        return figures | lifetimes.of_subscriptions(group.dimension, group.value, period, figures["arpc"])

    if "orders" in connected:
        facts: list[tuple[str | None, date]] = [(order.customer, order.day) for order in company.orders]
        facts += [(refund.customer, refund.day) for refund in company.refunds]
        guests = [refund.day for refund in company.refunds if refund.customer is None]
        answers |= family(company, "order", first_facts(facts), of_orders, guest_days=guests)
    if "subscriptions" in connected:
        facts = list(company.first_day["subscription"].items())
        facts += [(customer, day) for customer, _, day in company.requests]
        answers |= family(
            company, "subscription", first_facts(facts), of_subscriptions, counted_under=twelve_months_of(company)
        )
    for dataset, found in company.further.items():
        answers |= further_family(company, dataset, found)
    if "events" in connected:

        def of_engagement(period: Period, group: Group) -> dict[str, Figure]:
            return engagement_figures(company, period, previous_period(company, period), group.members)

        facts = [(event.customer, event.day) for event in company.activity]
        answers |= family(company, "all", first_facts(facts), of_engagement, counted_under=active_at_close(company))
    if company.costs:
        answers |= acquisition_family(company, answers)
    return answers


def acquisition_family(company: Company, answers: dict[Key, Answer]) -> dict[Key, Answer]:
    """Rows of acquisition costs, which have no customers: `all`, and each channel that costs have named by then or by
    which customers joined. `answers` has the lifetime values.
    """
    begun = min(cost.month for cost in company.costs)
    has_channels = "acquisition_channel" in company.rules.dimensions
    found: dict[Key, Answer] = {}

    def joined_in(dimension: str, value: str, period: Period) -> int:
        return sum(
            period.start <= first < period.close and company.value_in_period(dimension, customer, period) == value
            for customer, first in company.first_day["any"].items()
        )

    for grain in (grain for grain in company.rules.grains if grain != "week"):
        for period in company.periods(grain, begun):
            if company.rules.history_start and period.end <= company.rules.history_start:
                continue
            groups = [("all", "all")]
            if has_channels:
                named = {cost.channel for cost in company.costs if cost.month < period.close}
                named |= {
                    company.value_in_period("acquisition_channel", customer, period)
                    for customer, first in company.first_day["any"].items()
                    if period.start <= first < period.close
                }
                groups += [("acquisition_channel", value) for value in sorted(named)]
            ends = add_months(period.close.replace(day=1), -MONTHS)
            months = [company.period("month", add_months(ends, number)) for number in range(MONTHS)]
            for dimension, value in groups:
                lifetime = [
                    answers.get(Key(kpi, grain, period.start, basis, dimension, value))
                    for kpi, basis in (("clv_subscription", "subscription"), ("clv", "order"))
                ]
                figures = acquisition_figures(
                    [cost for cost in company.costs if dimension == "all" or cost.channel == value],
                    period,
                    partial(joined_in, dimension, value),
                    [month for month in months if month.end > begun],
                    (lifetime[0] and lifetime[0].figure, lifetime[1] and lifetime[1].figure),
                    lambda boundary: company.is_cut("any", boundary),
                )
                for kpi, figure in figures.items():
                    key = Key(kpi, grain, period.start, "all", dimension, value)
                    found[key] = Answer(figure, period.is_complete)
    return found


def further_family(company: Company, dataset: str, found: list[Any]) -> dict[Key, Answer]:
    """Rows of the family of a further dataset."""
    rules, as_of = company.rules, company.as_of
    by_customer: dict[str | None, list[Any]] = defaultdict(list[Any])
    for fact in found:
        by_customer[fact.customer].append(fact)

    def figures(period: Period, group: Group) -> dict[str, Figure]:
        whose = [*group.members, None] if group.value in ("all", UNKNOWN) else group.members
        facts = [fact for customer in whose for fact in by_customer.get(customer, ())]
        if dataset == "tickets":
            active = customer_figures(company, "any", period, group.members)["customers_active"]
            return ticket_figures(facts, period, active, as_of)
        of_dataset: dict[str, Callable[..., dict[str, Figure]]] = {
            "payments": payment_figures,
            "surveys": survey_figures,
            "emails": email_figures,
        }
        return of_dataset[dataset](facts, period, rules, as_of)

    def with_active_customers(dimension: str, period: Period) -> set[str]:
        return {
            company.value_in_period(dimension, customer, period)
            for customer in company.active_days["any"]
            if company.is_active("any", customer, period.start) or is_active_within(company, "any", customer, period)
        }

    guests = {fact.day for fact in by_customer.get(None, ())}
    if dataset == "tickets":
        for fact in by_customer.get(None, ()):
            guests |= {end.day for end in (fact.replied, fact.resolved) if end}
    begun = first_facts((fact.customer, fact.day) for fact in found)
    counted_under = with_active_customers if dataset == "tickets" else lambda dimension, period: set()
    return family(company, "all", begun, figures, counted_under=counted_under, guest_days=guests)


def kpi_cells(answers: dict[Key, Answer]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The answers as cells for the comparison: key to named columns."""
    return {key: answer.figure._asdict() | {"is_complete": answer.is_complete} for key, answer in answers.items()}


def first_facts(facts: Iterable[tuple[str | None, date]]) -> dict[str | None, date]:
    """Each customer's first day with a fact of the family."""
    found: dict[str | None, date] = {}
    for customer, day in facts:
        found[customer] = min(day, found.get(customer, day))
    return found


def family(
    company: Company,
    basis: str,
    begun: dict[str | None, date],
    figures: Callable[[Period, Group], dict[str, Figure]],
    *,
    counted_under: Callable[[str, Period], set[str]] = lambda dimension, period: set(),
    guest_days: Iterable[date] = (),
) -> dict[Key, Answer]:
    """Rows of a family: `all` in every period since its first fact, a segment value where somebody stands behind it.

    begun: first fact per customer; counted_under: values under which customers are counted who have another one in
    the period; guest_days: days of facts without a customer, which make a row in their own period only.
    """
    answers: dict[Key, Answer] = {}
    if not begun:
        return answers
    for grain in company.rules.grains:
        for period in company.periods(grain, min(begun.values())):
            if company.rules.history_start and period.end <= company.rules.history_start:
                continue
            has_guests = any(period.start <= day < period.close for day in guest_days)
            known = [customer for customer, day in begun.items() if customer is not None and day < period.close]
            for group in groups(company, period, known, counted_under, has_guests):
                for kpi, figure in figures(period, group).items():
                    key = Key(kpi, grain, period.start, basis, group.dimension, group.value)
                    answers[key] = Answer(figure, period.is_complete)
    return answers


def groups(
    company: Company, period: Period, known: list[str], counted_under: Callable[..., Any], has_guests: bool
) -> Iterable[Group]:
    """`all`, then per dimension each value that has a row."""
    yield Group("all", "all", company.customers, None, None)
    period_before = previous_period(company, period)
    for dimension in company.rules.dimensions:
        now = {customer: company.value_in_period(dimension, customer, period) for customer in company.customers}
        before = {
            customer: company.value_in_period(dimension, customer, period_before) for customer in company.customers
        }
        values = {now[customer] for customer in known} | counted_under(dimension, period)
        if has_guests:
            values.add(UNKNOWN)
        for value in sorted(values):
            yield Group(
                dimension,
                value,
                [customer for customer in now if now[customer] == value],
                [customer for customer in now if now[customer] == value != before[customer]],
                [customer for customer in now if before[customer] == value != now[customer]],
            )


def previous_period(company: Company, period: Period) -> Period:
    return company.period_holding(period.grain, date.fromordinal(period.start.toordinal() - 1))


def movers_of(company: Company, basis: str) -> Callable[[str, Period], set[str]]:
    """Values that customers left at the opening while they were active: they are counted there as moved out."""

    # A customer who moved without being active at the opening is counted nowhere and makes no row.
    def left(dimension: str, period: Period) -> set[str]:
        before = previous_period(company, period)
        return {
            company.value_in_period(dimension, customer, before)
            for customer in company.active_days[basis]
            if company.is_active(basis, customer, period.start)
        }

    return left


def active_at_close(company: Company) -> Callable[[str, Period], set[str]]:
    """Values of those active in basis any at the close, whom the engagement index counts."""

    def counted(dimension: str, period: Period) -> set[str]:
        return {
            company.value_in_period(dimension, customer, period)
            for customer in company.active_days["any"]
            if company.is_active("any", customer, period.close)
        }

    return counted


def twelve_months_of(company: Company) -> Callable[[str, Period], set[str]]:
    """Values under which MRR moved out, or stands as the earlier moment of a 12-month figure."""
    left = movers_of(company, "subscription")

    def counted(dimension: str, period: Period) -> set[str]:
        earlier = add_months(period.close, -12)
        return left(dimension, period) | {
            value_of_twelve_months(company, dimension, customer, period)
            for customer in company.first_day["subscription"]
            if company.is_paying(customer, earlier)
        }

    return counted


def value_of_twelve_months(company: Company, dimension: str, customer: str, period: Period) -> str:
    """The value by the rule of periods, for the 12 months before the close."""
    if dimension == "all":
        return "all"
    return company.values[dimension].in_period(customer, add_months(period.close, -12), period.close)
