"""A source of files in one night: which files are new, and what is done about those that cannot be used."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from retention_pipeline.ingest.archive import ArchivedFile, StillBeingWrittenError, checksum, take
from retention_pipeline.ingest.cloud import CloudError
from retention_pipeline.ingest.joined import MissingInput, delivered_parts, written
from retention_pipeline.ingest.kept_copies import known_as_lost
from retention_pipeline.ingest.landing import (
    NO_FORMAT,
    TOGETHER,
    DeliveredFile,
    at_hand,
    delivered_files,
    format_of,
    natural_order,
)
from retention_pipeline.ingest.ledger import LoadRecord
from retention_pipeline.ingest.outcomes import note_outcome, outcome_of
from retention_pipeline.ingest.packed import copy_in
from retention_pipeline.ingest.result import DatabaseBrokenError
from retention_pipeline.ingest.schema import BROKEN, first_line, quoted
from retention_pipeline.ingest.small_files import SmallFiles, stage_small_files
from retention_pipeline.ingest.source_loader import BROUGHT_IN, SourceLoader
from retention_pipeline.ingest.through_the_door import take_through
from retention_pipeline.ingest.versions import remove_missing
from retention_pipeline.settings import FileSource

FILES_AT_ONCE = 500
BYTES_AT_ONCE = 64 * 1024 * 1024
STILL_WRITTEN = "it is still being written"
READ_TOGETHER = "together"  # in place of a checksum, where DuckDB broke on small files that were read together


@dataclass
class FileLoader(SourceLoader):
    """The files of a source, in order of name. `records` are those of the loads that wait, by checksum.

    `reload`: names of files that are loaded again, whether their bytes are known or not; `left`: those that wait for
    the next run, and why.
    """

    records: dict[str, LoadRecord] = field(default_factory=dict)
    small: SmallFiles = field(default_factory=SmallFiles)
    reload: frozenset[str] = frozenset()
    left: list[tuple[str, str]] = field(default_factory=list)
    rereads_are_whole = True
    rereads_of_then = True

    def load(self) -> None:
        assert isinstance(self.source, FileSource)
        self._read_again(self.source)
        if self.source.inputs:
            self._load_joined(self.source)
            return
        delivered = delivered_files(self.home, self.source, with_waiting=True)
        self.left = [(file.name, file.waits) for file in delivered if file.waits]
        if not delivered:
            self.say(f"{self.name}: no files at {', '.join(self.source.paths)}")
        for file in self._not_before_the_last([file for file in delivered if not file.waits]):
            try:
                self._look_at(file, self.source)
            except (StillBeingWrittenError, FileNotFoundError):
                self.left.append((file.name, STILL_WRITTEN))
            self._commit_when_enough()

    def _commit_when_enough(self) -> None:
        """One by one where a file holds the whole: what it has no longer is gone before the next one comes."""
        enough = len(self.waiting) >= FILES_AT_ONCE or self.waiting_bytes >= BYTES_AT_ONCE
        if enough or (self.waiting and (self.is_whole or BROUGHT_IN in self.broken)):
            self.commit_batch()

    @property
    def is_whole(self) -> bool:
        return isinstance(self.source, FileSource) and self.source.holds_whole

    def _load_joined(self, source: FileSource) -> None:
        """All files of a source whose query joins several, as one delivery, where one of them has changed."""
        name = f"{', '.join(source.paths)} with {', '.join(source.inputs)}"
        folder = self.home.archive / self.contract.dataset
        folder.mkdir(parents=True, exist_ok=True)
        try:
            parts, files = delivered_parts(self.home, source, folder, self.scratch, self.ledger, self.door)
        except StillBeingWrittenError as error:
            self.left = [(str(error), STILL_WRITTEN)]
            return
        except FileNotFoundError:
            self.left = [(name, STILL_WRITTEN)]
            return
        except (MissingInput, CloudError) as error:
            self.loads.append(self.result(name, "failed", str(error)))
            return
        except Exception as error:
            self.loads.append(self.result(name, *outcome_of(error)))
            return
        path = written(parts, folder)
        delivery = DeliveredFile(path, name, path.stat().st_size, "", math.inf)
        self._read(delivery, source, is_new=True, again=name in self.reload)
        load_id = self.waiting[-1][1].result.load_id if self.waiting else self._last_load()
        known = {file_name: sha256 for file_name, (stamp, sha256) in self.ledger.stamps.items() if stamp}
        self.seen += [(file, sha256, load_id or 0) for file, sha256 in files if known.get(file.name) != sha256]
        self.commit_batch()

    def _not_before_the_last(self, files: list[DeliveredFile]) -> list[DeliveredFile]:
        """With `delivery: whole`, the files from that on which was loaded last; older ones no longer say anything."""
        if not self.is_whole or not self.ledger.loads:
            return files
        last = self.ledger.loads[-1][1].name
        older = [file for file in files if natural_order(file.name) < natural_order(last)]
        for file in older:
            if file.name in self.ledger.stamps and file.name not in self.reload:
                self.loads.append(self.result(file.name, "already_loaded"))
            else:
                error = f"it is older by its name than {last}, which holds the whole (delivery: whole)"
                self.loads.append(self.result(file.name, "refused", error))
        return files[len(older) :]

    def _read_again(self, source: FileSource) -> None:
        """When the settings by which files are read have changed, read those from the archive that were loaded before.

        They come in the order in which they came then, so that the raw table ends as if they always had been read so;
        one by one where replaced versions count, so that the history has each of them too.
        """
        folder = self.home.archive / self.contract.dataset
        outdated = self.ledger.outdated(self.mapping)
        if self.is_whole:
            last = self.ledger.loads[-1][0] if self.ledger.loads else None
            outdated = {sha256: known for sha256, known in outdated.items() if sha256 == last}
        lost = known_as_lost(self.home) & outdated.keys()
        if lost:
            self.say(f"{self.name}: {len(lost):,} files are no longer kept; their rows stay as they were read")
            outdated = {sha256: known for sha256, known in outdated.items() if sha256 not in lost}
        if outdated:
            self.say(f"{self.name}: its settings have changed, {len(outdated)} files are read again")
        for sha256, known in outdated.items():
            record = self._new_record(known.name, None, sha256)
            path = copy_in(folder, sha256)
            file_format = format_of(path, source) if path else None
            if path is None or file_format is None:
                record.result.status = "failed"
                record.result.error = "cannot be read again as the settings are now: it is no longer in the archive"
                record.result.load_id = None
                self.loads.append(record.result)
                continue
            try:
                archived = take(path, file_format, folder, self.scratch, source.delimiter)
            except Exception as error:
                note_outcome(record.result, error)
            else:
                record.size = archived.size
                former = self.ledger.former_loads(None if self.is_whole else sha256)
                self.rereads[record.result.load_id or 0] = former
                self._stage_alone(record, archived)
            self.ledger.files[sha256] = replace(known, mapping=self.mapping)
            self.wait(None, record)
            one_by_one = self.contract.history_counts or BROUGHT_IN in self.broken
            if one_by_one or self.waiting_bytes >= BYTES_AT_ONCE:
                self.commit_batch()
        self.commit_batch()

    def _look_at(self, file: DeliveredFile, source: FileSource) -> None:
        """Stage a file, unless these bytes are known."""
        if file.problem is not None:
            self.loads.append(self.result(file.name, "failed", file.problem))
            return
        again = file.name in self.reload
        sha256 = None if again else self.ledger.unchanged_sha256(file)
        if sha256 is not None and self._is_known(file, sha256, False):
            return
        try:
            with at_hand(file, self.scratch / "fetched") as here:
                self._read(here, source, is_new=sha256 is None and not again, again=again)
        except CloudError as error:
            self.loads.append(self.result(file.name, "failed", f"cannot be fetched: {error}"))

    def _read(self, file: DeliveredFile, source: FileSource, *, is_new: bool, again: bool) -> None:
        """Stage a file that has changed (`is_new`), or that has to be read once more."""
        if is_new and file.size in self.ledger.sizes:
            try:
                sha256 = checksum(file.path)
            except OSError as problem:
                self.loads.append(self.result(file.name, *outcome_of(problem)))
                return
            if self._is_known(file, sha256, True):
                return
        file_format = format_of(file.path, source)
        if file_format is None:
            error = f"{NO_FORMAT}; set format in the source's settings"
            self.loads.append(self.result(file.name, "refused", error))
            return
        self.say(f"{file.name}: loading")
        record: LoadRecord | None = None
        try:
            archive = self.home.archive / self.contract.dataset
            archived = take_through(self.door, file.path, file_format, source, archive, self.scratch)
            if not again and self._is_known(file, archived.sha256, True):
                return
            record = self._new_record(file.name, file.size, archived.sha256)
            if not self.small.takes(archived, source):
                self._stage_small_files()
            if self.small.takes(archived, source):
                self.small.add(record.result.load_id or 0, archived, source)
            else:
                self._stage_alone(record, archived)
        except Exception as error:
            status, reason = outcome_of(error)
            if record is None and status == "failed":
                self.loads.append(self.result(file.name, status, reason))
                return
            record = record or self._new_record(file.name, file.size, checksum(file.path))
            record.result.status, record.result.error = status, reason
        self.wait(file, record)

    def _new_record(self, name: str, size: int | None, sha256: str) -> LoadRecord:
        record = self.new_record(name, size)
        record.sha256 = sha256
        self.records[sha256] = record
        return record

    def _stage_alone(self, record: LoadRecord, archived: ArchivedFile) -> None:
        try:
            self.stage(archived, record)
        except Exception as error:
            note_outcome(record.result, error)

    def _stage_small_files(self) -> None:
        """Stage the small files that wait for it, together where they are sound."""
        group, self.small = self.small, SmallFiles()
        if not group.files:
            return
        assert isinstance(self.source, FileSource)
        try:
            sound = (
                {}
                if READ_TOGETHER in self.broken
                else stage_small_files(
                    self.connection,
                    self.contract,
                    self.source,
                    group,
                    business_timezone=self.settings.business.timezone,
                    scratch=self.scratch,
                )
            )
        except BROKEN as error:  # the next attempt reads them one by one and finds which it is
            raise DatabaseBrokenError(READ_TOGETHER, first_line(error)) from error
        except Exception as error:  # which of them it is, and why, is found one by one
            outcome_of(error)
            self.connection.execute(
                "delete from stage where _load_id between $1 and $2", [group.files[0][0], group.files[-1][0]]
            )
            sound = {}
        records = {record.result.load_id: record for record in self.records.values()}
        for load_id, archived in group.files:
            if load_id in sound:
                self.note(sound[load_id], records[load_id])
            else:
                self._stage_alone(records[load_id], archived)

    def _last_load(self) -> int:
        """The load that was brought in last, of this run or of one before."""
        of_run = [load.load_id for load in self.loads if load.status == "loaded" and load.load_id is not None]
        return max([*of_run, *(known.load_id for _, known in self.ledger.loads)], default=0)

    def beside(self) -> None:
        """Where a file holds the whole, take out what it has no longer."""
        loaded = [record for _, record in self.waiting if record.result.status == "loaded"]
        if not self.is_whole or not loaded:
            return
        record = loaded[-1]
        result, load_id = record.result, record.result.load_id or 0
        if result.good + result.bad == 0:
            result.hints.append("the file has no rows at all; nothing was deleted (delivery: whole)")
            return
        keys = ", ".join(quoted(name) for name in self.contract.key_columns)
        has_key = " and ".join(
            f"{quoted(name)} is not null" for name in self.contract.key if self.contract.column(name).required
        )
        self.connection.execute(
            f"create or replace temp table keys_there as select {keys} from stage"
            f" where _load_id = {load_id} and {has_key}"
        )
        there = self.connection.execute("select count(*) from keys_there").fetchone()
        if there is None or there[0] < result.good + result.bad:
            result.hints.append(
                "rows without a key were refused, so there is no telling which are gone; nothing was deleted"
                " (delivery: whole)"
            )
            return
        gone = remove_missing(self.connection, self.contract, source=self.name, load_id=load_id, now=self.now)
        self.check_deletes(gone, result.new)
        if gone:
            self.say(f"{self.name}: {gone:,} rows are gone")

    def _hints_of_known(self, file: DeliveredFile, sha256: str, load_id: int) -> list[str]:
        """Of a file whose bytes were loaded before: whether it looks as if a former state was to come back."""
        if self.ledger.stamps.get(file.name, (None, None))[1] == sha256:
            return []  # only touched
        replaced = f"from raw.{self.contract.dataset}_history where _load_id = $1 limit 1"
        if not self.connection.execute(replaced, [load_id]).fetchall():
            return []
        return [
            f"{file.name} has the same bytes as load {load_id}, superseded since, and is passed over"
            f" (to take it again: retention run --reload {file.name})"
        ]

    def commit_batch(self) -> None:
        self._stage_small_files()
        self._leave_failed()
        files = [(file, record) for file, record in self.waiting if file is not None]
        super().commit_batch()
        self._tell_order(files)
        self.records = {}

    def _tell_order(self, files: list[tuple[DeliveredFile, LoadRecord]]) -> None:
        """Tell once where a file was changed after one that its name puts behind it, and rows came in both."""
        version = self.contract.version_column
        newest: tuple[DeliveredFile, LoadRecord] | None = None
        for file, record in files:
            if newest is not None and newest[0].modified_at > file.modified_at + TOGETHER:
                before, result = newest[0], record.result
                in_both = newest[1].result.stale or result.changed
                if in_both and version not in record.given:
                    days = [f"{datetime.fromtimestamp(one.modified_at, UTC):%Y-%m-%d %H:%M}" for one in (before, file)]
                    result.hints.append(
                        f"{before.name} was changed ({days[0]}) after {file.name} ({days[1]}), which its name puts last"
                        " and whose rows stand; give files names in their order, or rows updated_at"
                    )
                    return
            elif newest is None or file.modified_at > newest[0].modified_at:
                newest = (file, record)

    def _leave_failed(self) -> None:
        """What could not be read for want of a disk or of memory is not written down: the next run tries again."""
        failed = {record.result.load_id for _, record in self.waiting if record.result.status == "failed"}
        if not failed:
            return
        for _, record in self.waiting:
            if record.result.load_id in failed:
                record.result.load_id = None
                self.loads.append(record.result)
        self.waiting = [(file, record) for file, record in self.waiting if record.result.load_id is not None]
        self.seen = [seen for seen in self.seen if seen[2] not in failed]

    def _is_known(self, file: DeliveredFile, sha256: str, fresh: bool) -> bool:
        """Whether these bytes need no load; `fresh`: the file was hashed now, so this is a sighting to write down."""
        waiting = self.records.get(sha256)
        if waiting is not None and waiting.result.load_id is not None:
            self.seen.append((file, sha256, waiting.result.load_id))
            self.loads.append(self.result(file.name, "already_loaded"))
            return True
        known = self.ledger.files.get(sha256)
        if known is None or known.status == "too_many_bad":
            return False
        if self.is_whole and known.status == "loaded" and known.load_id != self._last_load():
            return False
        if known.status == "refused":
            if known.mapping != self.mapping:
                return False
            self.loads.append(self.result(file.name, "refused", known.error))
        else:
            result = self.result(file.name, "already_loaded")
            if fresh:
                result.hints = self._hints_of_known(file, sha256, known.load_id)
            self.loads.append(result)
        if fresh:
            self.seen.append((file, sha256, known.load_id))
        return True
