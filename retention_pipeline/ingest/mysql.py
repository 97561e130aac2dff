"""Reading a MySQL or MariaDB table: the connection, the transaction, the query, and its errors.

Rows come over one at a time, as the texts that the server sends. The session's clock is UTC: a TIMESTAMP comes with its
zone, a DATETIME as it stands, in the zone of the source. Whatever goes wrong is one line without secrets.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import SSCursor

from retention_pipeline.ingest.archive import ArchivedFile, Keeper
from retention_pipeline.ingest.pulls import (
    CONNECT_SECONDS,
    LOCK_SECONDS,
    ROWS_AT_ONCE,
    Pull,
    SocketDeadline,
    SourceError,
    keep_rows,
    one_line,
    subquery,
)
from retention_pipeline.settings import MysqlSource

PORT = 3306
# A server that is gone without a word is noticed within two minutes.
KEEPALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 6),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 120_000),
)
TIMES = (FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATETIME, FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE)
NO_DATE = "0000-00-00"
UTC_SUFFIX = "+00:00"
BINARY = 63  # the "character set" of columns that hold bytes
NO_PROCESS_PRIVILEGE, UNKNOWN_VARIABLE = 1227, 1193
TOOK_TOO_LONG = (1969, 3024)  # for MariaDB's and MySQL's own limit, which is that of the source
# Too many connections, shutting down, lost, lock wait, deadlock, gone away, cannot connect.
MAY_PASS = (1040, 1053, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 2014, 4031)


@dataclass
class MysqlPull(Pull):
    """One read-only transaction on a consistent snapshot."""

    connection: pymysql.Connection
    source: MysqlSource
    next_watermark: datetime | None
    _kind: int | None = None

    def columns(self) -> list[str]:
        with self.connection.cursor() as cursor:
            cursor.execute(self._select(limit=0))
            return [column[0] for column in cursor.description]

    def copy_rows(
        self,
        since: datetime | None,
        keeper: Keeper,
        also: dict[str, list[str]] | None = None,
        limit: int | None = None,
    ) -> ArchivedFile:
        condition = ""
        if since is not None and self.source.cursor is not None:
            condition = self._changed(since)
            if also:
                condition += f" or {self._is_one_of(also)}"
        return self._copy(self._select(condition=condition, limit=limit), keeper)

    def copy_columns(self, columns: list[str], keeper: Keeper) -> ArchivedFile:
        return self._copy(self._select(", ".join(_name(column) for column in columns)), keeper)

    def greatest_cursor(self, since: datetime | None) -> datetime | None:
        if self.source.cursor is None:
            return None
        condition = self._changed(since) if since is not None else ""
        question = self._select(f"max({_name(self.source.cursor)})", condition)
        with self.connection.cursor() as cursor:
            cursor.execute(question)
            [(text,)] = cursor.fetchall()
        if text is None or text.startswith(NO_DATE):
            return None
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=self._zone()).astimezone(UTC).replace(tzinfo=None)

    def check_cursor(self) -> None:
        """Raise SourceError where the cursor is not a time column, which a first pull would not notice."""
        if self.source.cursor is not None and self._cursor_kind() not in TIMES:
            raise SourceError(f"the cursor {self.source.cursor} is not a time column")

    def _cursor_kind(self) -> int:
        if self._kind is None:
            with self.connection.cursor() as cursor:
                cursor.execute(self._select(_name(self.source.cursor or ""), limit=0))
                self._kind = int(cursor.description[0][1])
        return self._kind

    def _zone(self) -> ZoneInfo:
        """The zone of the cursor's values: a TIMESTAMP is in the session's, a DATETIME in the source's."""
        is_stamp = self._cursor_kind() == FIELD_TYPE.TIMESTAMP
        return ZoneInfo("UTC" if is_stamp else self.source.timezone or "UTC")

    def _changed(self, since: datetime) -> str:
        zone = self._zone()
        moment = (since - timedelta(hours=self.source.overlap_hours)).replace(tzinfo=UTC)
        # Local time may go back within the next day; no later row has an earlier time than this.
        offset = min(moment.astimezone(zone).utcoffset(), (moment + timedelta(days=1)).astimezone(zone).utcoffset())  # type: ignore[type-var]
        local = moment.replace(tzinfo=None) + (offset or timedelta())
        cursor = _name(self.source.cursor or "")
        return f"({cursor} >= '{local:%Y-%m-%d %H:%M:%S.%f}' or {cursor} is null)"

    def _is_one_of(self, keys: dict[str, list[str]]) -> str:
        """Whether a row has one of these keys, by the texts of its columns."""
        columns = ", ".join(f"coalesce(trim(cast({_name(column)} as char)), '')" for column in keys)
        wanted = zip(*keys.values(), strict=True)
        rows = ", ".join(f"({', '.join(self.connection.escape(_as_there(text)) for text in row)})" for row in wanted)
        return f"({columns}) in ({rows})"

    def _select(self, columns: str = "*", condition: str = "", limit: int | None = None) -> str:
        where = f" where {condition}" if condition else ""
        end = f" limit {limit}" if limit is not None else ""
        return f"select {columns} from {self._relation()} as pulled{where}{end}"

    def _relation(self) -> str:
        if self.source.table is not None:
            return ".".join(_name(part) for part in self.source.table.split("."))
        return subquery(self.source.query or "")

    def _copy(self, query: str, keeper: Keeper) -> ArchivedFile:
        cursor = SSCursor(self.connection)
        try:
            cursor.execute(query)
            archived = keep_rows([column[0] for column in cursor.description], self._batches(cursor), keeper)
        except BaseException:
            keeper.discard()
            _abandon(cursor)
            raise
        cursor.close()
        return archived

    def _batches(self, cursor: SSCursor) -> Iterator[list[list[Any]]]:
        kinds: list[Any] = [column[1] for column in cursor.description]
        special = [place for place, kind in enumerate(kinds) if kind in TIMES]
        stamps = [place for place, kind in enumerate(kinds) if kind == FIELD_TYPE.TIMESTAMP]
        while fetched := cursor.fetchmany(ROWS_AT_ONCE):
            rows = [[_text(value) if isinstance(value, bytes) else value for value in row] for row in fetched]
            for row in rows:
                for place in special:
                    if row[place] is not None and row[place].startswith(NO_DATE):
                        row[place] = None
                for place in stamps:
                    if row[place] is not None:
                        row[place] += UTC_SUFFIX
            yield rows


