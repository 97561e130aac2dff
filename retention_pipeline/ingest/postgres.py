"""Reading a PostgreSQL table as CSV through COPY: the connection, the transaction, the query, and its errors.

Of five ways that were measured COPY was the fastest, and the only one that kept infinite timestamps, unconstrained
numbers and nulls as they were. Whatever goes wrong is one line without secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from retention_pipeline.ingest.archive import ArchivedFile, Keeper
from retention_pipeline.ingest.copy_stream import copy_out
from retention_pipeline.ingest.pulls import CONNECT_SECONDS, LOCK_SECONDS, Pull, SocketDeadline, SourceError, one_line
from retention_pipeline.settings import PostgresSource

APPLICATION = "retention pipeline"
# A server that is gone without a word is noticed within two minutes; what the connection string says goes before.
NETWORK = {
    "keepalives": 1,
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 120_000,
}
_DUCKDB_TYPES = {
    "bool": "BOOLEAN",
    "int2": "BIGINT",
    "int4": "BIGINT",
    "int8": "BIGINT",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}


@dataclass
class PostgresPull(Pull):
    """One read-only transaction."""

    connection: psycopg.Connection
    source: PostgresSource
    next_watermark: datetime | None

    def copy_rows(
        self,
        since: datetime | None,
        keeper: Keeper,
        also: dict[str, list[str]] | None = None,
        limit: int | None = None,
    ) -> ArchivedFile:
        query = sql.SQL("select * from {} as pulled").format(self._relation())
        if since is not None and self.source.cursor is not None:
            query += sql.SQL(" where {}").format(self._changed(since))
            if also:
                query += sql.SQL(" or {}").format(_is_one_of(also))
        if limit is not None:
            query += sql.SQL(" limit {}").format(sql.Literal(limit))
        return replace(self._copy(query, keeper), types=self._types())

    def _changed(self, since: datetime) -> sql.Composable:
        cursor = sql.Identifier(self.source.cursor or "")
        moment = sql.Literal(f"{since - timedelta(hours=self.source.overlap_hours):%Y-%m-%d %H:%M:%S.%f}+00")
        return sql.SQL("({} >= {}::timestamptz or {} is null)").format(cursor, moment, cursor)

    def greatest_cursor(self, since: datetime | None) -> datetime | None:
        if self.source.cursor is None:
            return None
        cursor = sql.Identifier(self.source.cursor)
        greatest = "select (max({0}) filter (where isfinite({0})))::timestamptz at time zone 'UTC' from {1} as pulled"
        question = sql.SQL(greatest).format(cursor, self._relation())
        if since is not None:
            question += sql.SQL(" where {}").format(self._changed(since))
        row = self.connection.execute(question).fetchone()
        return row[0] if row else None

    def copy_columns(self, columns: list[str], keeper: Keeper) -> ArchivedFile:
        listed = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
        return self._copy(sql.SQL("select {} from {} as pulled").format(listed, self._relation()), keeper)

    def columns(self) -> list[str]:
        return [column.name for column in self._described()]

    def _types(self) -> dict[str, str]:
        """The DuckDB type of each column that holds whatever the column does, but for rare values such as NaN."""
        types = {column.name: _duckdb_type(column) for column in self._described()}
        return {name: kind for name, kind in types.items() if kind is not None}

    def _described(self) -> list[psycopg.Column]:
        asked = self.connection.execute(sql.SQL("select * from {} as pulled limit 0").format(self._relation()))
        return asked.description or []

    def check_cursor(self) -> None:
        """Raise psycopg.Error where the cursor is not a time column, which a first pull would not notice."""
        if self.source.cursor is not None:
            cursor = sql.Identifier(self.source.cursor)
            question = sql.SQL("select {} >= now() from {} as pulled limit 0")
            self.connection.execute(question.format(cursor, self._relation()))

    def _relation(self) -> sql.Composable:
        if self.source.table is not None:
            return sql.Identifier(*self.source.table.split("."))
        # on lines of its own, for it may end in a comment
        return sql.SQL("(\n{}\n)").format(sql.SQL((self.source.query or "").rstrip("; \n")))

    def _copy(self, query: sql.Composable, keeper: Keeper) -> ArchivedFile:
        statement = sql.SQL("copy ({}) to stdout (format csv, header)").format(query)
        try:
            rows = copy_out(self.connection, statement.as_bytes(self.connection), keeper)
            return keeper.keep(records=rows)
        except BaseException:
            keeper.discard()
            raise


def _is_one_of(keys: dict[str, list[str]]) -> sql.Composable:
    """Whether a row has one of these keys, by the texts of its columns."""
    lists = sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(texts)) for texts in keys.values())
    names = [sql.Identifier(f"key_{position}") for position in range(len(keys))]
    equal = sql.SQL(" and ").join(
        sql.SQL("btrim({}::text) is not distinct from wanted.{}").format(sql.Identifier("pulled", column), name)
        for column, name in zip(keys, names, strict=True)
    )
    return sql.SQL("exists (select 1 from unnest({}) as wanted ({}) where {})").format(
        lists, sql.SQL(", ").join(names), equal
    )


def _duckdb_type(column: psycopg.Column) -> str | None:
    known = psycopg.adapters.types.get(column.type_code)
    if known is None:
        return None
    if known.name == "numeric" and column.precision is not None and column.scale is not None:
        return f"DECIMAL({column.precision},{column.scale})" if 0 <= column.scale <= column.precision <= 18 else None
    return _DUCKDB_TYPES.get(known.name)


def _next_watermark(connection: psycopg.Connection) -> datetime:
    """From where the next pull has to read again (UTC): before every transaction that may still commit a row with an
    older cursor. `max(cursor)` of what was read would lose such a row for good.

    Asked before the pull's own snapshot is taken: a transaction that is not listed then either is in the snapshot, or
    begins later and writes later times. Those that have written nothing yet count too, for they may do so any moment.
    """
    row = connection.execute(
        """
        select least(now(), min(xact_start)) at time zone 'UTC' from pg_stat_activity where pid <> pg_backend_pid()
        """
    ).fetchone()
    assert row is not None
    since: datetime = row[0]
    return since


@contextmanager
def open_postgres(source: PostgresSource) -> Iterator[PostgresPull]:
    """A repeatable-read, read-only transaction on the source; raises SourceError for everything that goes wrong."""
    dsn = source.dsn.read()
    try:
        parameters = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise SourceError(f"the variable {source.dsn.env} does not hold a valid connection string") from None
    secrets = [str(parameters["password"])] if parameters.get("password") else []
    network: dict[str, Any] = {name: value for name, value in NETWORK.items() if name not in parameters}
    deadline = None
    try:
        with psycopg.connect(
            dsn, connect_timeout=CONNECT_SECONDS, application_name=APPLICATION, client_encoding="UTF8", **network
        ) as connection:
            deadline = SocketDeadline(source, connection.pgconn.socket)
            connection.autocommit = True
            watermark = _next_watermark(connection)
            connection.autocommit = False
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            zone = sql.Literal(source.timezone or "UTC")
            connection.execute(sql.SQL("set local time zone {}").format(zone))
            connection.execute(
                sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS * 1000:.0f}ms"))
            )
            connection.execute("set local datestyle = 'ISO'")
            connection.execute("set local intervalstyle = 'postgres'")
            connection.execute("set local bytea_output = 'hex'")
            pull = PostgresPull(connection, source, watermark if source.cursor else None)
            pull.check_cursor()
            yield pull
    except psycopg.Error as error:
        if deadline is not None and deadline.has_passed:
            raise deadline.error from None
        raise SourceError(one_line(error, secrets), _may_pass(error)) from None
    finally:
        if deadline is not None:
            deadline.end()


def _may_pass(error: psycopg.Error) -> bool:
    """Whether the same question may be answered in a moment: a lost connection, a server that starts or stops."""
    if error.sqlstate is not None:
        return error.sqlstate[:2] in ("08", "40", "53", "55", "57")
    return isinstance(error, psycopg.OperationalError) and "password" not in str(error)
