"""What a run would make of a source's newest file: its first rows are mapped and checked, and nothing is kept."""

from __future__ import annotations

import gzip
import itertools
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.archive import Format, StillBeingWrittenError, take
from retention_pipeline.ingest.hints import hints_of_rows
from retention_pipeline.ingest.landing import DeliveredFile, format_of
from retention_pipeline.ingest.outcomes import outcome_of
from retention_pipeline.ingest.records import BrokenRecordError, split_record
from retention_pipeline.ingest.schema import BROKEN, first_line, literal, quoted
from retention_pipeline.ingest.staging import create_stage, stage_file
from retention_pipeline.settings import FileSource, Settings

LINES, BYTES = 2_000, 4_000_000
SHOWN_ROWS, SHOWN_REASONS = 3, 3
DELIMITERS = (",", ";", "\t", "|")


@dataclass
class Preview:
    """The first rows of a file as a run would load them.

    `error`: why it would be refused as a whole; `reasons`: why rows are refused, and how many; `rows`: the first ones,
    by contract column; `unused`: columns of the file that no contract column takes.
    """

    file_name: str
    error: str | None = None
    good: int = 0
    bad: int = 0
    reasons: list[tuple[str, int]] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    allowed: float = 0.0

    @property
    def would_load(self) -> bool:
        return self.error is None and self.bad <= self.allowed * (self.good + self.bad)


def preview_file(settings: Settings, name: str, file: DeliveredFile) -> Preview:
    """Read the beginning of a file of the source `name`."""
    source = settings.read_source(name)
    assert isinstance(source, FileSource)
    contract = CONTRACTS[settings.dataset_of(name)]
    preview = Preview(file.name)
    rate = source.max_quarantine_rate
    preview.allowed = settings.max_quarantine_rate if rate is None else rate
    file_format = format_of(file.path, source)
    if file_format is None:
        preview.error = "the ending says no format (csv, csv.gz, parquet, jsonl); set format in the source's settings"
        return preview
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        create_stage(connection, contract)
        beginning: Path | None = None
        try:
            beginning = _beginning(connection, file.path, file_format, Path(folder))
            archived = take(beginning, file_format, Path(folder) / "copy", Path(folder) / "scratch", source.delimiter)
            staged = stage_file(
                connection,
                contract,
                source,
                archived,
                load_id=1,
                business_timezone=settings.business.timezone,
                max_quarantine_rate=1.0,
                scratch=Path(folder) / "scratch",
            )
        except (StillBeingWrittenError, FileNotFoundError):
            preview.error = "it is still being written, or has gone"
            return preview
        except BROKEN as error:
            preview.error = f"the file cannot be read: {first_line(error)}"
            return preview
        except Exception as error:
            preview.error = outcome_of(error)[1]
            if file_format == "csv" and beginning is not None:
                preview.hints = _hints_of_header(beginning, source.delimiter)
            return preview
        preview.good, preview.bad = staged.good, staged.bad
        reasons = Counter(row.reason for row in staged.bad_rows)
        preview.reasons = reasons.most_common(SHOWN_REASONS)
        preview.unused = [column.name for column in staged.mapping.extra]
        given = [column for column, found in staged.mapping.given.items() if found is not None]
        listed = ", ".join(f"cast({quoted(column)} as varchar)" for column in given)
        preview.rows = [
            {column: value for column, value in zip(given, row, strict=True) if value is not None}
            for row in connection.execute(
                f"select {listed} from stage where _error is null limit {SHOWN_ROWS}"
            ).fetchall()
        ]
        preview.hints = hints_of_rows(connection, contract, source, is_first=True)
    return preview


def _beginning(connection: duckdb.DuckDBPyConnection, path: Path, file_format: Format, folder: Path) -> Path:
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
    opened = gzip.open if path.suffix == ".gz" else open
    kept, size, is_open, whole = [], 0, False, 0
    with opened(path, "rb") as stream:  # type: ignore[operator]
        for line in itertools.islice(stream, LINES + 1):
            kept.append(line)
            size += len(line)
            is_open ^= bool(line.count(b'"') % 2)
            whole = whole if is_open else len(kept)
            if size > BYTES:
                break
        is_cut = bool(stream.read(1))
    beginning.write_bytes(b"".join(kept[:whole] if is_cut and whole else kept))
    return beginning


def _hints_of_header(path: Path, delimiter: str) -> list[str]:
    """Why the first line of a CSV file may be no header of the kind that the settings expect."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()[:10]
    widths = {other: [_width(line, other) for line in lines] for other in DELIMITERS}
    hints: list[str] = []
    if not lines:
        return hints
    better = max(DELIMITERS, key=lambda other: widths[other][0])
    if better != delimiter and widths[better][0] > 2 * _width(lines[0], delimiter):
        hints.append(f"the delimiter looks like {better!r} (setting delimiter)")
        values = lines[1].split(better) if len(lines) > 1 else []
        if any(value.strip('" ').replace("-", "").replace(",", "", 1).isdigit() and "," in value for value in values):
            hints.append("numbers look as if they had a decimal comma (decimal: ',')")
    elif len(lines) > 1:
        filled = [sum(bool(value) for value in line.split(delimiter)) for line in lines]
        header = filled.index(max(filled))
        if header > 0 and filled[0] < filled[header]:
            hints.append(f"line {header + 1} looks like the header: what stands before it has to go")
    return hints


def _width(line: str, delimiter: str) -> int:
    try:
        return len(split_record(line, delimiter))
    except BrokenRecordError:
        return 0