def _abandon(cursor: SSCursor) -> None:
    """Leave a result half read: without this, closing it would wait for all of its rows."""
    result = cursor._result  # type: ignore[attr-defined]
    if result is not None:
        result.unbuffered_active = False
    if cursor.connection is not None:
        cursor.connection._force_close()  # type: ignore[attr-defined]


def _text(value: bytes) -> str:
    r"""Bytes as \x00ff."""
    return rf"\x{value.hex()}"


def _as_there(text: str | None) -> str:
    """The text of a key as the server writes it, where a TIMESTAMP has no zone."""
    return (text or "").removesuffix(UTC_SUFFIX)


def _bit(value: bytes) -> str:
    return str(int.from_bytes(value, "big"))


def _name(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _next_watermark(connection: pymysql.Connection) -> datetime:
    """From where the next pull has to read again (UTC): before every transaction, and every statement at work, that may
    still commit a row with an older cursor. A user without the privilege PROCESS sees its own only.

    Whole seconds, rounded down, as a DATETIME holds them.
    """
    with connection.cursor() as cursor:
        cursor.execute("set time_zone = 'SYSTEM'")  # in which trx_started is told, whatever the server's time_zone
        cursor.execute("select unix_timestamp(), connection_id()")
        [(now, own)] = cursor.fetchall()
        begun = int(float(now))
        moments = [begun]
        cursor.execute(
            "select max(time) from information_schema.processlist"
            f" where id <> {int(own)} and command in ('Query', 'Execute')"
        )
        moments += [begun - int(float(age)) - 1 for (age,) in cursor.fetchall() if age is not None]
        try:
            cursor.execute("select unix_timestamp(min(trx_started)) from information_schema.innodb_trx")
            moments += [int(float(started)) for (started,) in cursor.fetchall() if started is not None]
        except pymysql.Error as error:
            if error.args[0] != NO_PROCESS_PRIVILEGE:
                raise
    return datetime.fromtimestamp(min(moments), UTC).replace(tzinfo=None)


@contextmanager
def open_mysql(source: MysqlSource) -> Iterator[Pull]:
    """A repeatable-read, read-only transaction on the source; raises SourceError for everything that goes wrong."""
    arguments = _arguments(source)
    secrets = [arguments["password"]] if arguments["password"] else []
    deadline = None
    try:
        connection = pymysql.connect(**arguments)
        with connection:
            connection._read_timeout = None  # type: ignore[attr-defined]
            deadline = SocketDeadline(source, _socket_of(connection).fileno())
            watermark = _next_watermark(connection) if source.cursor else None
            _prepare(connection, source)
            pull = MysqlPull(connection, source, watermark)
            pull.check_cursor()
            yield pull
    except (pymysql.Error, OSError, RuntimeError, UnicodeDecodeError) as error:
        number, text = _told(error)
        if deadline is not None and (deadline.has_passed or number in TOOK_TOO_LONG):
            raise deadline.error from None
        raise SourceError(one_line(Exception(text), secrets), number in MAY_PASS) from None
    finally:
        if deadline is not None:
            deadline.end()


def _prepare(connection: pymysql.Connection, source: MysqlSource) -> None:
    """The session's settings, and the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute(f"set lock_wait_timeout = {LOCK_SECONDS}")
        cursor.execute("set net_write_timeout = 600")
        seconds = max(1, int(source.max_read_time.total_seconds()))
        for limit in (f"max_statement_time = {seconds}", f"max_execution_time = {min(seconds * 1000, 2**32 - 1)}"):
            try:  # MariaDB's, and MySQL's: a server that no longer works for anybody stops by itself
                cursor.execute(f"set {limit}")
            except pymysql.Error as error:
                if error.args[0] != UNKNOWN_VARIABLE:
                    raise
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute("start transaction with consistent snapshot, read only")


def _arguments(source: MysqlSource) -> dict[str, Any]:
    """What mysql://user:password@host:port/database?ssl_ca=…&unix_socket=… says, for pymysql.connect."""
    problem = SourceError(
        f"the variable {source.dsn.env} does not hold a valid connection string (mysql://user:password@host:3306/database)"
    )
    try:
        parts = urlsplit(source.dsn.read().strip())
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        port = parts.port or PORT
    except ValueError:
        raise problem from None
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in ("mysql", "mariadb") or not database or options.keys() - {"ssl", "ssl_ca", "unix_socket"}:
        raise problem
    encrypted: dict[str, Any] = {}
    if options.get("ssl_ca") or options.get("ssl", "").lower() in ("1", "true", "required"):
        try:
            encrypted["ssl"] = ssl.create_default_context(cafile=options.get("ssl_ca"))
        except OSError as error:
            raise SourceError(f"ssl_ca {options.get('ssl_ca')} cannot be read: {error.strerror or error}") from None
    return {
        "host": parts.hostname or "localhost",
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": database,
        "unix_socket": options.get("unix_socket"),
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": CONNECT_SECONDS,  # of the answers while it connects
        "autocommit": True,
        "conv": {FIELD_TYPE.BIT: _bit},
        **encrypted,
    }


def _socket_of(connection: pymysql.Connection) -> socket.socket:
    found: socket.socket = connection._sock  # type: ignore[attr-defined]
    if found.family != socket.AF_UNIX:
        for level, name, value in KEEPALIVE:
            if hasattr(socket, name):
                found.setsockopt(level, getattr(socket, name), value)
    return found


def _told(error: Exception) -> tuple[int, str]:
    """(number, text) of an error of the server, or of the way to it."""
    arguments: Sequence[Any] = error.args
    if isinstance(error, pymysql.Error) and len(arguments) > 1:
        return int(arguments[0]), str(arguments[1])
    return 0, str(error)
