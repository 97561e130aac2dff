"""The careful way through a text file whose lines cannot be taken one by one: quoted values with line breaks, stray
quotes, mixed line ends, NUL bytes. Line by line in Python, for such files only.

A record begins at a line. Where a quoted value is still open at the line's end, the next lines belong to it, if that
makes a record with the right number of values and none of them is a record by itself; if not, the first line alone is
refused and reading goes on with the next. So one stray quote never swallows the rows behind it, not even up to a
second one that would close it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retention_pipeline.ingest.archive import ArchivedFile
from retention_pipeline.ingest.lines import BYTE_ORDER_MARK
from retention_pipeline.ingest.records import BrokenRecordError, split_record

Parse = Callable[[bytes], list[str | None]]

MAX_LINES_OF_A_RECORD = 1000
MAX_RECORD = 16_000_000
ROWS_AT_ONCE = 50_000


@dataclass
class Rejected:
    """A line that is not a record: its number (from 1), byte position (from 0), the reason and its bytes."""

    line: int
    byte_position: int
    reason: str
    raw: bytes


@dataclass
class SlowReading:
    """Records written to `path` (one text column per column of the file), where they begin and end, and the rest."""

    path: Path
    lines: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    rejected: list[Rejected] = field(default_factory=list)
    accounted_lines: int = 0


def read_csv_slowly(file: ArchivedFile, delimiter: str, width: int, header_lines: int, scratch: Path) -> SlowReading:
    """Every record of a CSV file with `width` columns, after the lines of its header."""

    def parse(raw: bytes) -> list[str | None]:
        values = split_record(_decoded(raw), delimiter)
        if len(values) == width + 1 and values[-1] is None:
            values.pop()
        if len(values) != width:
            raise BrokenRecordError(f"{len(values)} values where the header has {width} columns")
        return values

    return _read(file, parse, [f"c{index}" for index in range(width)], header_lines, scratch)


def read_lines_slowly(file: ArchivedFile, scratch: Path) -> SlowReading:
    """Every line of a text file that is valid text, as the one column `line`."""
    return _read(file, lambda raw: [_decoded(raw)], ["line"], 0, scratch)


def _decoded(raw: bytes) -> str:
    if b"\0" in raw:
        raise BrokenRecordError("the line holds a NUL byte")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenRecordError(f"the line is not valid UTF-8 (byte {error.start + 1} of it)") from None


def _read(file: ArchivedFile, parse: Parse, names: list[str], skip: int, scratch: Path) -> SlowReading:
    target = scratch / "slow.parquet"
    lines: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    rejected: list[Rejected] = []
    accounted = 0
    schema = pa.schema([(name, pa.string()) for name in names])
    rows: list[list[str | None]] = []
    with file.plain.open("rb") as stream, pq.ParquetWriter(target, schema, compression="zstd") as writer:

        def write() -> None:
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
            writer.write_table(pa.table([pa.array(column, pa.string()) for column in columns], schema=schema))
            rows.clear()

        upcoming = _Upcoming(_physical_lines(stream))
        while (line := upcoming.take()) is not None:
            number, start, raw = line
            if skip and raw.strip(b"\r"):
                skip -= 1
                accounted += 1
                continue
            if not raw or raw == b"\r":
                continue
            record, used = _record(raw, upcoming, parse)
            if isinstance(record, BrokenRecordError):
                rejected.append(Rejected(number, start, str(record), raw))
                accounted += 1
                continue
            end = start + len(raw) if used == 0 else upcoming.end_of(used)
            accounted += 1 + upcoming.drop(used)
            rows.append(record)
            lines.append(number)
            starts.append(start)
            ends.append(end)
            if len(rows) >= ROWS_AT_ONCE:
                write()
        write()
    return SlowReading(target, np.array(lines), np.array(starts), np.array(ends), rejected, accounted)


def _record(raw: bytes, upcoming: _Upcoming, parse: Parse) -> tuple[list[str | None] | BrokenRecordError, int]:
    """The record that begins with a line, and how many of the next lines belong to it."""
    try:
        return parse(raw.removesuffix(b"\r")), 0
    except BrokenRecordError as error:
        first = error
    if not first.open_quote:
        return first, 0
    text = raw
    for used in range(1, MAX_LINES_OF_A_RECORD):
        following = upcoming.peek(used)
        if following is None or len(text) > MAX_RECORD or _is_record(following, parse):
            break
        text += b"\n" + following
        if following.count(b'"') == 0:  # nothing that could close the value
            continue
        try:
            return parse(text.removesuffix(b"\r")), used
        except BrokenRecordError as error:
            if not error.open_quote:
                break
    return first, 0


def _is_record(line: bytes, parse: Parse) -> bool:
    """Whether a line is a record by itself; of one or two values a line of prose could be."""
    try:
        return len(parse(line.removesuffix(b"\r"))) > 2
    except BrokenRecordError:
        return False


class _Upcoming:
    """Lines with a look ahead."""

    def __init__(self, lines: Iterator[tuple[int, int, bytes]]) -> None:
        self._lines = lines
        self._ahead: list[tuple[int, int, bytes]] = []

    def take(self) -> tuple[int, int, bytes] | None:
        return self._ahead.pop(0) if self._ahead else next(self._lines, None)

    def peek(self, position: int) -> bytes | None:
        """The bytes of the line `position` (from 1) lines ahead."""
        while len(self._ahead) < position:
            line = next(self._lines, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[position - 1][2]

    def end_of(self, position: int) -> int:
        _, start, raw = self._ahead[position - 1]
        return start + len(raw)

    def drop(self, used: int) -> int:
        """Forget the next lines; the result counts those that are not blank."""
        filled = sum(1 for _, _, raw in self._ahead[:used] if raw and raw != b"\r")
        del self._ahead[:used]
        return filled


def _physical_lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, byte position, bytes without the line feed) of each line; a byte order mark belongs to none."""
    position = 0
    for number, line in enumerate(stream, start=1):
        start = position
        position += len(line)
        raw = line.removesuffix(b"\n")
        if number == 1 and raw.startswith(BYTE_ORDER_MARK):
            raw, start = raw[len(BYTE_ORDER_MARK) :], start + len(BYTE_ORDER_MARK)
        yield number, start, raw
