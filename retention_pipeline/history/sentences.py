"""What a publication restated, in three lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

from retention_pipeline import formatting
from retention_pipeline.history.causes import CAUSES
from retention_pipeline.history.closing import TABLE as PENDING
from retention_pipeline.history.closing import pending_periods
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reported import ROW_KEY, instant
from retention_pipeline.history.restatement_tables import NOT_LISTED, RESTATEMENTS, ROWS
from retention_pipeline.kpis.registry import BY_ID

WORDS = {
    "late": "rows that came late",
    "corrected": "corrected rows",
    "deleted": "deleted rows",
    "merge": "merged customers",
    "attribute": "changed attributes of customers",
    "fx": "changed exchange rates",
    "settings": "changed settings",
    "definition": "changed definitions",
    "backfill": "a backfill",
}
NAMED_AT_MOST = 3


class Line(str):
    """A line about what a publication restated, for who hears it among a run's progress and has it in the answer."""


@dataclass(frozen=True)
class Restated:
    """How many figures of complete periods a publication changed, in all and by cause, how many of them in closed
    periods, how many are held back, and what is said about it, by name: three lines where figures changed, one about
    closed periods.
    """

    figures: int
    by_cause: dict[str, int]
    closed: int
    pending: int
    said: dict[str, str]

    @property
    def lines(self) -> list[str]:
        """What is said, line by line."""
        return list(self.said.values())


def restated_by(connection: duckdb.DuckDBPyConnection, publication: Publication) -> Restated:
    """What the open warehouse says of a publication."""
    of_it = f"(select * from {RESTATEMENTS} where published_at = {instant(publication.published_at)})"
    by_cause = dict(connection.execute(f"select cause, count(*) from {of_it} group by cause").fetchall())
    key = ", ".join(ROW_KEY)
    figures, closed, several = connection.execute(
        f"select count(*), count(*) filter (is_closed), count(*) filter (causes > 1) from "
        f"(select bool_or(is_closed) as is_closed, count(*) as causes from {of_it} group by {key})"
    ).fetchall()[0]
    pending = pending_periods(connection)
    said, ordered = dict[str, str](), {cause: by_cause[cause] for cause in CAUSES if cause in by_cause}
    if figures:
        causes = ", ".join(f"{number:,} because of {WORDS[cause]}" for cause, number in ordered.items())
        both = f" ({several:,} because of more than one)" if several else ""
        said = {
            "restatements": f"{formatting.counted(figures, 'figure')} of complete periods changed: {causes}{both}",
            "largest_restatement": f"the largest: {_largest(connection, of_it)}",
            "all_restatements": "all of them: retention query "
            f'"from restatements where generation = {publication.generation}"{_not_listed(connection, publication)}',
        }
    if closed:
        said["restated_in_closed"] = f"WARNING: {formatting.counted(closed, 'figure')} of CLOSED periods changed"
    if pending:
        held = ", ".join(f"{grain} of {start}" for grain, start in list(pending)[:NAMED_AT_MOST])
        more = (
            f" and {formatting.counted(len(pending) - NAMED_AT_MOST, 'more period')}"
            if len(pending) > NAMED_AT_MOST
            else ""
        )
        number = formatting.counted(sum(pending.values()), "figure")
        said["held_back"] = (
            f"WARNING: {number} of closed periods held back ({held}{more}):"
            f' retention query "from {PENDING}"; let in with retention restate'
        )
    return Restated(figures, ordered, closed, sum(pending.values()), {name: Line(said[name]) for name in said})


def _not_listed(connection: duckdb.DuckDBPyConnection, publication: Publication) -> str:
    """Of how many figures no row is listed, if there were too many."""
    key = ", ".join(ROW_KEY)
    number = connection.execute(
        f"""
        select count(*) from (
            select 1 from {ROWS} where generation = ? group by {key} having count(*) = count(*) filter (customer_id = ?)
        )""",
        [publication.generation, NOT_LISTED],
    ).fetchall()[0][0]
    return f" ({formatting.counted(number, 'figure')} without a list of rows)" if number else ""


def _largest(connection: duckdb.DuckDBPyConnection, of_it: str) -> str:
    """The figure that changed most in proportion: of everybody and with a value before and after, if there is one."""
    row = connection.execute(
        f"""
        select kpi, grain, period_start, basis, segment_dimension, segment_value, old, new,
            string_agg(cause, ', ' order by cause)
        from {of_it} as restated
        group by kpi, grain, period_start, basis, segment_dimension, segment_value, old, new
        order by segment_dimension <> 'all', old is null or new is null,
            abs(coalesce(new, 0) - coalesce(old, 0)) / greatest(abs(old), abs(new), 1e-300) desc,
            abs(coalesce(new, 0) - coalesce(old, 0)) desc, kpi, grain, period_start, basis, segment_value
        limit 1
        """
    ).fetchall()[0]
    kpi, grain, start, basis, dimension, value, old, new, causes = row
    end, currency = connection.execute(
        "select any_value(period_end), any_value(currency) from retention_kpis "
        "where kpi = ? and grain = ? and period_start = ?",
        [kpi, grain, start],
    ).fetchall()[0]
    return described(kpi, grain, start, end, basis, dimension, value, old, new, currency) + f" ({causes})"


def described(
    kpi: str,
    grain: str,
    start: date,
    end: date | None,
    basis: str,
    dimension: str,
    value: str,
    old: float | None,
    new: float | None,
    currency: str | None,
) -> str:
    """`Order revenue, buyers, Feb 2024: € 24 instead of € 20`."""
    known = BY_ID.get(kpi)
    label, form = (known.label, known.shown_as) if known else (kpi, "decimals")
    who = [formatting.BASES.get(basis, basis)] if basis != "all" else []
    where = [] if dimension == "all" else [f"{dimension} {value}"]
    figures = [formatting.figure(one, form, currency) for one in (new, old)]
    period = formatting.period(grain, start, end) if end else f"{grain} of {start}"
    return f"{', '.join([label, *who, *where, period])}: {figures[0]} instead of {figures[1]}"
