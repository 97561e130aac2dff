"""Periods as people write them: `2026-03`, `2026-Q1`, `2026`, `2026-W10`, or any day of one together with its grain."""

from __future__ import annotations

import re
from datetime import date

import duckdb

from retention_pipeline.contracts.grains import GRAINS
from retention_pipeline.read.published import Row, UnknownName, rows_of

FORMS = "2026-03 (a month), 2026-Q1, 2026 (the year that begins in it), 2026-W10, or 2026-03-17 with --grain"


def check_grain(grain: str) -> None:
    """Raise UnknownName for what is not a grain."""
    if grain not in GRAINS:
        raise UnknownName(f"There is no grain {grain!r}; it is one of {', '.join(GRAINS)}")


def named_period(connection: duckdb.DuckDBPyConnection, text: str, grain: str | None = None) -> Row:
    """The row of `periods` that a text names, with `previous_start`, the start of the period before (None: there is
    none). Raises UnknownName, also where the period lies outside the published ones.
    """
    if grain is not None:
        check_grain(grain)
    named, first, last = days_named(text)
    chosen = grain or named
    if named not in (None, chosen) and not (named == "month" and grain in ("quarter", "year")):
        raise UnknownName(f"{text} is a {named}, not a {grain}")
    if chosen is None:
        raise UnknownName(f"Which period does {text} lie in? Add --grain week, month, quarter or year")
    # A year or a quarter begins in what is named, other periods hold its first day.
    holds = (
        "period_start >= $first and period_start <= $last"
        if named == "year"
        else ("period_start <= $first and period_end > $first")
    )
    found = rows_of(
        connection,
        f"""
        select *, (select max(period_start) from periods as earlier
            where earlier.grain = periods.grain and earlier.period_start < periods.period_start) as previous_start
        from periods where grain = $grain and {holds} and $last >= $first
        """,
        {"grain": chosen, "first": first, "last": last},
    )
    if not found:
        ends = rows_of(
            connection, "select min(period_start) as a, max(period_start) as b from periods where grain = ?", [chosen]
        )[0]
        if ends["a"] is None:
            raise UnknownName(f"There are no figures of grain {chosen} yet")
        raise UnknownName(f"There is no {chosen} {text}; those published begin from {ends['a']} to {ends['b']}")
    return found[0]


def days_named(text: str) -> tuple[str | None, date, date]:
    """The grain that a text names (None for a day) with the first and the last day of what it names."""
    try:
        if re.fullmatch(r"\d{4}", text):
            return "year", date(int(text), 1, 1), date(int(text), 12, 31)
        if match := re.fullmatch(r"(\d{4})-(\d{2})", text):
            first = date(int(match[1]), int(match[2]), 1)
            return "month", first, first
        if match := re.fullmatch(r"(\d{4})-?[Qq]([1-4])", text):
            first = date(int(match[1]), 3 * int(match[2]) - 2, 1)
            return "quarter", first, first
        if match := re.fullmatch(r"(\d{4})-?[Ww](\d{1,2})", text):
            first = date.fromisocalendar(int(match[1]), int(match[2]), 1)
            return "week", first, first
        day = date.fromisoformat(text)
        return None, day, day
    except ValueError:
        raise UnknownName(f"{text!r} is not a period; write it as {FORMS}") from None
