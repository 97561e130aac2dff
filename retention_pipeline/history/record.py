"""What a run writes into the history before it publishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb

from retention_pipeline.history.archive import take_up
from retention_pipeline.history.definitions import write_definition_history
from retention_pipeline.history.publications import Publication, add, create_table, moment_after, publications
from retention_pipeline.history.reported import COLUMNS, SAID, TABLE, find_changes, instant, write_changes
from retention_pipeline.history.reported import create_table as create_history
from retention_pipeline.kpis.keys import KEY
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import has_table


@dataclass(frozen=True)
class Recorded:
    """publication: with the moment from which it is known; before: the last one; changes: rows of history_changes."""

    publication: Publication
    before: Publication | None
    changes: int


def record(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    publication: Publication,
    *,
    published: Publication | None,
    removed: bool,
    everything: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Recorded:
    """Write the figures of the open `next.duckdb` into its history.

    publication: what is going to be published; its moment is put after all before it. published: what the current
    generation is, for a history that begins now with the figures that stand published. removed: the run took rows out
    of `retention_kpis`; everything: any figure may differ from the history.
    """
    create_table(connection)
    create_history(connection)
    written = publications(connection)
    again = [one for one in written if one.run_id == publication.run_id]
    known = [one for one in written if one.run_id != publication.run_id]
    taken_up = take_up(connection, home, say=say)
    if not known and not taken_up and published is not None:
        _begin_with(connection, published)
        taken_up = 1
    if taken_up:
        known = [one for one in publications(connection) if one.run_id != publication.run_id]
    moment = again[-1].published_at if again else moment_after(known, publication.published_at)
    publication = replace(publication, published_at=moment)
    everything = everything or not known or taken_up > 0
    changes = find_changes(connection, run_id=None if everything else publication.run_id, removed=removed)
    write_changes(connection, publication)
    write_definition_history(connection, publication)
    add(connection, publication)
    return Recorded(publication, known[-1] if known else None, changes)


def _begin_with(connection: duckdb.DuckDBPyConnection, published: Publication) -> None:
    """The history of a home that has figures and no history: what stands published (the database `published`), from the
    time it was made.
    """
    if not has_table(connection, FIGURES, database="published"):
        return
    said = [f"'{published.settings_fingerprint}'" if name == "settings_fingerprint" else name for name in SAID]
    connection.execute(
        f"insert into {TABLE} ({', '.join(COLUMNS)}) "
        f"select kpi, grain, period_start, period_end, {', '.join(KEY[2:])}, {', '.join(said[1:])}, "
        f"{instant(published.published_at)}, null from published.{FIGURES} "
        "where is_complete or segment_dimension = 'all'"
    )
    add(connection, published)
