"""What a run would make of a source: the first rows of its newest file, or of its table, are mapped and checked, and
nothing is kept. They pass the door first, so that what the settings hide is not shown either.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.contracts import CONTRACTS, Contract
from retention_pipeline.ingest import advice
from retention_pipeline.ingest.archive import ArchivedFile, Keeper, StillBeingWrittenError
from retention_pipeline.ingest.beginnings import LINES, beginning_of, joined_beginnings
from retention_pipeline.ingest.cloud import CloudError
from retention_pipeline.ingest.databases import open_pull
from retention_pipeline.ingest.door import door_of
from retention_pipeline.ingest.file_query import make_functions_of_expressions
from retention_pipeline.ingest.hints import hints_before_loading, hints_of_rows
from retention_pipeline.ingest.joined import MissingInput
from retention_pipeline.ingest.landing import NO_FORMAT, DeliveredFile, at_hand, format_of
from retention_pipeline.ingest.mapping import Mapping, NotMappedError, named_in
from retention_pipeline.ingest.outcomes import outcome_of
from retention_pipeline.ingest.prepared import needs_preparing, prepared
from retention_pipeline.ingest.pulls import SourceError
from retention_pipeline.ingest.readers import read_header, read_json_lines, read_parquet
from retention_pipeline.ingest.schema import BROKEN, first_line, quoted
from retention_pipeline.ingest.staging import create_stage, stage_file
from retention_pipeline.ingest.through_the_door import pulled_through, take_through
from retention_pipeline.ingest.versions import refuse_conflicts
from retention_pipeline.settings import (
    Constant,
    DatabaseSource,
    FileSource,
    Home,
    Settings,
    SettingsError,
    Source,
)
from retention_pipeline.warehouse import connect

SHOWN_ROWS, SHOWN_REASONS = 3, 3
LONGEST_PULL = timedelta(minutes=5)


@dataclass
class Preview:
    """The first rows of a file, a table or a query as a run would load them.

    `error`: why it would be refused as a whole; `reasons`: why rows are refused, one example of each kind and how many
    there are; `rows`: the first good ones, by contract column. `columns`: where each contract column comes from, None
    where it is not given; `missing`: those that have to be there and are not. `there`: the columns of the file or the
    query; `unused`: those of them that no contract column takes. `template`: whose export has these columns.
    """

    file_name: str
    error: str | None = None
    good: int = 0
    bad: int = 0
    reasons: list[tuple[str, int]] = field(default_factory=list)
    further_reasons: int = 0
    rows: list[dict[str, str]] = field(default_factory=list)
    columns: dict[str, str | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    template: str | None = None
    hints: list[str] = field(default_factory=list)
    allowed: float = 0.0

    @property
    def would_load(self) -> bool:
        return self.error is None and self.bad <= self.allowed * (self.good + self.bad)

    def as_json(self) -> dict[str, Any]:
        """All of it, for `retention check --json`."""
        reasons = [{"example": example, "rows": number} for example, number in self.reasons]
        return asdict(self) | {"reasons": reasons, "would_load": self.would_load}


def preview_file(settings: Settings, name: str, file: DeliveredFile, home: Home) -> Preview:
    """Read the beginning of a file of the source `name`."""
    source = settings.read_source(name)
    assert isinstance(source, FileSource)
    preview = _new(settings, name, file.name)
    file_format = format_of(file.path, source)
    if file_format is None:
        preview.error = f"{NO_FORMAT}; set format in the source's settings"
        return preview
    with _stage(settings, name) as (connection, folder):
        beginning: Path | None = None
        try:
            with at_hand(file, folder / "fetched") as here:
                beginning = beginning_of(connection, here.path, file_format, folder, source)
            door = door_of(home, settings, name)
            archived = take_through(door, beginning, file_format, source, folder / "copy", folder / "scratch")
            if needs_preparing(archived, source):
                archived = prepared(archived, source, folder / "scratch", 0)
            delivered = _columns_of(connection, archived, source)
            preview.template = advice.template_of(delivered)
            _look(preview, connection, settings, name, source, archived, folder)
        except (StillBeingWrittenError, FileNotFoundError):
            preview.error = "it is still being written, or has gone"
        except CloudError as error:
            preview.error = f"it cannot be fetched: {error}"
        except SettingsError as error:
            preview.error = str(error)
        except BROKEN as error:
            preview.error = f"the file cannot be read: {first_line(error)}"
        except Exception as error:
            _refused(preview, error, advises_names=not source.has_query)
            if file_format == "csv" and beginning is not None:
                is_plain = source.skip_lines == 0 and len(source.delimiter) == 1
                of_header = advice.of_header(beginning, source.delimiter) if is_plain else []
                preview.hints = of_header or preview.hints
        is_utf_8 = file_format in ("csv", "jsonl") and source.encoding == "utf-8"
        said = any("(encoding: " in reason for reason, _ in preview.reasons)
        if beginning is not None and is_utf_8 and not said and (preview.bad or not preview.would_load):
            preview.hints = advice.of_bytes(beginning) + preview.hints
    if preview.template and not source.has_query:
        preview.hints.append(advice.of_template(preview.template))
    return preview


def preview_joined(settings: Settings, name: str, home: Home) -> Preview:
    """Read the beginning of each file that the query of the source `name` joins."""
    source = settings.read_source(name)
    assert isinstance(source, FileSource)
    preview = _new(settings, name, f"{', '.join(source.paths)} with {', '.join(source.inputs)}")
    with _stage(settings, name) as (connection, folder):
        try:
            archived, cut = joined_beginnings(connection, home, source, folder, door_of(home, settings, name))
            _look(preview, connection, settings, name, source, archived, folder)
            preview.hints += cut
        except (StillBeingWrittenError, FileNotFoundError):
            preview.error = "a file is still being written, or has gone"
        except CloudError as error:
            preview.error = f"a file cannot be fetched: {error}"
        except (MissingInput, SettingsError) as error:
            preview.error = str(error)
        except BROKEN as error:
            preview.error = f"a file cannot be read: {first_line(error)}"
        except Exception as error:
            _refused(preview, error, advises_names=False)
    return preview


def preview_pull(settings: Settings, name: str, home: Home) -> Preview:
    """Read the first rows that the database of the source `name` gives."""
    source = settings.read_source(name)
    assert isinstance(source, DatabaseSource)
    source = source.model_copy(update={"max_read_time": min(source.max_read_time, LONGEST_PULL)})
    preview = _new(settings, name, source.table or "the query")
    with _stage(settings, name) as (connection, folder):
        try:
            with open_pull(source, home) as pull:
                preview.there = pull.columns()
                pulled = pull.copy_rows(None, Keeper(folder / "pulled", folder / "scratch", ".csv", "csv"), limit=LINES)
            archived = pulled_through(
                door_of(home, settings, name), pulled, source, folder / "copy", folder / "scratch"
            )
            preview.template = advice.template_of(preview.there) if source.query is None else None
            _look(preview, connection, settings, name, source, archived, folder)
        except (SourceError, SettingsError) as error:
            preview.error = str(error)
        except Exception as error:
            _refused(preview, error, advises_names=True)
    if preview.template:
        preview.hints.append(advice.of_template(preview.template))
    return preview


def preview_rows(settings: Settings, name: str, home: Home, place: str, write: Callable[[Path], None]) -> Preview:
    """Look at rows that `write` puts into a Parquet file: the first of a source whose rows another engine reads."""
    source = settings.read_source(name)
    preview = _new(settings, name, place)
    with _stage(settings, name) as (connection, folder):
        try:
            write(folder / "first.parquet")
            door = door_of(home, settings, name)
            archived = take_through(
                door, folder / "first.parquet", "parquet", source, folder / "copy", folder / "scratch"
            )
            _look(preview, connection, settings, name, source, archived, folder)
        except (SourceError, SettingsError) as error:
            preview.error = str(error)
        except Exception as error:
            _refused(preview, error, advises_names=True)
    return preview


def _new(settings: Settings, name: str, file_name: str) -> Preview:
    rate = settings.sources[name].max_quarantine_rate
    return Preview(file_name, allowed=settings.max_quarantine_rate if rate is None else rate)


@contextmanager
def _stage(settings: Settings, name: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """An empty stage in a database of its own, and a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder, connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        make_functions_of_expressions(connection, settings.sources[name])
        create_stage(connection, CONTRACTS[settings.dataset_of(name)])
        yield connection, Path(folder)


