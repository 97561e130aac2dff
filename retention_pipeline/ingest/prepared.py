"""A file made readable before it is read: text in another encoding, lines around the header, no header at all, blanks
between values, quotes that say nothing, sheets of a workbook, a JSON array. What comes of it is CSV (or JSON lines) in
UTF-8 with a header, in scratch; the archive keeps the bytes that were delivered.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from retention_pipeline.ingest.archive import ArchivedFile, UnusableFileError
from retention_pipeline.ingest.json_arrays import is_array, json_lines
from retention_pipeline.ingest.lines import BLOCK, LineCounts
from retention_pipeline.ingest.records import BrokenRecordError, split_record
from retention_pipeline.ingest.workbook import rows_of_sheet
from retention_pipeline.settings import FileSource, Source

CODECS = {"utf-8": "utf-8", "windows-1252": "cp1252", "latin-1": "latin-1"}
MAX_LINES_OF_A_RECORD = 200


def needs_preparing(file: ArchivedFile, source: Source) -> bool:
    if not isinstance(source, FileSource) or file.format == "parquet" or file.is_prepared:
        return False
    if source.inputs and file.path.suffix == ".inputs":
        return False
    if file.format == "jsonl" and source.encoding == "utf-8":
        return is_array(file.plain)
    return file.format == "xlsx" or source.encoding != "utf-8" or _changes_lines(source)


def prepared(file: ArchivedFile, source: FileSource, scratch: Path, load_id: int | str) -> ArchivedFile:
    """The file as it can be read. Raises UnusableFileError where it is not what the settings say."""
    result = scratch / f"prepared {load_id}"
    offset = 0
    try:
        lines = _lines(file, source)
        if file.format != "jsonl":
            lines, offset = _with_header(lines, source)
        with result.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.writelines(lines)
    except UnicodeError as error:
        raise UnusableFileError(f"the file is not {source.encoding} text: {error}") from None
    is_csv = file.format != "jsonl"
    counts = LineCounts(delimiter=source.separator if is_csv else None)
    with result.open("rb") as written:
        while block := written.read(BLOCK):
            counts.feed(block)
    counts.finish()
    return replace(
        file, plain=result, counts=counts, format="csv" if is_csv else "jsonl", line_offset=offset, is_prepared=True
    )


def fitting_encoding(raw: bytes) -> str:
    """An encoding in which bytes that are not UTF-8 are text."""
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "windows-1252"


def _changes_lines(source: FileSource) -> bool:
    return bool(
        source.skip_lines
        or source.skip_after_header
        or source.columns_in_order
        or source.delimiter == "whitespace"
        or source.quotes == "none"
    )


def _lines(file: ArchivedFile, source: FileSource) -> Iterator[str]:
    """The lines of a file with their ends, without a byte order mark."""
    if file.format == "xlsx":
        yield from rows_of_sheet(file.plain, source.sheet, source.separator)
        return
    errors = "surrogateescape" if source.encoding == "utf-8" else "strict"
    with file.plain.open(encoding=_codec(file.plain, source), errors=errors, newline="\n") as stream:
        for number, line in enumerate(json_lines(stream) if file.format == "jsonl" else stream):
            yield line.removeprefix("\ufeff") if number == 0 else line


def _codec(path: Path, source: FileSource) -> str:
    """Python's name of the encoding; of UTF-16 without a byte order mark, the order that Latin letters show."""
    if source.encoding != "utf-16":
        return CODECS[source.encoding]
    with path.open("rb") as stream:
        head = stream.read(2)
    if head in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    return "utf-16-be" if head[:1] == b"\0" else "utf-16-le"


def _with_header(lines: Iterator[str], source: FileSource) -> tuple[Iterator[str], int]:
    """The lines from the header on, and by how much the numbers of the lines behind it are greater in the file."""
    skipped = sum(1 for _, _ in zip(range(source.skip_lines), lines, strict=False))
    if source.delimiter == "whitespace":
        lines = ("\t".join(line.split()) + "\n" for line in lines)
    if source.quotes == "none":
        lines = (_with_quotes(line, source.separator) for line in lines)
    if source.columns_in_order:
        written = io.StringIO()
        csv.writer(written, delimiter=source.separator, lineterminator="\n").writerow(source.columns_in_order)
        first = next(lines, "")
        end = "\r\n" if first.endswith("\r\n") else "\n"
        return _chained([written.getvalue().removesuffix("\n") + end, first], lines), skipped - 1
    header = _record(lines, source.separator)
    for _ in range(source.skip_after_header):
        skipped += len(_record(lines, source.separator))
    return _chained(header, lines), skipped


def _with_quotes(line: str, separator: str) -> str:
    """A line in which a quote is a sign as any other, as CSV says it."""
    if '"' not in line:
        return line
    body = line.rstrip("\r\n")
    values = ['"' + value.replace('"', '""') + '"' if '"' in value else value for value in body.split(separator)]
    return separator.join(values) + line[len(body) :]


def _record(lines: Iterator[str], delimiter: str) -> list[str]:
    """The lines of the next record; of what is none, the next line."""
    taken: list[str] = []
    for line in lines:
        taken.append(line)
        try:
            split_record("".join(taken).rstrip("\r\n"), delimiter)
        except BrokenRecordError as error:
            if error.open_quote and len(taken) < MAX_LINES_OF_A_RECORD:
                continue
        break
    return taken


def _chained(first: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from rest
