"""A night's ingestion: the order of sources and files, what is one transaction, and what stops a run.

Files are staged one by one, each with its own load id and its own accounting, and small ones are brought into the raw
table together: the costly part of a load is the comparison with what is there. Whatever is brought in together is one
transaction; a run that is killed leaves whole loads or nothing of them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from retention_pipeline.contracts import CONTRACTS, Contract
from retention_pipeline.ingest.archive import ArchivedFile, StillBeingWrittenError, UnusableFileError, checksum, take
from retention_pipeline.ingest.landing import DeliveredFile, delivered_files, format_of
from retention_pipeline.ingest.ledger import LoadRecord, SourceLedger, next_load_id, write_deliveries, write_load
from retention_pipeline.ingest.mapping import mapping_fingerprint
from retention_pipeline.ingest.readers import first_line
from retention_pipeline.ingest.result import IngestError, IngestResult, LoadResult, LoadStatus
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.ingest.staging import TooManyBadError, create_stage, stage_file
from retention_pipeline.ingest.versions import merge
from retention_pipeline.settings import FileSource, Home, Settings

FILES_AT_ONCE = 500
BYTES_AT_ONCE = 64 * 1024 * 1024


def ingest(
    home: Home,
    settings: Settings,
    *,
    datasets: list[str] | None = None,
    now: datetime,
    progress: Callable[[str], None] | None = None,
) -> IngestResult:
    """Load what is new in the sources into raw.duckdb, which is made where it is missing.

    `datasets` limits the run to these; `now` (UTC) is the time that is written down. Raises IngestError, after all
    other loads are done, when more than `max_quarantine_rate` of a load was refused; the error's `result` tells of
    the others.
    """
    if now.tzinfo is not None:
        now = now.astimezone(UTC).replace(tzinfo=None)
    result = IngestResult()
    scratch = home.warehouse / "raw.scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    connection = open_raw(home.raw_file)
    try:
        for name, source in settings.sources.items():
            dataset = settings.dataset_of(name)
            if datasets is not None and dataset not in datasets:
                continue
            if isinstance(source, FileSource):
                night = SourceNight(
                    connection, home, settings, name, source, CONTRACTS[dataset], scratch, now, progress
                )
                result.loads += night.run()
        result.max_load_id = next_load_id(connection) - 1
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)
    spoiled = [load for load in result.loads if load.status == "too_many_bad"]
    if spoiled:
        lines = [f"{load.dataset}: {load.file_name}: {load.error}" for load in spoiled]
        raise IngestError("too many rows of a load were refused, it was left out\n" + "\n".join(lines), result)
    return result


@dataclass
class SourceNight:
    """One source of files in one run."""

    connection: duckdb.DuckDBPyConnection
    home: Home
    settings: Settings
    name: str
    source: FileSource
    contract: Contract
    scratch: Path
    now: datetime
    progress: Callable[[str], None] | None = None
    loads: list[LoadResult] = field(default_factory=list)
    waiting: list[tuple[DeliveredFile, LoadRecord]] = field(default_factory=list)
    seen: list[tuple[DeliveredFile, str, int]] = field(default_factory=list)
    waiting_bytes: int = 0

    def run(self) -> list[LoadResult]:
        self.mapping = mapping_fingerprint(self.contract, self.source, self.settings.business.timezone)
        self.ledger = SourceLedger.read(self.connection, self.contract.dataset, self.name)
        self.load_id = next_load_id(self.connection)
        files = delivered_files(self.home, self.source)
        create_stage(self.connection, self.contract)
        for file in files:
            try:
                self._look_at(file)
            except (StillBeingWrittenError, FileNotFoundError):
                self._say(f"{file.name}: still being written, left for the next run")
            except OSError as error:
                self.loads.append(self._result(file, "failed", error=f"cannot be read: {error.strerror}"))
            if len(self.waiting) >= FILES_AT_ONCE or self.waiting_bytes >= BYTES_AT_ONCE:
                self._bring_in()
        self._bring_in()
        return self.loads

    def _say(self, text: str) -> None:
        if self.progress:
            self.progress(text)

    def _result(self, file: DeliveredFile, status: LoadStatus, error: str | None = None) -> LoadResult:
        return LoadResult(self.contract.dataset, self.name, file.name, status, error=error)

    def _look_at(self, file: DeliveredFile) -> None:
        """Load a file, unless these bytes are known."""
        sha256 = self.ledger.unchanged_sha256(file)
        fresh = sha256 is None
        if sha256 is None and file.size in self.ledger.sizes:
            sha256 = checksum(file.path)
        if sha256 is not None and self._is_known(file, sha256, fresh):
            return
        file_format = format_of(file.path, self.source)
        if file_format is None:
            error = "the ending says no format (csv, csv.gz, parquet, jsonl); set format in the source's settings"
            self.loads.append(self._result(file, "refused", error))
            return
        record = LoadRecord(self._result(file, "loaded"), None, file.size, 0, None, self.mapping)
        self._say(f"{file.name}: loading")
        try:
            archived = take(file.path, file_format, self.home.archive / self.contract.dataset, self.scratch)
            if self._is_known(file, archived.sha256, True):
                return
            record.sha256, record.size = archived.sha256, archived.size
            self._stage(archived, record)
        except UnusableFileError as error:
            record.sha256 = record.sha256 or checksum(file.path)
            record.result.status, record.result.error = "refused", str(error)
        except TooManyBadError as error:
            record.result.status, record.result.error = "too_many_bad", str(error)
            record.result.good, record.result.bad = error.staged.good, error.staged.bad
        record.result.load_id = self.load_id
        self.load_id += 1
        self.waiting.append((file, record))
        self.waiting_bytes += file.size

    def _is_known(self, file: DeliveredFile, sha256: str, fresh: bool) -> bool:
        """Whether these bytes need no load; `fresh`: the file was hashed now, so this is a sighting to write down."""
        waiting = next((record for _, record in self.waiting if record.sha256 == sha256), None)
        if waiting is not None and waiting.result.load_id is not None:
            self.seen.append((file, sha256, waiting.result.load_id))
            self.loads.append(self._result(file, "already_loaded"))
            return True
        known = self.ledger.files.get(sha256)
        if known is None or known.status == "too_many_bad":
            return False
        if known.status == "refused":
            if known.mapping != self.mapping:
                return False
            self.loads.append(self._result(file, "refused", known.error))
        else:
            self.loads.append(self._result(file, "already_loaded"))
        if fresh:
            self.seen.append((file, sha256, known.load_id))
        return True

    def _stage(self, archived: ArchivedFile, record: LoadRecord) -> None:
        rate = self.source.max_quarantine_rate
        staged = stage_file(
            self.connection,
            self.contract,
            self.source,
            archived,
            load_id=self.load_id,
            business_timezone=self.settings.business.timezone,
            max_quarantine_rate=self.settings.max_quarantine_rate if rate is None else rate,
            scratch=self.scratch,
        )
        mapping, result = staged.mapping, record.result
        result.drift = mapping.drift(self.ledger.columns, self.ledger.given)
        record.columns = [column.name for column in mapping.extra]
        record.given = [name for name, given in mapping.given.items() if given is not None]
        self.ledger.columns, self.ledger.given = record.columns, record.given
        result.lines, result.good, result.bad = staged.lines, staged.good, staged.bad
        record.blank, record.mode, record.bad_rows = staged.blank, staged.mode, staged.bad_rows

    def _bring_in(self) -> None:
        """Make what is on the stage durable, in one transaction."""
        if not self.waiting and not self.seen:
            return
        self.connection.execute("begin transaction")
        try:
            counts = merge(self.connection, self.contract, replace_by=self.source.replace_by, now=self.now)
            for file, record in self.waiting:
                result = record.result
                for outcome, number in counts.get(result.load_id or 0, {}).items():
                    setattr(result, outcome, number)
                if record.sha256 and result.load_id:
                    self.seen.append((file, record.sha256, result.load_id))
                write_load(self.connection, record, self.now)
            write_deliveries(self.connection, self.contract, self.name, self.seen, self.now, time.time())
            self.connection.execute("commit")
        except duckdb.Error as error:
            self.connection.execute("rollback")
            names = ", ".join(file.name for file, _ in self.waiting[:3])
            raise IngestError(f"{self.contract.dataset}: {names}: {first_line(error)}") from error
        self.loads += [record.result for _, record in self.waiting]
        self.waiting, self.seen, self.waiting_bytes = [], [], 0
        create_stage(self.connection, self.contract)