def _look(
    preview: Preview,
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    name: str,
    source: Source,
    archived: ArchivedFile,
    folder: Path,
) -> None:
    """Stage the rows, and tell what became of them."""
    contract = CONTRACTS[settings.dataset_of(name)]
    staged = stage_file(
        connection,
        contract,
        source,
        archived,
        load_id=1,
        business_timezone=settings.business.timezone,
        max_quarantine_rate=1.0,
        scratch=folder / "scratch",
    )
    mapping = staged.mapping
    preview.good, preview.bad = staged.good, staged.bad
    _count_reasons(preview, [row.reason for row in staged.bad_rows])
    preview.columns = _columns_from(contract, source, mapping)
    used = {found.name for found in mapping.given.values() if found and found.name} | mapping.read
    preview.there = sorted(used | {column.name for column in mapping.extra})
    paths = used | {one for one in preview.columns.values() if one is not None}
    preview.unused = [
        column.name for column in mapping.extra if not any(one.startswith(f"{column.name}.") for one in paths)
    ]
    given = [column for column, found in mapping.given.items() if found is not None]
    listed = ", ".join(f"cast({quoted(column)} as varchar)" for column in given)
    preview.rows = [
        {column: value for column, value in zip(given, row, strict=True) if value is not None}
        for row in connection.execute(f"select {listed} from stage where _error is null limit {SHOWN_ROWS}").fetchall()
    ]
    reasons = [row.reason for row in staged.bad_rows]
    preview.hints = advice.of_reasons(reasons, preview.columns, has_zone=source.timezone is not None)
    if not (isinstance(source, FileSource) and source.query is not None):
        preview.hints += advice.of_lines_without(reasons, preview.columns, preview.good)
    preview.hints += staged.hints
    preview.hints += hints_of_rows(connection, contract, source, is_first=True)
    preview.hints += hints_before_loading(connection, contract, source)
    line_items = advice.of_repeated_keys(connection, contract, mapping)
    conflicts, _ = refuse_conflicts(connection, contract, datetime.now(UTC).replace(tzinfo=None))
    preview.error = next(iter(conflicts.values()), None)
    if line_items and (preview.error or not preview.would_load):
        preview.hints += line_items


