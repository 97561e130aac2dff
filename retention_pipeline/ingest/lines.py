"""The physical lines of a file: counted while it is copied, and found again when a bad row needs its line and bytes.

The counts decide how a file is read and are one side of the accounting: every line that is not blank must end up as a
loaded row, a refused row or the header. Work is done on whole blocks with numpy, never line by line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

NEWLINE, CARRIAGE_RETURN, QUOTE = 10, 13, 34
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLOCK = 8 * 1024 * 1024


@dataclass
class LineCounts:
    """What the blocks of a file add up to; feed them in order, then call `finish`.

    `stray_quotes`: quotes that would open a value and stand within one (`pa"id"`); counted where a `delimiter` is
    given, and right where no line has an open quote.
    """

    lines: int = 0
    blank: int = 0
    quotes: int = 0
    nul_bytes: int = 0
    carriage_returns: int = 0
    crlf_lines: int = 0
    lines_with_open_quote: int = 0
    stray_quotes: int = 0
    delimiter: str | None = None
    is_open: bool = False  # the last line has no line feed
    head: bytes = b""
    size: int = 0
    _last: int = field(default=NEWLINE, repr=False)  # byte of the block before
    _line: tuple[int, int, int] = field(default=(0, 0, 0), repr=False)  # length, quotes, last byte of the open line

    def feed(self, block: bytes | bytearray) -> None:
        if not block:
            return
        if len(self.head) < 4096:
            self.head += block[:4096]
        self.size += len(block)
        self.nul_bytes += block.count(b"\0") if b"\0" in block else 0  # looking is eight times as fast as counting
        self.carriage_returns += block.count(b"\r") if b"\r" in block else 0
        has_quotes = b'"' in block
        data = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == NEWLINE)
        quotes_at = np.flatnonzero(data == QUOTE) if has_quotes else np.empty(0, dtype=np.int64)
        length, quotes, last = self._line
        if len(quotes_at) and self.delimiter is not None:
            self.stray_quotes += self._stray(data, quotes_at, self._last)
        self.quotes += len(quotes_at)
        self._last = int(data[-1])
        if len(ends) == 0:
            self._line = (length + len(data), quotes + len(quotes_at), int(data[-1]))
            return
        lengths = np.diff(ends, prepend=-1) - 1
        lengths[0] += length
        before = data[ends - 1]  # ends[0] may be 0: the byte before is the last of the block before
        if ends[0] == 0:
            before[0] = last if length else 0
        ends_in_return = (before == CARRIAGE_RETURN) & (lengths > 0)
        self.crlf_lines += int(ends_in_return.sum())
        self.blank += int(((lengths == 0) | ((lengths == 1) & ends_in_return)).sum())
        self.lines += len(ends)
        if has_quotes or quotes:
            up_to = np.searchsorted(quotes_at, ends)
            per_line = np.diff(up_to, prepend=0)
            per_line[0] += quotes
            self.lines_with_open_quote += int((per_line % 2).sum())
            quotes = len(quotes_at) - int(up_to[-1])
        rest = len(data) - int(ends[-1]) - 1
        self._line = (rest, quotes, int(data[-1]) if rest else 0)

    def _stray(self, data: np.ndarray, quotes_at: np.ndarray, last: int) -> int:
        """Every second quote opens a value, or is the second of a pair within one: what may stand before it."""
        opening = quotes_at[self.quotes % 2 :: 2]
        before = data[opening - 1]  # opening[0] may be 0
        if len(opening) and opening[0] == 0:
            before[0] = last
        allowed = (before == QUOTE) | (before == NEWLINE) | (before == (self.delimiter or ",").encode()[-1])
        strays = int((~allowed).sum())
        is_mark = self.size == len(data) and strays and bytes(data[:4]) == BYTE_ORDER_MARK + b'"'
        return strays - 1 if is_mark else strays

    def finish(self) -> None:
        """Count what follows the last newline as a line."""
        length, quotes, last = self._line
        if length:
            self.lines += 1
            self.is_open = True
            self.blank += int(length == 1 and last == CARRIAGE_RETURN)
            self.lines_with_open_quote += quotes % 2
        self._line = (0, 0, 0)

    @property
    def is_mixed(self) -> bool:
        """Whether some lines end in CR LF and others do not, or a CR stands within a line."""
        return self.carriage_returns > 0 and (
            self.carriage_returns != self.crlf_lines or self.crlf_lines < self.lines - self.is_open
        )


@dataclass(frozen=True)
class LineIndex:
    """Where the lines of a file that are not blank lie: `starts` and `ends` in bytes, `numbers` from 1."""

    starts: np.ndarray
    ends: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, path: Path) -> LineIndex:
        size = path.stat().st_size
        if size == 0:
            empty = np.empty(0, dtype=np.int64)
            return cls(empty, empty, empty)
        data = np.memmap(path, dtype=np.uint8, mode="r")
        found = [np.flatnonzero(data[offset : offset + BLOCK] == NEWLINE) + offset for offset in range(0, size, BLOCK)]
        ends = np.concatenate(found)
        if len(ends) == 0 or ends[-1] != size - 1:
            ends = np.append(ends, size)
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts
        filled = (lengths > 1) | ((lengths == 1) & (data[starts.clip(max=size - 1)] != CARRIAGE_RETURN))
        return cls(starts[filled], ends[filled], np.flatnonzero(filled) + 1)

    def number_at(self, byte_positions: np.ndarray) -> np.ndarray:
        """The index (from 0) of the line that holds each byte position (from 0), or else of the next one.

        Where DuckDB says that a line begins may be one byte before it (the LF of CR LF), or a blank line before it.
        """
        return np.searchsorted(self.ends, byte_positions, side="right")
