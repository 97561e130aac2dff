"""The marks of the published generation, for those who print figures. Older generations have none.

A generation made before there were marks is read like one without marks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import duckdb

from retention_pipeline import formatting
from retention_pipeline.warehouse import has_table

SIGN = "*"
BETWEEN_SOURCES = " | "  # in the column `why`, where several sources are late


@dataclass(frozen=True)
class Mark:
    """Why a figure is not fresh, and up to which day (None: for no period) its data are all there."""

    fresh_until: date | None
    why: str

    def concerns(self, period_end: date) -> bool:
        """Whether the figure of the period that ends then lacks data."""
        return self.fresh_until is None or period_end > self.fresh_until


@dataclass(frozen=True)
class Marks:
    """The marks of one segment dimension, by figure and basis."""

    found: dict[tuple[str, str], Mark] = field(default_factory=dict)

    def of(self, figure: str, basis: str, period_end: date) -> Mark | None:
        """The mark of a figure of one period; None if it has all its data."""
        mark = self.found.get((figure, basis))
        return mark if mark is not None and mark.concerns(period_end) else None


def footnotes(marks: Iterable[Mark]) -> list[str]:
    """One line for each source behind some marks, with the latest day that one of them knows."""
    latest: dict[str, date | None] = {}
    for mark in marks:
        for source in mark.why.split(BETWEEN_SOURCES):
            known = latest.setdefault(source, mark.fresh_until)
            if mark.fresh_until and (known is None or mark.fresh_until > known):
                latest[source] = mark.fresh_until
    return [
        f"{source}; " + (f"data are whole before {formatting.day(day)}" if day else "data are whole for no period")
        for source, day in latest.items()
    ]


def published_reasons(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Why figures of an open warehouse are marked: one line per source, none where all are fresh."""
    if not has_table(connection, "figure_marks"):
        return []
    found = connection.execute("select distinct why from figure_marks order by why").fetchall()
    return list(dict.fromkeys(source for (why,) in found for source in why.split(BETWEEN_SOURCES)))


def read_marks(connection: duckdb.DuckDBPyConnection, dimension: str = "all") -> Marks:
    """The marks of an open warehouse for the rows of one segment dimension."""
    if not has_table(connection, "figure_marks"):
        return Marks()
    rows = connection.execute(
        "select figure, basis, fresh_until, why from figure_marks where segment_dimension = ?", [dimension]
    ).fetchall()
    return Marks({(figure, basis): Mark(fresh_until, why) for figure, basis, fresh_until, why in rows})
