"""Reading a table of a DuckDB or SQLite file: opened read-only, and read whole in one transaction.

DuckDB's extension for SQLite has to be fetched from the network, so SQLite is read by Python's own module.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb

from retention_pipeline.ingest.archive import ArchivedFile, Keeper
from retention_pipeline.ingest.lines import BLOCK
from retention_pipeline.ingest.pulls import (
    LOCK_SECONDS,
    ROWS_AT_ONCE,
    Deadline,
    Pull,
    SourceError,
    keep_rows,
    one_line,
    subquery,
)
from retention_pipeline.ingest.schema import literal, quoted
from retention_pipeline.settings import DatabaseFileSource
from retention_pipeline.warehouse import opened

_TYPES = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "BIGINT"),
    **{name: name for name in ("BOOLEAN", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")},
}
SQLITE_BUSY, SQLITE_LOCKED = 5, 6


def _relation(source: DatabaseFileSource) -> str:
    if source.table is not None:
        return ".".join(quoted(part) for part in source.table.split("."))
    return subquery(source.query or "")


def _select(source: DatabaseFileSource, columns: str = "*", limit: int | None = None) -> str:
    return f"select {columns} from {_relation(source)} as pulled" + (f" limit {limit}" if limit is not None else "")


def _check_there(source: DatabaseFileSource, path: Path) -> None:
    if not path.is_file():
        raise SourceError(f"there is no file {source.path}")


@dataclass
class DuckdbPull(Pull):
    connection: duckdb.DuckDBPyConnection
    source: DatabaseFileSource

    def columns(self) -> list[str]:
        return list(self._described())

    def copy_rows(
        self,
        since: datetime | None,
        keeper: Keeper,
        also: dict[str, list[str]] | None = None,
        limit: int | None = None,
    ) -> ArchivedFile:
        archived = self._copy(_select(self.source, limit=limit), keeper)
        types = {name: _duckdb_type(kind) for name, kind in self._described().items()}
        return replace(archived, types={name: kind for name, kind in types.items() if kind is not None})

    def copy_columns(self, columns: list[str], keeper: Keeper) -> ArchivedFile:
        return self._copy(_select(self.source, ", ".join(quoted(column) for column in columns)), keeper)

    def _described(self) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self.connection.execute(f"describe {_select(self.source)}").fetchall()}

    def _copy(self, query: str, keeper: Keeper) -> ArchivedFile:
        written = keeper.partial.with_suffix(".pulled")
        try:
            copied = self.connection.execute(f"copy ({query}) to {literal(str(written))} (format csv, header)")
            [(rows,)] = copied.fetchall()
            with written.open("rb") as stream:
                while block := stream.read(BLOCK):
                    keeper.feed(block)
            return keeper.keep(records=int(rows))
        except BaseException:
            keeper.discard()
            raise
        finally:
            written.unlink(missing_ok=True)


def _duckdb_type(kind: str) -> str | None:
    if kind.startswith("DECIMAL("):
        return kind if int(kind[8:].split(",")[0]) <= 18 else None
    return _TYPES.get(kind)


@contextmanager
def open_duckdb(source: DatabaseFileSource, path: Path) -> Iterator[Pull]:
    """A transaction on a DuckDB file that another process may read, but not write, at the same time."""
    _check_there(source, path)
    deadline = None
    try:
        with opened(path, read_only=True) as connection:
            deadline = Deadline(source, connection.interrupt)
            connection.execute("begin transaction")
            yield DuckdbPull(connection, source)
    except duckdb.Error as error:
        if deadline is not None and deadline.has_passed:
            raise deadline.error from None
        is_locked = isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)
        raise SourceError(
            f"{source.path} is open for writing elsewhere" if is_locked else one_line(error), is_locked
        ) from None
    finally:
        if deadline is not None:
            deadline.end()


@dataclass
class SqlitePull(Pull):
    connection: sqlite3.Connection
    source: DatabaseFileSource

    def columns(self) -> list[str]:
        return [name for name, *_ in self.connection.execute(_select(self.source, limit=0)).description]

    def copy_rows(
        self,
        since: datetime | None,
        keeper: Keeper,
        also: dict[str, list[str]] | None = None,
        limit: int | None = None,
    ) -> ArchivedFile:
        return self._copy(_select(self.source, limit=limit), keeper)

    def copy_columns(self, columns: list[str], keeper: Keeper) -> ArchivedFile:
        return self._copy(_select(self.source, ", ".join(quoted(column) for column in columns)), keeper)

    def _copy(self, query: str, keeper: Keeper) -> ArchivedFile:
        try:
            cursor = self.connection.execute(query)
        except BaseException:
            keeper.discard()
            raise
        return keep_rows([name for name, *_ in cursor.description], _batches(cursor), keeper)


def _batches(cursor: sqlite3.Cursor) -> Iterator[list[list[Any]]]:
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield [[rf"\x{value.hex()}" if isinstance(value, bytes) else value for value in row] for row in rows]


@contextmanager
def open_sqlite(source: DatabaseFileSource, path: Path) -> Iterator[Pull]:
    """A read transaction on a SQLite file; a writer's lock is waited for a minute."""
    _check_there(source, path)
    deadline = None
    try:
        address = f"file:{quote(str(path))}?mode=ro"
        with closing(
            sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        ) as connection:
            connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            deadline = Deadline(source, connection.interrupt)
            connection.execute("begin")
            yield SqlitePull(connection, source)
    except sqlite3.Error as error:
        if deadline is not None and deadline.has_passed:
            raise deadline.error from None
        is_locked = getattr(error, "sqlite_errorcode", None) in (SQLITE_BUSY, SQLITE_LOCKED)
        raise SourceError(one_line(error), is_locked) from None
    finally:
        if deadline is not None:
            deadline.end()
