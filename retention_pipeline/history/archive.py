"""`archive/history/`: the history outside the generations, one Parquet file per publication.

A file holds what its publication changed (the rows that `events_of` gives; `record` says of which other table a row
is): figures, definitions, what it restated and the rows behind it, and the loads that it was the first to contain, so
that the archive alone tells in which order raw.duckdb is made again (ingest/rebuild.py); and all that it held back. Its
metadata say which publication it is. It is written after the publication, from the published generation; one that is
missing is written by the next run. A home whose history is shorter than what the files hold (all generations were lost,
an earlier one was made current) takes up the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import duckdb

from retention_pipeline.history import closing, definitions, pending
from retention_pipeline.history.publications import RESTORE, Publication, add, create_table, moment_after, publications
from retention_pipeline.history.reported import (
    COLUMNS,
    MEASURES,
    ROW_KEY,
    SAID,
    TABLE,
    count,
    differs,
    events_of,
    folded,
    instant,
)
from retention_pipeline.history.reported import create_table as create_history
from retention_pipeline.history.restatement_tables import COLUMNS as RESTATEMENT_COLUMNS
from retention_pipeline.history.restatement_tables import RESTATEMENTS, ROW_COLUMNS, ROWS, create_tables
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.settings import Home
from retention_pipeline.testing import stop_for_test
from retention_pipeline.warehouse import attach, has_table, opened, sql_text, tables_in

MARK, LOADS = "publication", "pipeline_loads"
RECORDS = {RESTATEMENTS: RESTATEMENT_COLUMNS, ROWS: ROW_COLUMNS}
# What is held back: the whole of it, as it stands with a publication.
HELD = {closing.TABLE: closing.COLUMNS, pending.TABLE: pending.COLUMNS}
# Of definitions, whose value is a text where a figure's is a number.
OF_DEFINITIONS = {name: f"definition_{name}" for name in definitions.SAID}
WRITTEN_AS = "format parquet, compression zstd, compression_level 1"


def folder(home: Home) -> Path:
    """Where the files are."""
    return home.archive / "history"


def write_missing(home: Home) -> list[Path]:
    """Write the files of those publications in the current generation that have none; returns them."""
    with opened(home.current.resolve(), read_only=True) as connection:
        known = publications(connection)
        missing = [one for one in known if not (folder(home) / one.file_name).exists()]
        return [
            _write(
                connection,
                home,
                one,
                f"select * from ({events_of()}) where published_at = {_of(one)}"
                f"{_definitions_of(connection, one)}{_restated_by(connection, one)}"
                f"{_loads_of(connection, home, one, known)}"
                f"{_held_back(connection) if one == known[-1] else ''}",
            )
            for one in missing
        ]


def take_up(
    connection: duckdb.DuckDBPyConnection, home: Home, *, say: Callable[[str], None] = lambda text: None
) -> int:
    """Add to the history of the open warehouse the publications that only files have; returns how many these were.

    A file that cannot be read is told and left out.
    """
    create_table(connection)
    create_history(connection)
    definitions.create_table(connection)
    found: dict[Path, Publication] = {}
    for path in unseen(connection, home):
        try:
            # By a connection of its own: what cannot be read would end a transaction.
            found[path] = _publication_of(connection.cursor(), path)
        except (duckdb.Error, ValueError, TypeError, KeyError) as error:
            say(f"warning: {path} cannot be read and is left out of the history: {str(error).splitlines()[0]}")
    if not found:
        return 0
    _read(connection, list(found))
    figures = ", ".join((*ROW_KEY, *SAID, "published_at", "is_gone"))
    _take_up(
        connection,
        TABLE,
        COLUMNS,
        folded(
            f"select {figures} from ({events_of()}) union all select {figures} from history_files where record is null"
        ),
    )
    said = tuple(definitions.SAID)
    in_files = ", ".join(f"{column} as {name}" for name, column in OF_DEFINITIONS.items())
    events = f"""
        select * from ({events_of(definitions.TABLE, ("kpi",), said)}) union all
        select kpi, {in_files}, published_at, is_gone from history_files where record = '{definitions.TABLE}'"""
    _take_up(connection, definitions.TABLE, ("kpi", *said, "known_from", "known_to"), folded(events, ("kpi",), said))
    create_tables(connection)
    for table, listed in RECORDS.items():
        columns = ", ".join(listed)
        connection.execute(
            f"insert into {table} ({columns}) select {columns} from history_files where record = '{table}'"
        )
    connection.execute("drop table history_files")
    for publication in found.values():
        add(connection, publication)
    return len(found)


def _take_up(connection: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str], rows: str) -> None:
    """Put a table's rows in the place of those that it has."""
    connection.execute(f"create or replace temp table history_taken_up as {rows}")
    connection.execute(f"delete from {table}")
    connection.execute(f"insert into {table} select {', '.join(columns)} from history_taken_up")
    connection.execute("drop table history_taken_up")