def _refused(preview: Preview, error: Exception, *, advises_names: bool) -> None:
    """A source that would be refused as a whole."""
    preview.error = outcome_of(error)[1]
    preview.hints = advice.of_reasons([preview.error or ""], {})
    if isinstance(error, NotMappedError):
        preview.missing, preview.there = error.missing, error.there
        free = [name for name in error.there if name not in error.used]
        preview.hints = advice.of_names(error.missing, free) if advises_names else []


def _count_reasons(preview: Preview, reasons: list[str]) -> None:
    """The most frequent kinds of reasons with an example each; `x` in quotes and numbers make no kind of their own."""
    kinds = Counter(map(_kind, reasons))
    examples = {_kind(reason): reason for reason in reversed(reasons)}
    preview.reasons = [(examples[kind], number) for kind, number in kinds.most_common(SHOWN_REASONS)]
    preview.further_reasons = len(kinds) - len(preview.reasons)


def _kind(reason: str) -> str:
    return re.sub(r"'[^']*'|[0-9][0-9,.]*", "…", reason)


def _columns_from(contract: Contract, source: Source, mapping: Mapping) -> dict[str, str | None]:
    """The source's column of each contract column, or what else it is."""
    found: dict[str, str | None] = {}
    for name in contract.names:
        given, mapped = mapping.given[name], named_in(source, name)
        if isinstance(mapped, Constant):
            found[name] = f"always {mapped.text}"
        elif name == mapping.hashed:
            found[name] = "made from the row"
        else:
            path = mapped if isinstance(mapped, str) else advice.MADE
            found[name] = (given.name or path) if given is not None else None
    return found


def _columns_of(connection: duckdb.DuckDBPyConnection, file: ArchivedFile, source: FileSource) -> list[str]:
    """The columns of a file as it was delivered; raises where its header cannot be read."""
    if file.format == "csv":
        return [name for _, name in read_header(file, source.separator).named]
    reading = read_parquet(connection, file) if file.format == "parquet" else read_json_lines(connection, file)
    return [column.name for column in reading.columns]
