"""The published generation as the commands read it: always read-only, never a file that a run writes.

One function per question; rows come back as dictionaries. How answers look is the business of cli/printing.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile, damage, has_table, looks_damaged, opened

Row = dict[str, Any]
PENDING = "pending_restatements"


class NothingPublished(Exception):
    """There is no published generation to read."""


class UnknownName(Exception):
    """A KPI, table, segment or basis that the published generation does not have; the text offers what it has."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that says that a name is unknown: what else it may have been."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [one for one in known if name in one][:3]
    return f"; did you mean {' or '.join(near)}?" if near else "."


@contextmanager
def open_published(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published generation, read-only. Raises NothingPublished where no run has succeeded yet, DamagedFile where
    the link is lost or the file cannot be read, then or later.
    """
    helps = f"To make the newest generation that can be read current: retention restore --home {home.root}"
    if not home.current.exists():
        if any(home.published.glob("g*.duckdb")):
            raise DamagedFile(f"{home.current} is gone, and there are generations beside it. {helps}")
        raise NothingPublished(
            f"Nothing is published in {home.root} yet. Make the first figures with: retention run --home {home.root}"
        )
    try:
        with opened(home.current.resolve(), read_only=True) as connection:
            yield connection
    except duckdb.Error as error:
        if looks_damaged(error) and (reason := damage(home.current.resolve())):
            raise DamagedFile(f"{home.current.resolve()} is damaged: {reason}.\n{helps}") from error
        raise


def rows_of(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()
) -> list[Row]:
    """The rows of a query as dictionaries by column name."""
    cursor = connection.execute(sql, parameters if isinstance(parameters, dict) else list(parameters))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def state(connection: duckdb.DuckDBPyConnection) -> Row:
    """The one row of `pipeline_state`: generation, as_of, built_at and what it was made from."""
    return rows_of(connection, "select * from pipeline_state")[0]


def last_complete_period(connection: duckdb.DuckDBPyConnection, grain: str) -> Row | None:
    """The row of `periods` to talk about: the last complete one that has figures, else the latest; None if none has."""
    found = rows_of(
        connection,
        """
        select distinct grain, period_start, period_end, is_complete from retention_kpis
        where grain = ? and segment_dimension = 'all' order by is_complete desc, period_start desc limit 1
        """,
        [grain],
    )
    return found[0] if found else None


def definitions(connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    """`kpi_definitions` by kpi: label, definition, unit and the rest."""
    return {row["kpi"]: row for row in rows_of(connection, "select * from kpi_definitions order by kpi")}


def figures_until(
    connection: duckdb.DuckDBPyConnection,
    grain: str,
    last_period: date,
    *,
    kpis: Sequence[str],
    periods: int = 13,
    dimension: str = "all",
    value: str | None = "all",
    basis: str | None = None,
) -> list[Row]:
    """Rows of `retention_kpis` of the given KPIs in the `periods` periods up to `last_period`, oldest first, with
    `is_fresh` and `why_not_fresh` (of generations before there were such marks: true and None).

    `value` None asks for every value of the dimension, `basis` None for every basis.
    """
    return rows_of(
        connection,
        f"""
        with shown as (
            select distinct period_start from retention_kpis
            where grain = $grain and segment_dimension = 'all' and period_start <= $last_period
            order by period_start desc limit $periods
        )
        select * from {marked_figures(connection)}
        where grain = $grain
          and kpi in (select unnest($kpis))
          and segment_dimension = $dimension
          and segment_value = coalesce($value, segment_value)
          and basis = coalesce($basis, basis)
          and period_start in (select period_start from shown)
        order by kpi, basis, segment_value, period_start
        """,
        {
            "grain": grain,
            "last_period": last_period,
            "kpis": list(kpis),
            "periods": periods,
            "dimension": dimension,
            "value": value,
            "basis": basis,
        },
    )


def marked_figures(connection: duckdb.DuckDBPyConnection) -> str:
    """SQL: `retention_kpis` with is_fresh and why_not_fresh, as a relation."""
    if has_table(connection, "retention_kpis_marked"):
        return "retention_kpis_marked"
    return "(select *, true as is_fresh, null::varchar as why_not_fresh from retention_kpis)"


def targets_of(connection: duckdb.DuckDBPyConnection, figures: Sequence[Row]) -> list[Row]:
    """Rows of `kpi_attainment` for figures of one KPI, grain and dimension (all their bases and segment values), by due
    day; none where no targets are given.
    """
    if not figures or not has_table(connection, "kpi_attainment"):
        return []
    series = {(row["basis"], row["segment_value"]) for row in figures}
    found = rows_of(
        connection,
        "select * from kpi_attainment where kpi = ? and grain = ? and segment_dimension = ? "
        "order by basis, segment_value, due_on, start_on",
        [figures[0][name] for name in ("kpi", "grain", "segment_dimension")],
    )
    return [row for row in found if (row["basis"], row["segment_value"]) in series]


def benchmarks_of(connection: duckdb.DuckDBPyConnection, figures: Sequence[Row]) -> dict[tuple[str, date], Row]:
    """Rows of `kpi_with_benchmark` for figures of one KPI, grain and dimension, by basis and period_start; none for
    segments, and where no benchmarks are given.
    """
    if not figures or figures[0]["segment_dimension"] != "all" or not has_table(connection, "kpi_with_benchmark"):
        return {}
    found = rows_of(
        connection,
        "select * from kpi_with_benchmark where kpi = ? and grain = ?",
        [figures[0]["kpi"], figures[0]["grain"]],
    )
    return {(row["basis"], row["period_start"]): row for row in found}


def last_period(connection: duckdb.DuckDBPyConnection, grain: str) -> date | None:
    """The start of the latest period that has figures, complete or not."""
    row = connection.execute(
        "select max(period_start) from retention_kpis where grain = ? and segment_dimension = 'all'", [grain]
    ).fetchone()
    return row[0] if row else None


def dimensions(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Segment dimensions that have figures, with their values by alphabet."""
    found: dict[str, list[str]] = {}
    for row in rows_of(
        connection,
        """
        select distinct segment_dimension, segment_value from retention_kpis
        where segment_dimension <> 'all' order by segment_dimension, segment_value
        """,
    ):
        found.setdefault(row["segment_dimension"], []).append(row["segment_value"])
    return found


def missing_rows(connection: duckdb.DuckDBPyConnection) -> int:
    """How many refused rows, of whatever load, no later load has put right."""
    if not has_table(connection, "data_quality"):
        return 0
    row = connection.execute("select sum(value) from data_quality where measure = 'quarantined'").fetchone()
    return int(row[0] or 0) if row else 0


def tables(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Tables and views that are there to be read: name, kind ('table' or 'view'), rows (None for views), columns."""
    return rows_of(
        connection,
        """
        select table_name as name, 'table' as kind, estimated_size as rows, column_count as columns
        from duckdb_tables() where schema_name = 'main' and database_name = current_database() and not internal
        union all
        select view_name, 'view', null, column_count
        from duckdb_views() where schema_name = 'main' and database_name = current_database() and not internal
        order by name
        """,
    )


def held_back(connection: duckdb.DuckDBPyConnection, figures: list[Row]) -> list[tuple[date, date]]:
    """The periods (first day, day after the last) among rows of retention_kpis of which a change is held back."""
    if not has_table(connection, PENDING):
        return []
    key = ("kpi", "grain", "period_start", "basis", "segment_dimension", "segment_value")
    pending = set(connection.execute(f"select {', '.join(key)} from {PENDING}").fetchall())
    return sorted(
        {(row["period_start"], row["period_end"]) for row in figures if tuple(row[name] for name in key) in pending}
    )