def _definitions_of(connection: duckdb.DuckDBPyConnection, publication: Publication) -> str:
    """SQL: the definitions that a publication changed, to be added to its events."""
    if not has_table(connection, definitions.TABLE):
        return ""
    events = events_of(definitions.TABLE, ("kpi",), tuple(definitions.SAID))
    listed = ", ".join(f"{name} as {column}" for name, column in OF_DEFINITIONS.items())
    return (
        f" union all by name select '{definitions.TABLE}' as record, kpi, {listed}, published_at, is_gone "
        f"from ({events}) where published_at = {_of(publication)}"
    )


def _restated_by(connection: duckdb.DuckDBPyConnection, publication: Publication) -> str:
    """SQL: what a publication restated, to be added to its events."""
    there = tables_in(connection)
    is_of_it = {
        RESTATEMENTS: f"published_at = {_of(publication)}",
        # A generation that is made current again restates nothing.
        ROWS: "false" if publication.kind == RESTORE else f"generation = {publication.generation}",
    }
    return "".join(
        f" union all by name select '{table}' as record, * from {table} where {condition}"
        for table, condition in is_of_it.items()
        if table in there
    )


def _loads_of(
    connection: duckdb.DuckDBPyConnection, home: Home, publication: Publication, known: list[Publication]
) -> str:
    """SQL: the loads since the publication before, to be added to the events of a publication; all of them where the
    file of the one before says nothing of loads.
    """
    if not has_table(connection, LOADS):
        return ""
    before = [one for one in known if one.published_at < publication.published_at]
    since = ""
    if before and _tells_loads(connection, folder(home) / before[-1].file_name):
        since = f" and loaded_at > {_of(before[-1])}"
    return f" union all by name select '{LOADS}' as record, * from {LOADS} where loaded_at <= {_of(publication)}{since}"


