"""What a database has to answer so that a night can load from it: one `Pull`, whatever the database.

Beside it what all of them need: their one kind of error, a time limit that ends whatever waits, and rows as CSV.
"""

from __future__ import annotations

import csv
import os
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from retention_pipeline.formatting import CsvLines
from retention_pipeline.ingest.archive import ArchivedFile, Keeper
from retention_pipeline.settings import DatabaseSource

CONNECT_SECONDS = 15
LOCK_SECONDS = 60  # of waiting for a table that somebody else has locked
ROWS_AT_ONCE = 5_000
SURELY_SECRET = 8  # signs of a password that is part of no word


class SourceError(Exception):
    """The database cannot give what is asked for; `may_pass` is true where trying again makes sense."""

    def __init__(self, message: str, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class Pull(ABC):
    """Everything read in one pull belongs to one moment.

    `next_watermark` (naive UTC): from where the next pull has to read again; None where every pull reads everything.
    """

    next_watermark: datetime | None = None

    @abstractmethod
    def columns(self) -> list[str]:
        """The columns of the table or query."""

    @abstractmethod
    def copy_rows(
        self,
        since: datetime | None,
        keeper: Keeper,
        also: dict[str, list[str]] | None = None,
        limit: int | None = None,
    ) -> ArchivedFile:
        """Copy the rows into the archive, those only whose cursor is at or after `since` (UTC) or null.

        `also`: further rows by the texts of their key columns, one list per column. `limit`: no more rows than this.
        """

    @abstractmethod
    def copy_columns(self, columns: list[str], keeper: Keeper) -> ArchivedFile:
        """Copy these columns of all rows."""

    def greatest_cursor(self, since: datetime | None) -> datetime | None:
        """The greatest time in the cursor column of the rows that `copy_rows` copies (naive UTC)."""
        return None

    def copy_keys(self, columns: list[str], keeper: Keeper) -> ArchivedFile:
        """Copy these columns of all rows, those of them that the source has."""
        there = self.columns()
        present = [column for column in columns if column in there]
        if not present:
            raise SourceError(f"compare_keys: the source has no column {', '.join(columns)}")
        return self.copy_columns(present, keeper)


class Deadline:
    """Stops a connection when its time is over, whatever waits for it: a server that hangs says nothing by itself."""

    def __init__(self, source: DatabaseSource, stop: Callable[[], None]) -> None:
        self.source, self.has_passed = source, False
        self._stop = stop
        seconds = source.max_read_time.total_seconds()
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._pass)
        self._timer.daemon = True
        self._timer.start()

    def _pass(self) -> None:
        self.has_passed = True
        self._stop()

    def end(self) -> None:
        self._timer.cancel()
        self._timer.join()

    @property
    def error(self) -> SourceError:
        minutes = self.source.max_read_time.total_seconds() / 60
        return SourceError(f"not everything had come after {minutes:g} minutes (max_read_time)")


class SocketDeadline(Deadline):
    """Shuts down the socket of a connection."""

    def __init__(self, source: DatabaseSource, fileno: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fileno))
        super().__init__(source, self._shut_down)

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        super().end()
        self._socket.close()


def subquery(query: str) -> str:
    """A SELECT in brackets, on lines of its own, for it may end in a comment."""
    without_end = query.rstrip("; \n")
    return f"(\n{without_end}\n)"


def one_line(error: Exception, secrets: Iterable[str] = ()) -> str:
    """The first line of an error's text, without the secrets."""
    lines = str(error).strip().splitlines()
    text = " ".join(lines[0].split()) if lines else type(error).__name__
    for secret in secrets:
        text = without_secret(text, secret)
    return text


def without_secret(text: str, secret: str) -> str:
    """A text without a password. A short one is also a part of words (`a`, `user`), so it is taken out only where a
    value stands: after a colon, an equals sign or a quote.
    """
    if len(secret) >= SURELY_SECRET:
        return text.replace(secret, "…")
    return re.sub(rf"(?<=[:='\"]){re.escape(secret)}(?=[@'\"\s&;,]|$)", "…", text)


def keep_rows(header: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]], keeper: Keeper) -> ArchivedFile:
    """Bring rows into the archive as CSV; values are texts, numbers, or None."""
    rows = 0
    try:
        keeper.feed(_csv([header]))
        for batch in batches:
            rows += len(batch)
            keeper.feed(_csv(batch))
        return keeper.keep(records=rows)
    except BaseException:
        keeper.discard()
        raise


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    lines: list[str] = []
    csv.writer(CsvLines(lines.append)).writerows(rows)
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
