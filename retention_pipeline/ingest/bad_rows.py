"""Refused rows as the quarantine has them: the line of the file where each stands, its position and its bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import BinaryIO

import duckdb
import numpy as np

from retention_pipeline.ingest.archive import ArchivedFile
from retention_pipeline.ingest.lines import LineIndex
from retention_pipeline.ingest.schema import literal, quoted
from retention_pipeline.ingest.slow_path import Rejected, SlowReading


@dataclass
class BadRow:
    """A row that goes to quarantine; `line` None where rows have no number, `byte_position` from 0, None where the
    format has none; `key` as one text, None where it cannot be told.
    """

    line: int | None
    byte_position: int | None
    reason: str
    raw: bytes
    key: str | None = None


Wrong = tuple[str, str | None]  # why a row that was read is refused, and its key


def bad_lines(
    file: ArchivedFile,
    positions: np.ndarray,
    wrong: list[Wrong],
    rejected_at: np.ndarray,
    rejected_for: list[str],
) -> list[BadRow]:
    """Of a text file whose records are lines: rows that were read, by their positions among those, and lines that were
    not, by their byte positions."""
    index = LineIndex.of(file.plain)
    rejected = index.number_at(rejected_at)
    header = 1 if file.format == "csv" else 0
    is_record = np.ones(len(index.starts), dtype=bool)
    is_record[:header] = False
    is_record[rejected] = False
    records = np.flatnonzero(is_record)
    found = [(int(records[position]), *why) for position, why in zip(positions, wrong, strict=True)]
    found += [(int(line), reason, None) for line, reason in zip(rejected, rejected_for, strict=True)]
    with file.plain.open("rb") as stream:
        return [
            BadRow(
                int(index.numbers[line]),
                int(index.starts[line]),
                reason,
                _bytes(stream, int(index.starts[line]), int(index.ends[line])),
                key,
            )
            for line, reason, key in sorted(found, key=lambda one: one[0])
        ]


def bad_slow_rows(file: ArchivedFile, slow: SlowReading, positions: np.ndarray, wrong: list[Wrong]) -> list[BadRow]:
    """Of a text file that was read line by line."""
    with file.plain.open("rb") as stream:
        rows = [
            BadRow(
                int(slow.lines[position]),
                int(slow.starts[position]),
                reason,
                _bytes(stream, int(slow.starts[position]), int(slow.ends[position])),
                key,
            )
            for position, (reason, key) in zip(positions, wrong, strict=True)
        ]
    rows += [_from_rejected(rejected) for rejected in slow.rejected]
    return sorted(rows, key=lambda row: row.line or 0)


def bad_parquet_rows(
    connection: duckdb.DuckDBPyConnection, file: ArchivedFile, positions: np.ndarray, wrong: list[Wrong]
) -> list[BadRow]:
    """Of a Parquet file, by their positions; their bytes are the row as JSON."""
    if len(positions) == 0:
        return []
    path = literal(str(file.plain))
    names = {name.lower() for name, *_ in connection.execute(f"describe select * from read_parquet({path})").fetchall()}
    number = next(name for name in (f"row {index}" for index in range(len(names) + 1)) if name not in names)
    numbered = f"read_parquet({path}, file_row_number=true)"
    if "file_row_number" in names:
        numbered = f"(select *, row_number() over () - 1 as {quoted(number)} from read_parquet({path}))"
    else:
        number = "file_row_number"
    texts = dict(
        connection.execute(
            f"""
            select {quoted(number)}, cast(to_json(file_row) as varchar)
            from {numbered} as file_row
            where {quoted(number)} in (select unnest($1))
            """,
            [positions.tolist()],
        ).fetchall()
    )
    return [
        BadRow(
            _line_of(texts.get(int(position)), int(position) + 1),
            None,
            reason,
            texts.get(int(position), "").encode(),
            key,
        )
        for position, (reason, key) in zip(positions, wrong, strict=True)
    ]


def _line_of(row: str | None, position: int) -> int:
    """The line that the row of a query says it comes from (`_line`), else its number."""
    line = json.loads(row).get("_line") if row else None
    return line if isinstance(line, int) else position


def _from_rejected(rejected: Rejected) -> BadRow:
    return BadRow(rejected.line, rejected.byte_position, rejected.reason, rejected.raw)


def _bytes(stream: BinaryIO, start: int, end: int) -> bytes:
    stream.seek(start)
    return stream.read(end - start).removesuffix(b"\r")
