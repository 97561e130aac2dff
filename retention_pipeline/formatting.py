"""How a figure is written for people: by its format, its currency and its period. Nothing is printed or computed here.

The formats are those of KPI declarations (kpis/declaration.py, FORMATS). Numbers, money and dates are written by Babel
as the `locale` writes them, in the patterns of this module (a space between a number and its sign); only the words
around them, such as "week of" and "days", are English. Babel is imported where it is used: few commands need it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

LOCALE = "en"
MOST_DIGITS = 330  # of the largest double
BASES = {"subscription": "subscribers", "order": "buyers", "any": "all customers", "all": "all"}
REASONS = {
    "left_truncated": "before the data",
    "immature": "too early",
    "small_n": "too few",
    "gate_failed": "too little data",
    "zero_denominator": "no base",
    "not_reached": "not reached",
}
SHOWN_OF_A_KIND = 3
BLOCKS = "▁▂▃▄▅▆▇█"
# C0, C1, what parts lines, and what turns the direction of writing.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


DURATIONS = frozenset({"days", "hours", "minutes", "years"})


def figure(
    value: float | None,
    shown_as: str,
    currency: str | None = None,
    *,
    cents: bool | None = None,
    locale: str = LOCALE,
) -> str:
    """A value in its format: `5.2 %`, `€ 1,234.50`, `1,204`, `41.0 days`, `60.0`, `1.40`; `–` where there is none.

    `cents`: decimals of money; None shows them below 10,000 only.
    """
    if value is None:
        return "–"
    if shown_as == "percent":
        return _written(value, "#,##0.0 %", locale)
    if shown_as == "money":
        return money(value, currency, cents=cents, locale=locale)
    if shown_as == "count":
        return number(value, locale=locale)
    if shown_as in DURATIONS:
        return f"{number(value, decimals=1, locale=locale)} {shown_as}"
    return number(value, decimals=2 if shown_as == "decimals" else 1, locale=locale)


def number(value: float | Decimal, *, decimals: int = 0, locale: str = LOCALE) -> str:
    """A number with thousands separated: `1,204`."""
    if locale == LOCALE and isinstance(value, int | Decimal):  # as CLDR has it, in a tenth of the time
        return f"{Decimal(value):,.{decimals}f}".replace("-", "−")
    return _written(value, _pattern(decimals), locale)


def _pattern(decimals: int) -> str:
    return "#,##0." + "0" * decimals if decimals else "#,##0"


def _written(value: float | Decimal, pattern: str, locale: str) -> str:
    """A number in a pattern of CLDR, with a true minus."""
    from babel.numbers import format_decimal

    with localcontext(prec=MOST_DIGITS):
        return format_decimal(value, pattern, locale).replace("-", "−")


def counted(count: float, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Bytes in words: `1.4 GB`, `53 MB`, `0 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def few_of_each(found: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Of (source, name, why) those to show as (name, why): a few per source and kind of why, then how many more."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, name, why in dict.fromkeys(found):
        kind = re.sub(r"'[^']*'|[0-9][0-9,.]*", "…", why)
        kinds.setdefault((source, kind), []).append((name, why))
    shown = []
    for of_a_kind in kinds.values():
        few, more = of_a_kind[:SHOWN_OF_A_KIND], len(of_a_kind) - SHOWN_OF_A_KIND
        if more > 0:
            few[-1] = (few[-1][0], f"{few[-1][1]} (and {more:,} more)")
        shown += few
    return shown


def money(value: float, currency: str | None, *, cents: bool | None = None, locale: str = LOCALE) -> str:
    """An amount with its currency before it: `€ 1,234.50`, `CHF 12,345`."""
    from babel.numbers import get_currency_symbol

    decimals = 2 if (abs(value) < 10_000 if cents is None else cents) else 0
    sign = "−" if round(value, decimals) < 0 else ""
    amount = number(abs(value), decimals=decimals, locale=locale)
    return f"{sign}{get_currency_symbol(currency, locale)} {amount}" if currency else f"{sign}{amount}"


def change(now: float | None, before: float | None, shown_as: str, *, locale: str = LOCALE) -> str:
    """The step from one value to the next: percentage points for shares, the difference for durations and scores, else
    percent.
    """
    if now is None or before is None:
        return ""
    if shown_as == "percent":
        return _step((now - before) * 100, " pp", locale=locale)
    if shown_as in DURATIONS or shown_as == "points":
        return _step(now - before, locale=locale)
    if before == 0:
        return "=" if now == 0 else "new"
    return _step((now - before) / abs(before) * 100, " %", locale=locale)


def _step(step: float, unit: str = "", *, locale: str) -> str:
    """`+1.2 pp`; a small step has so many decimals that it is not a zero, and `=` means that nothing changed."""
    if abs(step) < 1e-9:
        return "="
    decimals = 1 if abs(step) >= 0.1 else 2 if abs(step) >= 0.01 else 3
    sign = "+" if step > 0 else "−"
    if abs(step) < 0.0005:
        return f"{sign}<{_written(0.001, '0.000', locale)}{unit}"
    return f"{sign}{number(abs(step), decimals=decimals, locale=locale)}{unit}"


def sparkline(values: list[float | None]) -> str:
    """One block per value between the smallest and the greatest; a dot where there is no value."""
    known = [value for value in values if value is not None]
    if not known:
        return "·" * len(values)
    low, high = min(known), max(known)
    steps = len(BLOCKS) - 1
    return "".join(
        "·" if value is None else BLOCKS[round((value - low) / (high - low) * steps) if high > low else steps // 2]
        for value in values
    )


def period(grain: str, start: date, end: date, *, locale: str = LOCALE) -> str:
    """The name of a period: `Oct 2026`, `week of 5 Oct 2026`, `Jul–Sep 2026`, `2026`, `Apr 2025–Mar 2026`."""
    if grain == "month":
        return _dated(start, "MMM y", locale)
    if grain == "week":
        return f"week of {day(start, locale=locale)}"
    last = end - timedelta(days=1)
    if grain == "year" and (start.month, start.day) == (1, 1):
        return _dated(start, "y", locale)
    first = _dated(start, "MMM" if start.year == last.year else "MMM y", locale)
    return f"{first}–{_dated(last, 'MMM y', locale)}"


def month(start: date, *, locale: str = LOCALE) -> str:
    """A month in full: `October 2026`."""
    return _dated(start, "MMMM y", locale)


def _dated(one: date, pattern: str, locale: str) -> str:
    from babel.dates import format_date

    return format_date(one, pattern, locale)


def reason(null_reason: str | None) -> str:
    """Why a figure is not given, in words."""
    return REASONS.get(null_reason or "", null_reason or "")


def day(one: date, *, locale: str = LOCALE) -> str:
    """A day: `5 May 2024`."""
    return _dated(one, "d MMM y", locale)


def moment(instant: datetime, *, locale: str = LOCALE) -> str:
    """An instant in naive UTC: `5 May 2024 01:00 UTC`."""
    return f"{day(instant, locale=locale)} {instant:%H:%M} UTC"


def lasting(time: timedelta, *, locale: str = LOCALE) -> str:
    """A length of time: `6 s`, `45 min`, `36 h`, `5.1 days`, `2 days`."""
    hours = time / timedelta(hours=1)
    if time < timedelta(minutes=1):
        seconds = time.total_seconds()
        return f"{_written(seconds, '#,##0.#' if seconds < 10 else '#,##0', locale)} s"
    if hours < 1:
        return f"{number(hours * 60, locale=locale)} min"
    if hours < 48:
        return f"{_written(hours, '#,##0.#', locale)} h"
    return f"{_written(hours / 24, '#,##0.#', locale)} days"


def indented(text: str, blanks: int) -> str:
    """A text whose further lines begin with blanks."""
    return text.replace("\n", "\n" + " " * blanks)


class CsvLines:
    """A target for csv.writer that hands each line on without its end. Python quotes CR and LF only where both end its
    lines, so the writer's `lineterminator` must stay as it is.
    """

    def __init__(self, take: Callable[[str], object]) -> None:
        self.take = take

    def write(self, line: str) -> None:
        self.take(line.removesuffix("\r\n"))


def visible(text: str, *, keep: str = "") -> str:
    """A text whose control characters, which a terminal would act on, are written out: `\\x1b`, `\\n`, `\\u202e`.

    keep: characters that stay as they are.
    """
    return CONTROL.sub(lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(), text)


def cell(value: Any) -> str:
    """Any value of a query's answer."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1e6 and value.is_integer() else f"{value:.6g}"  # also of nan and inf
    return visible(str(value))
