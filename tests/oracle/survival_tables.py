"""`survival_curves` and `survival_left_out`: how long the first spans last."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from oracle.business_days import DAY
from oracle.company import Company

Z = 1.959964
TOLERANCE = 1e-12
Cells = dict[tuple[Any, ...], dict[str, Any]]


class FirstSpan(NamedTuple):
    """How many days of a customer's first span are known, and whether that is all of it."""

    days: int
    has_ended: bool
    may_have_begun_earlier: bool


def survival_curves(company: Company) -> Cells:
    """Rows by (basis, segment_dimension, segment_value, t)."""
    cells = {}
    for segment, spans in spans_by_segment(company):
        known = [span for span in spans if not span.may_have_begun_earlier]
        for t, row in curve(known):
            cells[*segment, t] = row
    return cells


def survival_left_out(company: Company) -> Cells:
    """Customers by (basis, segment_dimension, segment_value)."""
    counted = {
        segment: sum(span.may_have_begun_earlier for span in spans) for segment, spans in spans_by_segment(company)
    }
    return {segment: {"customers": count} for segment, count in counted.items() if count}


def spans_by_segment(company: Company) -> Iterator[tuple[tuple[str, str, str], list[FirstSpan]]]:
    """The first spans under (basis, dimension, the value in force on the first active day)."""
    for basis in company.rules.bases:
        for dimension in ("all", *company.rules.dimensions):
            found = defaultdict(list)
            for customer, first in company.first_day[basis].items():
                value = "all" if dimension == "all" else company.values[dimension].on_day(customer, first)
                found[value].append(first_span(company, basis, customer, first))
            for value, spans in found.items():
                yield (basis, dimension, value), spans


def first_span(company: Company, basis: str, customer: str, first: date) -> FirstSpan:
    """From the first active day to the first one that is not, or to as_of if that comes earlier."""
    active, day = company.active_days[basis][customer], first
    while day in active and day < company.as_of:
        day += DAY
    # With data_start a span that begins where the state is cut may be the rest of a longer one.
    return FirstSpan((day - first).days, day < company.as_of, company.is_cut(basis, first))


def curve(spans: list[FirstSpan]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(t, row) at 0 and at each distinct number of days; at one t events come before censorings."""
    rows, survival, greenwood = [], 1.0, 0.0
    for t in sorted({0, *(span.days for span in spans)} if spans else ()):
        at_risk = sum(span.days >= t for span in spans)
        events = sum(span.days == t and span.has_ended for span in spans)
        survival *= (at_risk - events) / at_risk
        if at_risk > events:
            greenwood += events / (at_risk * (at_risk - events))
        low, high = interval(survival, greenwood)
        row = {
            "at_risk": at_risk,
            "events": events,
            "censored": sum(span.days == t and not span.has_ended for span in spans),
            "survival": survival,
            "ci_low": low,
            "ci_high": high,
        }
        rows.append((t, row))
    median = next((t for t, row in rows if row["survival"] <= 0.5 + TOLERANCE), None)
    yield from ((t, row | {"median": median}) for t, row in rows)


def interval(survival: float, greenwood: float) -> tuple[float, float]:
    """The interval of log(-log S), turned back."""
    if survival in (0.0, 1.0):
        return survival, survival
    width = Z * math.sqrt(greenwood) / abs(math.log(survival))
    return survival ** math.exp(width), survival ** math.exp(-width)