def _tells_loads(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    try:
        columns = connection.cursor().execute(f"select name from parquet_schema({sql_text(str(path))})").fetchall()
    except duckdb.Error:  # it is not there, or cannot be read
        return False
    return ("file_name",) in columns


def _held_back(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> str:
    """SQL: what a generation holds back, to be added to the events of its publication."""
    there = tables_in(connection, database=database) if database else tables_in(connection)
    return "".join(
        f" union all by name select '{table}' as record, * from {f'{database}.main.' if database else ''}{table}"
        for table in HELD
        if table in there
    )


def held_back_by(connection: duckdb.DuckDBPyConnection, home: Home, publication: Publication, database: str) -> None:
    """Put what a publication held back, as its file has it, into new tables of a database."""
    path = folder(home) / publication.file_name
    if path.exists():
        _read(connection, [path])
        for table, columns in HELD.items():
            connection.execute(
                f"create table {database}.main.{table} as "
                f"select {', '.join(columns)} from history_files where record = '{table}'"
            )
        connection.execute("drop table history_files")


def _read(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> None:
    """The temporary table history_files; files of before restatements were in them have none."""
    kinds = COLUMNS | {"published_at": "timestamp", "is_gone": "boolean", "record": "varchar"}
    kinds |= {column: definitions.SAID[name] for name, column in OF_DEFINITIONS.items()}
    for listed in (*RECORDS.values(), *HELD.values()):
        kinds |= listed
    typed = ", ".join(f"cast(null as {kind.removesuffix(' not null')}) as {name}" for name, kind in kinds.items())
    paths = ", ".join(sql_text(str(path)) for path in files)
    connection.execute(
        f"create or replace temp table history_files as (select {typed} where false) "
        f"union all by name (from read_parquet([{paths}], union_by_name = true))"
    )


def unseen(connection: duckdb.DuckDBPyConnection, home: Home) -> list[Path]:
    """The files of publications that the open warehouse does not know, oldest first."""
    if not folder(home).exists():
        return []
    known = {one.file_name for one in publications(connection)}
    return [path for path in sorted(folder(home).glob("*.parquet")) if path.name not in known and path.name[0] != "."]


def note_restore(home: Home, *, run_id: str, now: datetime) -> Path | None:
    """Write down that the current generation was made current again at `now`: the figures that were published before it
    end, and its own are known again. None where it has no history.
    """
    with opened(Path(":memory:")) as connection:
        attach(connection, home.current.resolve(), "restored")
        if not has_table(connection, TABLE, database="restored"):
            return None
        create_table(connection)
        create_history(connection)
        connection.execute("insert into publications select * from restored.publications")
        connection.execute(f"insert into {TABLE} by name select * from restored.{TABLE}")
        definitions.create_table(connection)
        has_definitions = has_table(connection, definitions.TABLE, database="restored")
        if has_definitions:
            connection.execute(f"insert into {definitions.TABLE} by name select * from restored.{definitions.TABLE}")
        own = publications(connection)
        if not take_up(connection, home):
            return None
        publication = Publication(
            **(vars(own[-1]) | {"published_at": moment_after(publications(connection), now), "kind": RESTORE})
            | {"run_id": run_id}
        )
        events = _again(_of(publication), TABLE, ROW_KEY, SAID, differs("last.", "again.", (*MEASURES, "null_reason")))
        if has_definitions:
            said = tuple(definitions.SAID)
            is_other = " or ".join(f"last.{name} is distinct from again.{name}" for name in said)
            listed = ", ".join(f"{name} as {column}" for name, column in OF_DEFINITIONS.items())
            events += (
                f" union all by name select '{definitions.TABLE}' as record, kpi, {listed}, published_at, is_gone "
                f"from ({_again(_of(publication), definitions.TABLE, ('kpi',), said, is_other)})"
            )
        return _write(connection, home, publication, f"{events}{_held_back(connection, 'restored')}")


def rewrite(home: Home, change: Callable[[duckdb.DuckDBPyConnection, str], object]) -> int:
    """Let `change` change the rows of each file, which it is given as a table, and write anew the files whose rows are
    others afterwards; returns how many.
    """
    number = 0
    for path in sorted(folder(home).glob("*.parquet")):
        with opened(Path(":memory:")) as connection:
            source = f"(from read_parquet({sql_text(str(path))}))"
            connection.execute(f"create table history_rows as from {source}")
            change(connection, "history_rows")
            if count(connection, f"(from history_rows except all {source})"):
                _write_rows(connection, path, _publication_of(connection, path), "from history_rows")
                number += 1
    return number


def _again(moment: str, table: str, key: tuple[str, ...], said: tuple[str, ...], is_other: str) -> str:
    """SQL: the events that lead from where a history stands to where the database `restored` has it."""
    last, again = (f"(select * from {relation} where known_to is null)" for relation in (table, f"restored.{table}"))
    return f"""
        select {", ".join(f"again.{name}" for name in (*key, *said))}, {moment} as published_at, false as is_gone
        from {again} as again left join {last} as last on {same_key("again", "last", key)}
        where last.kpi is null or {is_other}
        union all
        select {", ".join(f"last.{name}" for name in (*key, *said))}, {moment}, true
        from {last} as last anti join {again} as again on {same_key("again", "last", key)}"""


def _write(connection: duckdb.DuckDBPyConnection, home: Home, publication: Publication, events: str) -> Path:
    """One file, created atomically."""
    folder(home).mkdir(parents=True, exist_ok=True)
    path = folder(home) / publication.file_name
    _write_rows(connection, path, publication, events)
    return path


def _write_rows(connection: duckdb.DuckDBPyConnection, path: Path, publication: Publication, events: str) -> None:
    temporary = path.with_name(f".{path.name}")
    connection.execute(
        f"copy ({events}) to {sql_text(str(temporary))} "
        f"({WRITTEN_AS}, kv_metadata {{{MARK}: {sql_text(publication.as_json())}}})"
    )
    stop_for_test("archiving")
    os.replace(temporary, path)


def _publication_of(connection: duckdb.DuckDBPyConnection, path: Path) -> Publication:
    found = connection.execute(
        f"select decode(value) from parquet_kv_metadata({sql_text(str(path))}) where decode(key) = '{MARK}'"
    ).fetchone()
    if found is None:
        raise ValueError("it does not say of which publication it is")
    return Publication.from_json(found[0])


def _of(publication: Publication) -> str:
    return instant(publication.published_at)
