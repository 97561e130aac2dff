"""Delivered files on their way through the door (door.py): each kind of file is read, its rows are put through, and it
is written anew where they changed.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

from retention_pipeline.formatting import CsvLines
from retention_pipeline.ingest.archive import ArchivedFile, Format, StillBeingWrittenError, UnusableFileError, take
from retention_pipeline.ingest.door import Door
from retention_pipeline.ingest.json_arrays import json_lines
from retention_pipeline.settings import FileSource, Source

LONGEST_RECORD = 200  # lines; a longer one has a quote that is never closed


def through(door: Door, path: Path, file_format: Format, source: Source, folder: Path) -> Path:
    """The file as it comes through: `path` itself where nothing of it changes, else a file in `folder`.

    Raises UnusableFileError for one that cannot be read, StillBeingWrittenError if it changed meanwhile.
    """
    if not door.is_shut:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / path.name
    before = os.stat(path)
    try:
        if file_format == "parquet":
            changed = _parquet(door, path, made)
        elif file_format == "xlsx":
            changed = _workbook(door, path, made, source)
        else:
            changed = _text(door, path, made, file_format, source)
    except (UnicodeError, EOFError, gzip.BadGzipFile) as error:
        raise UnusableFileError(f"privacy: the file cannot be read: {error}") from None
    after = os.stat(path)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        made.unlink(missing_ok=True)
        raise StillBeingWrittenError(path)
    if not changed:
        made.unlink(missing_ok=True)
        return path
    return made


def take_through(
    door: Door, path: Path, file_format: Format, source: Source, folder: Path, scratch: Path
) -> ArchivedFile:
    """Archive a delivered file in `folder` as it comes through the door; what is made on the way is removed.

    Raises UnusableFileError, StillBeingWrittenError.
    """
    come = through(door, path, file_format, source, scratch / "through")
    try:
        delimiter = source.delimiter if isinstance(source, FileSource) else ","
        return take(come, file_format, folder, scratch, delimiter)
    finally:
        if come != path:
            come.unlink(missing_ok=True)


def pulled_through(door: Door, pulled: ArchivedFile, source: Source, folder: Path, scratch: Path) -> ArchivedFile:
    """The rows of a pull as they come through the door, in `folder`; the file as it was pulled is removed."""
    if not door.is_shut:
        return pulled
    taken = take_through(door, pulled.path, "csv", source, folder, scratch)
    if taken.path != pulled.path:
        pulled.path.unlink(missing_ok=True)
    types = {name: kind for name, kind in pulled.types.items() if name not in door.dropped | door.hashed}
    return replace(taken, records=pulled.records, types=types)


@contextlib.contextmanager
def _opened(path: Path, mode: str, encoding: str) -> Iterator[IO[str]]:
    """A text file, unpacked where its name says that it is packed; packed anew without a time, for equal bytes."""
    errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"
    with contextlib.ExitStack() as held:
        binary: IO[bytes] = held.enter_context(path.open(f"{mode}b"))
        if path.suffix == ".gz":
            packed = gzip.GzipFile("", f"{mode}b", fileobj=binary, mtime=0)
            held.callback(packed.close)
            binary = cast(IO[bytes], packed)
        text = io.TextIOWrapper(binary, encoding, errors, newline="")
        yield text
        text.flush()
        text.detach()


def _text(door: Door, path: Path, made: Path, file_format: Format, source: Source) -> bool:
    """Rewrite a text file line by line; whether anything changed."""
    encoding = "utf-8"
    if isinstance(source, FileSource) and source.encoding != "utf-8":
        encoding = {"windows-1252": "cp1252", "latin-1": "latin-1", "utf-16": "utf-16"}[source.encoding]
    changed = False
    with _opened(path, "r", encoding) as reading, _opened(made, "w", encoding) as writing:
        rewritten = _csv_lines(door, reading, source) if file_format == "csv" else _json_lines(door, reading)
        for before, after in rewritten:
            changed = changed or before != after
            writing.write(after)
    return changed


def _csv_lines(door: Door, stream: IO[str], source: Source) -> Iterator[tuple[str, str]]:
    """(a record as it stood, as it comes through)."""
    delimiter = source.separator if isinstance(source, FileSource) else ","
    skipped = source.skip_lines if isinstance(source, FileSource) else 0
    names: list[str] | None = None
    if isinstance(source, FileSource) and source.columns_in_order is not None:
        names = list(source.columns_in_order)
    is_spaced = isinstance(source, FileSource) and source.delimiter == "whitespace"
    is_unquoted = isinstance(source, FileSource) and source.quotes == "none"
    for number, record in enumerate(stream if is_unquoted else _records(stream)):
        body = record.rstrip("\r\n")
        end = record[len(body) :]
        if number < skipped or not body:
            yield record, door.line(record) if body else record
            continue
        try:
            if is_spaced or is_unquoted:
                values = body.split(None if is_spaced else delimiter)
            else:
                values = next(csv.reader(io.StringIO(body, newline=""), delimiter=delimiter))
        except (csv.Error, StopIteration):
            yield record, door.line(record)
            continue
        if names is None:
            names = [value.strip().removeprefix("\ufeff") for value in values]
            come: list[Any] = values
        elif len(values) != len(names):
            yield record, door.line(record)
            continue
        else:
            come = door.row(names, values)
        left = [value for name, value in zip(names, come, strict=True) if name not in door.dropped]
        if left == values:
            yield record, record
        elif is_spaced:
            yield record, " ".join(value or "-" for value in left) + end
        elif is_unquoted:
            yield record, delimiter.join(left) + end
        else:
            written: list[str] = []
            csv.writer(CsvLines(written.append), delimiter=delimiter).writerow(left)
            yield record, "".join(written) + end


def _records(stream: IO[str]) -> Iterator[str]:
    """Records of CSV: lines, several where a quoted value goes over them."""
    held: list[str] = []
    quotes = 0
    for line in stream:
        held.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            yield "".join(held)
            held, quotes = [], 0
        elif len(held) > LONGEST_RECORD:
            yield from held
            held, quotes = [], 0
    yield from held


def _json_lines(door: Door, stream: IO[str]) -> Iterator[tuple[str, str]]:
    """Lines before and after; of an array, its elements as lines."""
    for line in json_lines(stream):
        body = line.strip()
        try:
            value = json.loads(body) if body else None
        except ValueError:
            value = None
        if not isinstance(value, dict):
            yield line, door.line(line) if body else line
            continue
        come = _object(door, value)
        if come == value:
            yield line, line
        else:
            yield line, json.dumps(come, ensure_ascii=False) + line[len(line.rstrip("\r\n")) :]


def _object(door: Door, value: dict[str, Any]) -> dict[str, Any]:
    """An object of JSON: its values as columns, those of inner objects as `outer.inner`."""
    flat: list[tuple[tuple[Any, ...], Any]] = []

    def walk(path: tuple[Any, ...], inner: Any) -> None:
        if isinstance(inner, dict):
            for name, one in inner.items():
                walk((*path, name), one)
        elif isinstance(inner, list):
            for index, one in enumerate(inner):
                walk((*path, index), one)
        else:
            flat.append((path, inner))

    walk((), value)
    names = [".".join(str(part) for part in path if isinstance(part, str)) for path, _ in flat]
    tops = {str(path[0]) for path, _ in flat}
    inner_dropped = {name for name in names if any(name == one or name.startswith(f"{one}.") for one in door.dropped)}
    widened = Door(**{**vars(door), "dropped": door.dropped | inner_dropped, "emails": door.emails})
    if door.kept is not None:
        widened.kept = door.kept | {name for name in names if name.split(".")[0] in door.kept and "." in name}
    come = widened.row(names, [one for _, one in flat], None)
    made: dict[str, Any] = json.loads(json.dumps(value))
    for (path, before), after in zip(flat, come, strict=True):
        if before == after:
            continue
        holder: Any = made
        for part in path[:-1]:
            holder = holder[part]
        holder[path[-1]] = after
    for name in tops & door.dropped:
        made.pop(name, None)
    return made


def _parquet(door: Door, path: Path, made: Path) -> bool:
    """Rewrite a Parquet file, row group by row group; whether anything changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UnusableFileError(f"not a complete Parquet file: {str(error).splitlines()[0]}") from None
    names = list(file.schema_arrow.names)
    left = [name for name in names if name not in door.dropped]
    schema = pa.schema(
        [
            pa.field(
                one.name, pa.string() if _may_hold(door, one.name) and not pa.types.is_nested(one.type) else one.type
            )
            for one in file.schema_arrow
            if one.name in left
        ]
    )
    changed = left != names
    with pq.ParquetWriter(made, schema, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            texts = {
                name: [None if one is None else str(one) for one in table.column(name).to_pylist()]
                for name in names
                if _may_hold(door, name) or pa.types.is_string(table.column(name).type)
            }
            come = [door.row(list(texts), list(one), None) for one in zip(*texts.values(), strict=True)]
            columns = {}
            for name in left:
                if name not in texts:
                    columns[name] = table.column(name)
                    continue
                place = list(texts).index(name)
                values = [row[place] for row in come]
                if values == texts[name] and schema.field(name).type == table.column(name).type:
                    columns[name] = table.column(name)
                else:
                    changed = changed or values != texts[name]
                    columns[name] = pa.array(values, pa.string()).cast(schema.field(name).type)
            writer.write_table(pa.table(columns, schema=schema))
    return changed


def _may_hold(door: Door, name: str) -> bool:
    return name in door.hashed or (bool(door.forgotten) and door.columns is not None and name in door.columns)


def _workbook(door: Door, path: Path, made: Path, source: Source) -> bool:
    """Rewrite the sheets of a workbook; whether anything changed."""
    from openpyxl import load_workbook

    try:
        workbook = load_workbook(path)
    except Exception as error:  # whatever it is: it is not a workbook
        raise UnusableFileError(f"not a complete .xlsx workbook: {error}") from None
    skipped = source.skip_lines if isinstance(source, FileSource) else 0
    changed = False
    for sheet in workbook.worksheets:
        names: list[str] | None = None
        gone: list[int] = []
        for cells in list(sheet.iter_rows())[skipped:]:
            if names is None:
                names = [str(cell.value or "").strip() for cell in cells]
                gone = [number for number, name in enumerate(names, start=1) if name in door.dropped]
                continue
            values = [cell.value for cell in cells]
            come = door.row(names[: len(values)], values, None)
            for cell, before, after in zip(cells, values, come, strict=True):
                if before != after:
                    cell.value, changed = after, True
        for number in reversed(gone):
            sheet.delete_cols(number)
            changed = True
    if changed:
        workbook.save(made)
        _without_times(made)
    return changed


def _without_times(path: Path) -> None:
    """Write a workbook's parts without the time of writing, for equal bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = [(name, archive.read(name)) for name in sorted(archive.namelist())]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            if name == "docProps/core.xml":
                content = re.sub(
                    rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*<", rb"\g<1>2000-01-01T00:00:00Z<", content
                )
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
