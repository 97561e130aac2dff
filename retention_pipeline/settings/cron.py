"""What `schedule.cron` may be, and when it fires next. Dagster's daemon, which starts the runs, reads the same text;
this is for those who ask without waiting for Dagster to be imported.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

LAST_DAY = 0  # of the month, written `l`
YEARS_BETWEEN_LEAP_DAYS = 8  # 1896 and 1904, 2096 and 2104

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _WEEKDAYS),
)
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@annually": "0 0 1 1 *",
    "@yearly": "0 0 1 1 *",
}


class _Fields(NamedTuple):
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def has(self, day: date) -> bool:
        """Whether it fires on a day. As cron has it: where day and weekday are both given, one of them is enough."""
        is_day = day.day in self.days or (LAST_DAY in self.days and day.day == monthrange(day.year, day.month)[1])
        is_weekday = day.isoweekday() % 7 in self.weekdays
        either = len(self.days - {LAST_DAY}) < 31 and len(self.weekdays) < 7
        return day.month in self.months and ((is_day or is_weekday) if either else (is_day and is_weekday))


def check_cron(written: str) -> str:
    """Five fields of numbers, names, `*`, lists, ranges and steps, or a word such as @daily. ValueError says what is
    wrong with another text.
    """
    if next(_days(_fields(written), date(2096, 3, 1)), None) is None:
        raise ValueError(f"{written!r} never comes: there is no such day")
    return written


def next_after(written: str, moment: datetime, timezone: str) -> datetime:
    """When it fires first after a moment, in the time zone. A time that the clock passes over in spring is the end of
    the gap; one that comes twice in autumn is the later one, but where it fires every hour.
    """
    fields, zone = _fields(written), ZoneInfo(timezone)
    for day in _days(fields, moment.astimezone(zone).date() - timedelta(days=1)):
        if later := [one for one in _moments(fields, day, zone) if one > moment]:
            return min(later).astimezone(zone)
    raise AssertionError(f"{written!r} never comes")


def _days(fields: _Fields, first: date) -> Iterator[date]:
    days = (first + timedelta(days=number) for number in range(YEARS_BETWEEN_LEAP_DAYS * 366))
    return (day for day in days if fields.has(day))


def _moments(fields: _Fields, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """When it fires on a day, in UTC."""
    is_hourly = len(fields.hours) == 24
    for hour, minute in product(fields.hours, fields.minutes):
        local = datetime.combine(day, time(hour, minute), zone)
        first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
        if second >= first:  # equal on all days but one
            yield from (first, second) if is_hourly else (second,)
        elif not is_hourly:
            yield _end_of_gap(second, first, zone)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The minute between two moments from which the zone has another offset."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(minutes=1):
        middle = before + (after - before) // timedelta(minutes=2) * timedelta(minutes=1)
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after


def _fields(written: str) -> _Fields:
    text = written.strip().lower()
    fields = _WORDS.get(text, text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError("write five fields: minute, hour, day, month, day of the week, such as 0 2 * * *")
    return _Fields(*(_numbers(given, *known) for given, known in zip(fields, _FIELDS, strict=True)))


def _numbers(given: str, name: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    """The numbers that a field means."""
    found: set[int] = set()
    for part in given.split(","):
        if part == "l" and name == "day of the month":
            found.add(LAST_DAY)
            continue
        bounds, has_step, step = part.partition("/")
        ends = [str(low), str(high)] if bounds == "*" else bounds.split("-")
        numbers = [low + names.index(end) if end in names else int(end) if end.isdecimal() else -1 for end in ends]
        if len(numbers) == 1 and has_step:
            numbers.append(high)
        in_order = numbers == sorted(numbers) and len(numbers) <= 2
        is_step = not has_step or (step.isdecimal() and int(step) > 0)
        if not (in_order and is_step and all(low <= number <= high for number in numbers)):
            raise ValueError(f"{part!r} is not a {name} ({low} to {high})")
        found.update(range(numbers[0], numbers[-1] + 1, int(step) if has_step else 1))
    return frozenset(number % 7 for number in found) if name == "day of the week" else frozenset(found)
