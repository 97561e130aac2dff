"""The beginning of a delivered file, or of all files that a query joins, as files of their own: what `check` reads."""

from __future__ import annotations

import codecs
import gzip
import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path

import duckdb

from retention_pipeline import formatting
from retention_pipeline.ingest.archive import ArchivedFile, Format, take
from retention_pipeline.ingest.door import Door
from retention_pipeline.ingest.joined import MissingInput, Parts, format_of_part, written
from retention_pipeline.ingest.json_arrays import HEAD, begins_array, elements
from retention_pipeline.ingest.landing import DeliveredFile, at_hand, delivered_files
from retention_pipeline.ingest.schema import literal
from retention_pipeline.ingest.through_the_door import take_through
from retention_pipeline.settings import FileSource, Home

LINES, BYTES = 2_000, 4_000_000
WHOLE_INPUTS_BYTES, FILES = 64_000_000, 20  # what is joined is read whole up to this, of the others so many files


def joined_beginnings(
    connection: duckdb.DuckDBPyConnection, home: Home, source: FileSource, folder: Path, door: Door
) -> tuple[ArchivedFile, list[str]]:
    """(what a query joins as one delivery: the beginnings of the files of `path`, and the further files whole where
    they are not large, all as they come through the door; what was cut of these, told).

    Raises MissingInput, UnusableFileError, StillBeingWrittenError, CloudError.
    """
    parts: Parts = {}
    told = []
    kept = folder / "copy"
    for relation, paths in {"rows": source.paths, **source.input_paths}.items():
        files = delivered_files(home, source.model_copy(update={"path": paths}), with_waiting=True)
        if not files:
            raise MissingInput(f"no file at {', '.join(paths)}")
        files = files[-1:] if source.delivery == "whole" else files[-FILES:]
        is_cut = relation == "rows" or sum(file.size for file in files) > WHOLE_INPUTS_BYTES
        if is_cut and relation != "rows":
            told.append(
                f"of {relation} the first {LINES:,} rows of"
                f" {formatting.counted(len(files), 'file')} were joined: a run joins all"
            )
        parts[relation] = [
            _part(connection, file, source, folder / f"{relation} {number}", kept, is_cut, door)
            for number, file in enumerate(files)
        ]
    delivery = written(parts, kept)
    return take(delivery, "jsonl", kept, folder / "scratch", source.delimiter), told


def _part(
    connection: duckdb.DuckDBPyConnection,
    file: DeliveredFile,
    source: FileSource,
    folder: Path,
    kept: Path,
    is_cut: bool,
    door: Door,
) -> str:
    """The name of a file, or of its beginning, among what is kept."""
    if file.problem is not None:
        raise MissingInput(f"{file.name}: {file.problem}")
    folder.mkdir()
    file_format = format_of_part(file.path, source)
    with at_hand(file, folder / "fetched") as here:
        path = beginning_of(connection, here.path, file_format, folder, source) if is_cut else here.path
        return take_through(door, path, file_format, source, kept, folder / "scratch").path.name


def beginning_of(
    connection: duckdb.DuckDBPyConnection, path: Path, file_format: Format, folder: Path, source: FileSource
) -> Path:
    """The first rows of a file as a file of its own."""
    if file_format == "parquet":
        beginning = folder / "beginning.parquet"
        try:
            first = f"from read_parquet({literal(str(path))}) limit {LINES}"
            connection.execute(f"copy ({first}) to {literal(str(beginning))} (format parquet)")
        except duckdb.Error:
            shutil.copy(path, beginning)  # staging says what is wrong with it
        return beginning
    beginning = folder / f"beginning.{file_format}"
    if file_format == "xlsx" or source.encoding == "utf-16":  # cannot be cut between two bytes
        shutil.copy(path, beginning)
        return beginning
    opened = gzip.open if path.suffix == ".gz" else open
    kept, size, is_open, whole = [], 0, False, 0
    with opened(path, "rb") as stream:
        lines: Iterable[bytes] = stream
        if file_format == "jsonl" and begins_array(stream.read(HEAD)):
            text = codecs.getreader("utf-8")(stream, "surrogateescape")
            lines = (f"{element}\n".encode("utf-8", "surrogateescape") for element in elements(text))
        stream.seek(0)
        for line in itertools.islice(lines, LINES + 1):
            kept.append(line)
            size += len(line)
            is_open ^= source.quotes == "double" and bool(line.count(b'"') % 2)
            whole = whole if is_open else len(kept)
            if size > BYTES:
                break
        is_cut = bool(stream.read(1))
    beginning.write_bytes(b"".join(kept[:whole] if is_cut and whole else kept))
    return beginning
