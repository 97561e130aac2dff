"""A source of files in one night: which files are new, and what is done about those that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from retention_pipeline.ingest.archive import StillBeingWrittenError, UnusableFileError, checksum, take
from retention_pipeline.ingest.landing import DeliveredFile, delivered_files, format_of
from retention_pipeline.ingest.ledger import LoadRecord
from retention_pipeline.ingest.source_night import SourceNight
from retention_pipeline.ingest.staging import TooManyBadError
from retention_pipeline.settings import FileSource

FILES_AT_ONCE = 500
BYTES_AT_ONCE = 64 * 1024 * 1024


@dataclass
class FileNight(SourceNight):
    """The files of a source, in order of name."""

    def load(self) -> None:
        assert isinstance(self.source, FileSource)
        for file in delivered_files(self.home, self.source):
            try:
                self._look_at(file, self.source)
            except (StillBeingWrittenError, FileNotFoundError):
                self.say(f"{file.name}: still being written, left for the next run")
            except OSError as error:
                self.loads.append(self.result(file.name, "failed", f"cannot be read: {error.strerror}"))
            if len(self.waiting) >= FILES_AT_ONCE or self.waiting_bytes >= BYTES_AT_ONCE:
                self.bring_in()

    def _look_at(self, file: DeliveredFile, source: FileSource) -> None:
        """Stage a file, unless these bytes are known."""
        sha256 = self.ledger.unchanged_sha256(file)
        fresh = sha256 is None
        if sha256 is None and file.size in self.ledger.sizes:
            sha256 = checksum(file.path)
        if sha256 is not None and self._is_known(file, sha256, fresh):
            return
        file_format = format_of(file.path, source)
        if file_format is None:
            error = "the ending says no format (csv, csv.gz, parquet, jsonl); set format in the source's settings"
            self.loads.append(self.result(file.name, "refused", error))
            return
        record = LoadRecord(self.result(file.name, "loaded"), None, file.size, 0, None, self.mapping)
        self.say(f"{file.name}: loading")
        try:
            archived = take(file.path, file_format, self.home.archive / self.contract.dataset, self.scratch)
            if self._is_known(file, archived.sha256, True):
                return
            record.sha256, record.size = archived.sha256, archived.size
            self.stage(archived, record)
        except UnusableFileError as error:
            record.sha256 = record.sha256 or checksum(file.path)
            record.result.status, record.result.error = "refused", str(error)
        except TooManyBadError as error:
            record.result.status, record.result.error = "too_many_bad", str(error)
            record.result.good, record.result.bad = error.staged.good, error.staged.bad
        self.wait(file, record)

    def _is_known(self, file: DeliveredFile, sha256: str, fresh: bool) -> bool:
        """Whether these bytes need no load; `fresh`: the file was hashed now, so this is a sighting to write down."""
        waiting = next((record for _, record in self.waiting if record.sha256 == sha256), None)
        if waiting is not None and waiting.result.load_id is not None:
            self.seen.append((file, sha256, waiting.result.load_id))
            self.loads.append(self.result(file.name, "already_loaded"))
            return True
        known = self.ledger.files.get(sha256)
        if known is None or known.status == "too_many_bad":
            return False
        if known.status == "refused":
            if known.mapping != self.mapping:
                return False
            self.loads.append(self.result(file.name, "refused", known.error))
        else:
            self.loads.append(self.result(file.name, "already_loaded"))
        if fresh:
            self.seen.append((file, sha256, known.load_id))
        return True
