"""All that a run writes about what was known before: what it holds back, the history, what it restates and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from retention_pipeline.history import closing
from retention_pipeline.history.archive import held_back_by, take_up
from retention_pipeline.history.known import figure_rows_at
from retention_pipeline.history.publications import Publication, publications
from retention_pipeline.history.raw_rows import raw_rows_named
from retention_pipeline.history.record import record
from retention_pipeline.history.reported import instant
from retention_pipeline.history.restatements import restate
from retention_pipeline.history.rows import ROWS_AT_MOST
from retention_pipeline.history.sentences import Restated, restated_by
from retention_pipeline.kpis.goals import write_goals
from retention_pipeline.kpis.rules import rules_from
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import attach, has_table


@dataclass(frozen=True)
class Before:
    """The generation that a run started from: what it was, for a home whose history begins now, and its loads.

    applied: the last load that it contains; by_content: load numbers of raw are not comparable with its own.
    """

    published: Publication | None = None
    applied: int = -1
    by_content: bool = False


def write_history(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    settings: Settings,
    publication: Publication,
    before: Before,
    *,
    removed: bool,
    released: Collection[closing.Period] = (),
    rows_at_most: int = ROWS_AT_MOST,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Publication, Restated]:
    """Bring the open `next.duckdb` up to its publication, once its figures are audited; returns the publication with
    its moment, and what it restates. removed: the run took rows out of `retention_kpis`; released: closed periods that
    are let in; rows_at_most: of restate.
    """
    is_lost = not home.current.exists()
    if is_lost:
        _stand_in(connection, home, publication, say)
    else:
        attach(connection, home.current.resolve(), "published")
    attach(connection, home.raw_file, "raw_store")
    try:
        with _in_one_thread(connection), raw_rows_named(connection, home, settings), _all_or_nothing(connection):
            known = [one for one in publications(connection) if one.run_id != publication.run_id]
            last = known[-1] if known else before.published
            pending = closing.hold(connection, settings, last, publication, released)
            if pending and has_table(connection, "kpi_attainment"):
                datasets = settings.connected_datasets
                write_goals(connection, rules_from(settings, as_of=publication.as_of, connected_datasets=datasets))
            recorded = record(
                connection,
                home,
                publication,
                published=before.published,
                removed=removed or pending > 0,
                everything=is_lost,
                say=say,
            )
            closed = closing.is_closed(settings, recorded.before)
            applied = _applied_by(connection, recorded.before) if is_lost else before.applied
            restate(
                connection,
                settings,
                recorded,
                applied=applied,
                by_content=before.by_content,
                closed=closed,
                rows_at_most=rows_at_most,
            )
    finally:
        connection.execute("detach published")
        connection.execute("detach raw_store")
    return recorded.publication, restated_by(connection, recorded.publication)


def _stand_in(
    connection: duckdb.DuckDBPyConnection, home: Home, publication: Publication, say: Callable[[str], None]
) -> None:
    """What the archive knows of a generation that was lost, as `published`: its figures, and what it held back. Nothing
    before a first run.
    """
    connection.execute("attach ':memory:' as published")
    with _all_or_nothing(connection):
        take_up(connection, home, say=say)
    lost = [one for one in publications(connection) if one.run_id != publication.run_id]
    if lost:
        connection.execute(f"create table published.main.{FIGURES} as {figure_rows_at(lost[-1])}")
        held_back_by(connection, home, lost[-1], "published")


def _applied_by(connection: duckdb.DuckDBPyConnection, lost: Publication | None) -> int:
    """The last load that a generation contained which is lost: what was loaded when it was published."""
    if lost is None:
        return -1
    loads = f"select max(load_id) from raw_store.raw.ledger where finished_at <= {instant(lost.published_at)}"
    found = connection.execute(loads).fetchall()[0][0]
    return -1 if found is None else int(found)


@contextmanager
def _in_one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Hundreds of statements over few rows: to share them out costs a fifth of the processor and no less time."""
    connection.execute("set threads = 1")
    try:
        yield
    finally:
        connection.execute("reset threads")


@contextmanager
def _all_or_nothing(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction, so that a step that was killed can be done again in the same file."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
