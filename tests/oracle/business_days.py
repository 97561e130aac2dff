"""Days, instants and periods: which business day a source's text means, and which period holds a day."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

GRAINS = ("week", "month", "quarter", "year")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = timedelta(days=1)


class Moment(NamedTuple):
    """What a source says about when: the business day, and an instant to order several on one day by."""

    day: date
    instant: datetime


def moment(text: str | None, business_zone: ZoneInfo, source_zone: ZoneInfo) -> Moment | None:
    """A bare date is a business day as it stands (ordered as its 00:00); an instant belongs to its local date."""
    if text is None or text == "":
        return None
    if len(text) == 10:
        day = date.fromisoformat(text)
        return Moment(day, datetime.combine(day, time.min, business_zone).astimezone(UTC))
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=source_zone)
    return Moment(instant.astimezone(business_zone).date(), instant.astimezone(UTC))


@cache
def add_months(day: date, months: int) -> date:
    """The same day of another month, clamped to that month's end."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def period_start(grain: str, day: date, week_start: str, fiscal_year_start: int) -> date:
    """First day of the period of this grain that holds the day."""
    if grain == "week":
        return day - timedelta(days=(day.weekday() - WEEKDAYS.index(week_start)) % 7)
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    since_fiscal_year = (day.month - fiscal_year_start) % 12
    return add_months(day.replace(day=1), -(since_fiscal_year % months))


def next_period(grain: str, start: date, step: int = 1) -> date:
    """First day of the period `step` periods later."""
    if grain == "week":
        return start + timedelta(days=7 * step)
    return add_months(start, {"month": 1, "quarter": 3, "year": 12}[grain] * step)


class Period(NamedTuple):
    """[start, end), looked at until the close."""

    grain: str
    start: date
    end: date
    close: date
    is_complete: bool


def days(first: date, end: date) -> list[date]:
    """Every day of [first, end)."""
    return [first + timedelta(days=number) for number in range((end - first).days)]
