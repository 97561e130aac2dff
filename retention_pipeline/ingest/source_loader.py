"""What every source does in a night, whatever it is: stage loads, bring them in together, write them down.

Loads are staged one by one, each with its own id and its own accounting, and small ones are brought into the raw
table together: the costly part of a load is the comparison with what is there. Whatever is brought in together is one
transaction; a run that is killed leaves whole loads or nothing of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.archive import ArchivedFile, UnusableFileError
from retention_pipeline.ingest.door import Door, door_of
from retention_pipeline.ingest.file_query import make_functions_of_expressions
from retention_pipeline.ingest.hints import hints_of_ids, hints_of_rows, known_keys
from retention_pipeline.ingest.identity import begin_epoch
from retention_pipeline.ingest.landing import DeliveredFile
from retention_pipeline.ingest.ledger import LoadRecord, SourceLedger, next_load_id, write_deliveries, write_loads
from retention_pipeline.ingest.mapping import mapping_fingerprint
from retention_pipeline.ingest.quarantine import settle
from retention_pipeline.ingest.result import DatabaseBrokenError, IngestError, LoadResult, LoadStatus
from retention_pipeline.ingest.schema import BROKEN, first_line
from retention_pipeline.ingest.staging import Staged, create_stage, stage_file
from retention_pipeline.ingest.versions import merge, refuse_conflicts
from retention_pipeline.settings import Home, Settings, Source
from retention_pipeline.testing import stop_for_test

FEW_ROWS = 10  # of fewer rows a share says nothing
BROUGHT_IN = "brought in"  # in place of a checksum, where DuckDB broke on several loads that were brought in together


class MassDeletion(Exception):
    """More rows of a source would go than it may lose at once; str() says how many."""


@dataclass
class SourceLoader:
    """One source in one run; `waiting` loads are on the stage and not yet in the raw table.

    `rereads` names the former loads of what a waiting load reads again by other settings. `broken`: what DuckDB broke
    on in an attempt before, by checksum, and how; it is refused without being read.
    """

    connection: duckdb.DuckDBPyConnection
    home: Home
    settings: Settings
    name: str
    source: Source
    contract: Contract
    scratch: Path
    now: datetime
    progress: Callable[[str], None] | None = None
    loads: list[LoadResult] = field(default_factory=list)
    waiting: list[tuple[DeliveredFile | None, LoadRecord]] = field(default_factory=list)
    seen: list[tuple[DeliveredFile, str, int]] = field(default_factory=list)
    waiting_bytes: int = 0
    rereads: dict[int, list[int]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    rereads_are_whole = False
    rereads_of_ties_only = False
    rereads_of_then = False
    guards_deletes = True

    def run(self) -> list[LoadResult]:
        """Load what is new; the results are in the order of the loads."""
        self.mapping = mapping_fingerprint(self.contract, self.source, self.settings.business.timezone)
        self.door = self.made_door()
        self.ledger = SourceLedger.read(self.connection, self.contract.dataset, self.name)
        self.load_id = next_load_id(self.connection)
        make_functions_of_expressions(self.connection, self.source)
        create_stage(self.connection, self.contract)
        self.load()
        self.commit_batch()
        return self.loads

    @property
    def is_whole(self) -> bool:
        """Whether a load has all rows of the source, so that what was refused and is not in it misses no more."""
        return False

    def made_door(self) -> Door:
        """What delivered bytes go through before anything keeps them."""
        return door_of(self.home, self.settings, self.name)

    def load(self) -> None:
        """Stage what is new, and bring it in when enough is waiting."""
        raise NotImplementedError

    def beside(self) -> None:
        """What belongs into the transaction that brings the waiting loads in."""

    def check_deletes(self, gone: int, new: int) -> None:
        """Raise MassDeletion where more rows of the source are gone than `max_delete` allows; after the removal."""
        if gone == 0 or not self.guards_deletes:
            return  # a share of nothing; the count below reads a column of the whole table
        row = self.connection.execute(
            f"select count(*) from raw.{self.contract.dataset} where _load_id in"
            " (select load_id from raw.ledger where dataset = $1 and source = $2)",
            [self.contract.dataset, self.name],
        ).fetchone()
        self.check_share(gone, (row[0] if row else 0) + gone - new)

    def check_share(self, gone: int, before: int) -> None:
        """Raise MassDeletion where `gone` of the rows that were there are more than may go at once."""
        if before >= FEW_ROWS and gone > self.source.max_delete * before:
            raise MassDeletion(
                f"{gone:,} of {before:,} rows would be deleted ({gone / before:.0%}, allowed"
                f" {self.source.max_delete:.0%}); nothing of it was loaded."
                f" If they are really gone: sources.{self.name}.max_delete: 1, and run again"
            )

    def _leave_waiting(self, why: str) -> None:
        """Nothing of what waits is loaded, nor written down: the next run tries again."""
        for _, record in self.waiting:
            result = record.result
            result.status, result.error, result.load_id = "failed", why, None
            result.good = result.bad = result.new = result.changed = result.unchanged = result.stale = 0
            self.loads.append(result)
        self.waiting, self.seen, self.waiting_bytes, self.rereads = [], [], 0, {}
        create_stage(self.connection, self.contract)

    def say(self, text: str) -> None:
        if self.progress:
            self.progress(text)

    def result(self, name: str, status: LoadStatus, error: str | None = None) -> LoadResult:
        return LoadResult(self.contract.dataset, self.name, name, status, error=error)

    def stage(self, archived: ArchivedFile, record: LoadRecord) -> None:
        """Bring a file onto the stage under its record's load id, and note what became of its lines."""
        if archived.sha256 in self.broken:
            raise UnusableFileError(self.broken[archived.sha256])
        rate = self.source.max_quarantine_rate
        try:
            staged = stage_file(
                self.connection,
                self.contract,
                self.source,
                archived,
                load_id=record.result.load_id or 0,
                business_timezone=self.settings.business.timezone,
                max_quarantine_rate=self.settings.max_quarantine_rate if rate is None else rate,
                scratch=self.scratch,
            )
        except BROKEN as error:
            raise DatabaseBrokenError(archived.sha256, f"the file cannot be read: {first_line(error)}") from error
        self.note(staged, record)

    def note(self, staged: Staged, record: LoadRecord) -> None:
        """Write into a load's record what became of its lines, and how its columns differ from those before."""
        mapping, result = staged.mapping, record.result
        result.drift = mapping.drift(self.ledger.columns, self.ledger.given)
        record.columns = [column.name for column in mapping.extra]
        record.given = [name for name, given in mapping.given.items() if given is not None]
        self.ledger.columns, self.ledger.given = record.columns, record.given
        result.lines, result.good, result.bad = staged.lines, staged.good, staged.bad
        record.blank, record.mode, record.bad_rows = staged.blank, staged.mode, staged.bad_rows
        result.hints = staged.hints

    def new_record(self, name: str, size: int | None = None) -> LoadRecord:
        """The record of a load that begins; it takes the next load id."""
        record = LoadRecord(self.result(name, "loaded"), None, size, 0, None, self.mapping)
        record.result.load_id = self.load_id
        self.load_id += 1
        return record

    def wait(self, file: DeliveredFile | None, record: LoadRecord) -> None:
        """Put a load in line to be brought in."""
        self.waiting.append((file, record))
        self.waiting_bytes += record.size or 0

    def _refuse_conflicts(self) -> bool:
        """Refuse loads that contradict themselves; the result says whether no key stands twice on the stage."""
        conflicts, no_key_twice = refuse_conflicts(self.connection, self.contract, self.now)
        for _, record in self.waiting:
            reason = conflicts.get(record.result.load_id or 0)
            if reason is None:
                continue
            result, record.bad_rows = record.result, []
            result.status, result.error, result.good, result.bad = "refused", reason, 0, 0
            if result.is_pull:  # the next one has to read it again
                result.status, result.load_id = "failed", None
                self.loads.append(result)
        self.waiting = [(file, record) for file, record in self.waiting if record.result.load_id is not None]
        return no_key_twice

    def _loads_that_give_days(self) -> list[int]:
        """Those that wait and have `valid_from`, where replaced versions count."""
        if not self.contract.history_counts:
            return []
        given = ((record.result.load_id, record.given) for _, record in self.waiting)
        return [load_id for load_id, names in given if load_id is not None and "valid_from" in names]

    def commit_batch(self) -> None:
        """Make what is waiting durable, in one transaction."""
        if not self.waiting and not self.seen:
            return
        try:
            self._bring_in()
        except BROKEN as error:  # nothing of it stays; of several the next attempt brings in one by one
            alone = self.waiting[0][1].sha256 if len(self.waiting) == 1 else None
            raise DatabaseBrokenError(alone or BROUGHT_IN, f"its rows cannot be loaded: {first_line(error)}") from error

    def _bring_in(self) -> None:
        no_key_twice = self._refuse_conflicts()
        loaded = {record.result.load_id for _, record in self.waiting if record.result.status == "loaded"}
        self.connection.execute("begin transaction")
        try:
            keys_before = known_keys(self.connection)
            is_first = not self.ledger.loads and not any(load.status == "loaded" for load in self.loads)
            hints = hints_of_rows(self.connection, self.contract, self.source, is_first=is_first)
            counts = merge(
                self.connection,
                self.contract,
                replace_by=self.source.replace_by,
                now=self.now,
                rereads={load_id: former for load_id, former in self.rereads.items() if load_id in loaded},
                rereads_are_whole=self.rereads_are_whole,
                rereads_of_ties_only=self.rereads_of_ties_only,
                rereads_of_then=self.rereads_of_then,
                no_key_twice=no_key_twice,
                from_the_beginning=self._loads_that_give_days(),
            )
            if self.contract.customer_columns:
                hints += hints_of_ids(self.connection, self.source, known_keys=keys_before)
            if loaded:
                next(record for _, record in self.waiting if record.result.status == "loaded").result.hints += hints
            for file, record in self.waiting:
                result = record.result
                for outcome, number in counts.get(result.load_id or 0, {}).items():
                    setattr(result, outcome, number)
                if file and record.sha256 and result.load_id:
                    self.seen.append((file, record.sha256, result.load_id))
            records = [record for _, record in self.waiting]
            write_loads(self.connection, records, self.now)
            results = [record.result for record in records if record.result.status == "loaded"]
            settle(self.connection, self.contract, self.name, results, is_whole=self.is_whole)
            write_deliveries(self.connection, self.contract, self.name, self.seen, self.now, time.time())
            self.beside()
            if self.waiting:
                begin_epoch(self.connection, self.now)
            stop_for_test("staged")
            self.connection.execute("commit")
        except MassDeletion as error:
            self.connection.execute("rollback")
            self._leave_waiting(str(error))
            return
        except BROKEN:  # it no longer takes a rollback
            raise
        except duckdb.Error as error:
            self.connection.execute("rollback")
            names = ", ".join(record.result.file_name for _, record in self.waiting[:3])
            raise IngestError(f"{self.contract.dataset}: {names}: {first_line(error)}") from error
        stop_for_test("committed")
        self.loads += [record.result for _, record in self.waiting]
        self.waiting, self.seen, self.waiting_bytes, self.rereads = [], [], 0, {}
        create_stage(self.connection, self.contract)
