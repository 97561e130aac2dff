"""The figures as they stood published at a moment, from the history.

Nothing is read from generations of then: they may be gone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb

from retention_pipeline.history.archive import take_up, unseen
from retention_pipeline.history.definitions import TABLE as DEFINITIONS
from retention_pipeline.history.definitions import create_table as create_definitions
from retention_pipeline.history.publications import TABLE as PUBLICATIONS
from retention_pipeline.history.publications import Publication, publications
from retention_pipeline.history.reported import COLUMNS, ROW_KEY, TABLE, instant
from retention_pipeline.history.restatement_tables import RESTATEMENTS, ROWS, create_tables
from retention_pipeline.kpis.store import COLUMNS as FIGURE_COLUMNS
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import has_table, tables_in


class NotKnownThen(Exception):
    """Nothing was published yet at the moment that was asked about; or the moment cannot be read."""


def moment_of(text: str, timezone: str) -> datetime:
    """The moment (naive UTC) that somebody means: of a date the end of that business day; an instant without a zone is
    one of the business time zone. Raises NotKnownThen.
    """
    zone = ZoneInfo(timezone)
    try:
        if len(text) == len("2026-03-05"):
            midnight = datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), zone)
            local = midnight.astimezone(UTC) - timedelta(microseconds=1)
        else:
            given = datetime.fromisoformat(text)
            local = given if given.tzinfo else given.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        raise NotKnownThen(
            f"{text!r} is not a moment; write a day as 2026-03-05 or an instant as 2026-03-05T14:30"
        ) from None
    return local.astimezone(UTC).replace(tzinfo=None)


def known_publication(known: list[Publication], moment: datetime) -> Publication:
    """The publication that stood at the moment. Raises NotKnownThen."""
    before = [one for one in known if one.published_at <= moment]
    if not before:
        first = f"; the first publication was at {known[0].published_at:%Y-%m-%d %H:%M} UTC" if known else ""
        raise NotKnownThen(f"Nothing had been published yet at {moment:%Y-%m-%d %H:%M} UTC{first}")
    return before[-1]


def figures_at(publication: Publication, table: str = TABLE) -> str:
    """SQL: the rows of the history that stood with a publication."""
    at = instant(publication.published_at)
    return f"select * from {table} where known_from <= {at} and (known_to is null or known_to > {at})"


def with_whole_history(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Take up, for this connection, what only the archive has: of generations that were left by a restore."""
    if not has_table(connection, TABLE) or not unseen(connection, home):
        return
    database = connection.execute("select current_database()").fetchall()[0][0]
    for name in [one for one in (PUBLICATIONS, TABLE, RESTATEMENTS, ROWS, DEFINITIONS) if has_table(connection, one)]:
        connection.execute(f'create temp table {name} as select * from "{database}".main.{name}')
    create_tables(connection, temporary=True)
    create_definitions(connection, temporary=True)
    take_up(connection, home)


def go_back(connection: duckdb.DuckDBPyConnection, home: Home, moment: datetime) -> Publication:
    """Let everything that is asked on this connection about `retention_kpis` be answered as it stood at the moment;
    returns the publication of then. Raises NotKnownThen.

    The figures of then stand in a temporary table of the same name, which goes before the published one. They have no
    intervals, and of periods that were open no segments. Marks of late data are those of now and are
    left out.
    """
    there = tables_in(connection)
    with_whole_history(connection, home)
    known = publications(connection)
    publication = known_publication(known, moment)
    connection.execute(f"create temp table known_then as {figure_rows_at(publication)}")
    connection.execute("alter table known_then rename to retention_kpis")
    if "figure_marks" in there:
        connection.execute("create temp table no_marks as select * from figure_marks limit 0")
        connection.execute("alter table no_marks rename to figure_marks")
    return publication


def figure_rows_at(publication: Publication) -> str:
    """SQL: the rows of `retention_kpis` as they stood with a publication, without intervals; units and currency are
    those of the open warehouse.
    """
    columns = {name: f"figures.{name}" for name in COLUMNS if name in FIGURE_COLUMNS}
    columns |= {
        "unit": "definitions.unit",
        "currency": "case when definitions.unit = 'money' then given.currency end",
        "is_complete": f"figures.period_end <= date '{publication.as_of}'",
        "as_of": f"date '{publication.as_of}'",
        "computed_at": "figures.known_from",
        "run_id": f"'{publication.run_id}'",
    }
    listed = ", ".join(
        f"cast({columns.get(name, 'null')} as {kind.removesuffix(' not null')}) as {name}"
        for name, kind in FIGURE_COLUMNS.items()
    )
    return f"""
        select {listed} from ({figures_at(publication)}) as figures
        left join kpi_definitions as definitions on figures.kpi = definitions.kpi
        cross join (select max(currency) as currency from {FIGURES}) as given
        order by {", ".join(ROW_KEY)}"""
