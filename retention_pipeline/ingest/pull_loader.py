"""A database in one night: one pull in one transaction there, one transaction here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from retention_pipeline.contracts import Column
from retention_pipeline.ingest.archive import ArchivedFile, Keeper, UnusableFileError
from retention_pipeline.ingest.databases import open_pull
from retention_pipeline.ingest.ledger import KnownFile
from retention_pipeline.ingest.mapping import has_other_keys
from retention_pipeline.ingest.outcomes import note_outcome
from retention_pipeline.ingest.packed import pack_pulls
from retention_pipeline.ingest.pulls import Pull, SourceError
from retention_pipeline.ingest.readers import read_csv
from retention_pipeline.ingest.result import DatabaseBrokenError, LoadResult
from retention_pipeline.ingest.schema import BROKEN, first_line, quoted
from retention_pipeline.ingest.source_loader import SourceLoader
from retention_pipeline.ingest.staging import create_stage, stage_file
from retention_pipeline.ingest.through_the_door import pulled_through
from retention_pipeline.ingest.versions import remove_missing
from retention_pipeline.settings import DatabaseSource, SettingsError

ATTEMPTS = 3
FETCHED_BY_KEY = 100_000  # of more missing rows the whole table is read
SECONDS_BETWEEN_ATTEMPTS = 2.0


def _text_name(key_column: str) -> str:
    return quoted(f"{key_column} as text")


@dataclass
class PullLoader(SourceLoader):
    """What changed in a table or query since the last pull."""

    watermark: datetime | None = None
    greatest: datetime | None = None
    keys: ArchivedFile | None = field(default=None)
    key_names: list[str] = field(default_factory=list)
    copied: list[ArchivedFile] = field(default_factory=list)
    reads_all = False

    @property
    def is_whole(self) -> bool:
        return self.reads_all

    def run(self) -> list[LoadResult]:
        loads = super().run()
        self._settle_archive()
        return loads

    def load(self) -> None:
        assert isinstance(self.source, DatabaseSource)
        relation = self.source.table or "query"
        record = self.new_record(relation)
        record.result.is_pull = True
        try:
            if self.broken:  # what is pulled now may have other bytes, and break DuckDB once more
                raise UnusableFileError(next(iter(self.broken.values())))
            archived = self._through(self._pull(self.source), self.home.archive / self.contract.dataset)
            self.copied.append(archived)
            record.sha256, record.size = archived.sha256, archived.size
            if self._is_known(archived.sha256):
                record.result.status, record.result.load_id = "already_loaded", None
                self._note_without_rows()
                self.loads.append(record.result)
                return
            self.stage(archived, record)
            if self.keys is not None:
                self._stage_keys(self.source, self.keys)
            self.wait(None, record)
        except (SourceError, SettingsError, UnusableFileError) as error:
            record.result.status, record.result.error, record.result.load_id = "failed", str(error), None
            self.loads.append(record.result)
        except BROKEN as error:  # on the keys, or on rows that are looked up in raw
            of_what = record.sha256 or relation
            raise DatabaseBrokenError(of_what, f"what was pulled cannot be read: {first_line(error)}") from error
        except Exception as error:
            note_outcome(record.result, error)
            record.result.status = "failed" if record.result.status == "refused" else record.result.status
            record.result.load_id = None
            self.loads.append(record.result)

    def _is_known(self, sha256: str) -> bool:
        """Whether the same bytes were the last to be loaded (an older pull would bring back what was true then)."""
        loaded = {sha: known.load_id for sha, known in self.ledger.files.items() if known.status == "loaded"}
        is_last = bool(loaded) and loaded.get(sha256) == max(loaded.values())
        return is_last and self._read_as_now() and self.keys is None

    def _pull(self, source: DatabaseSource) -> ArchivedFile:
        """Copy the rows here; a connection that breaks is tried again from the start, nothing of it stays."""
        row = self.connection.execute(
            "select high, greatest from raw.watermarks where source = $1 and dataset = $2",
            [self.name, self.contract.dataset],
        ).fetchone()
        high, self.greatest = row or (None, None)
        # A replica that lags, or a dump that was restored, brings rows that are older than the last pull.
        known = min(high, self.greatest) if high and self.greatest and self._read_as_now() else None
        greatest_before = self.greatest if known else None
        self.reads_all = known is None
        # What the table says now is the truth, also of a row that changed without a newer `updated_at`.
        self.rereads[self.load_id - 1] = self.ledger.former_loads()
        self.rereads_of_ties_only = self._read_as_now()
        last = self._last_load()
        self.rereads_are_whole = last is not None and has_other_keys(self.mapping, last.mapping)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.say(f"{self.name}: reading {source.table or 'the query'}")
                with open_pull(source, self.home) as pull:
                    self.watermark = pull.next_watermark
                    archived = pull.copy_rows(known, self._keeper())
                    found = [moment for moment in (greatest_before, pull.greatest_cursor(known)) if moment is not None]
                    self.greatest = max(found, default=None)
                    if source.deletes == "compare_keys":
                        self.keys = self._pull_keys(pull, source)
                        archived = self._with_missing(pull, source, known, archived, self.keys)
                    return archived
            except SourceError as error:
                if not error.may_pass or attempt == ATTEMPTS:
                    raise
                self.say(f"{self.name}: {error}; trying again")
                time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        raise AssertionError("unreachable")

    def _settle_archive(self) -> None:
        """Pack what was loaded; what was not is read again by the next pull, so its copy goes."""
        folder = self.home.archive / self.contract.dataset
        known = self.connection.execute(
            "select sha256, source from raw.ledger where dataset = $1 and sha256 is not null"
            " group by all order by min(load_id)",
            [self.contract.dataset],
        ).fetchall()
        for archived in self.copied:
            if archived.sha256 not in {sha256 for sha256, _ in known}:
                archived.path.unlink(missing_ok=True)
        try:
            pack_pulls(folder, [sha256 for sha256, source in known if source == self.name], self.scratch / "packing")
        except (OSError, UnusableFileError) as error:
            self.say(f"{self.name}: its copy was not packed ({error}); the next run tries again")

    def _read_as_now(self) -> bool:
        """Whether the last load was read by the settings of today; if not, everything is read again."""
        last = self._last_load()
        return last is not None and last.mapping == self.mapping

    def _last_load(self) -> KnownFile | None:
        return max(self.ledger.files.values(), key=lambda known: known.load_id, default=None)

    def _keeper(self) -> Keeper:
        folder = self.scratch / "pulled" if self.door.is_shut else self.home.archive / self.contract.dataset
        return Keeper(folder, self.scratch, ".csv", "csv")

    def _through(self, pulled: ArchivedFile, folder: Path) -> ArchivedFile:
        """The rows as they come through the door, in `folder`."""
        return pulled_through(self.door, pulled, self.source, folder, self.scratch)

    def _pull_keys(self, pull: Pull, source: DatabaseSource) -> ArchivedFile:
        mapped = [source.columns.get(name, name) for name in self.contract.key]
        columns = [name for name in mapped if isinstance(name, str)]
        self.key_names = [name for name in pull.columns() if name in columns]
        keeper = Keeper(self.scratch / "keys", self.scratch, ".csv", "csv")
        return self._through(pull.copy_keys(columns, keeper), self.scratch / "keys")

    def _with_missing(
        self, pull: Pull, source: DatabaseSource, known: datetime | None, archived: ArchivedFile, keys: ArchivedFile
    ) -> ArchivedFile:
        """The rows copied again with those that the source has and raw has not, though their cursor is older."""
        if known is None:
            return archived
        self._stage_keys(source, keys)
        columns = self._key_columns(source)
        texts = ", ".join(f"keys_there.{_text_name(name)}" for name in columns)
        same = " and ".join(
            f"keys_there.{quoted(name)} is not distinct from here.{quoted(name)}" for name in self.contract.key
        )
        copied = read_csv(archived, ",")
        places = {column.name: column.expression for column in copied.columns}
        in_copy = " and ".join(
            f"trim(copied.{places[column]}) is not distinct from keys_there.{_text_name(name)}"
            for name, column in columns.items()
        )
        missing = self.connection.execute(
            f"""
            select {texts} from keys_there
            where not exists (from raw.{self.contract.dataset} as here where {same})
                and not exists (from {copied.relation} as copied where {in_copy})
            """
        ).fetchall()
        if not missing:
            return archived
        self.say(f"{self.name}: {len(missing):,} rows are missing here, they are fetched")
        also = {column: [row[place] for row in missing] for place, column in enumerate(columns.values())}
        if archived.sha256 not in self.ledger.files:
            archived.path.unlink(missing_ok=True)
        by_key = len(missing) <= FETCHED_BY_KEY and not self.door.hashed  # a hash does not name a row there
        return pull.copy_rows(known if by_key else None, self._keeper(), also)

    def _key_columns(self, source: DatabaseSource) -> dict[str, str]:
        """The source's column of each key column that it has."""
        mapped = {name: source.columns.get(name, name) for name in self.contract.key}
        return {name: column for name, column in mapped.items() if isinstance(column, str) and column in self.key_names}

    def _stage_keys(self, source: DatabaseSource, keys: ArchivedFile) -> None:
        """The keys that the source has, in the temporary table `keys_there`; beside them their texts there."""
        key_columns = self._key_columns(source)
        of_keys = replace(
            self.contract,
            columns=(
                *(self.contract.column(name) for name in self.contract.key),
                *(Column(f"{name} as text", "text") for name in key_columns),
            ),
            rules=(),
            customer_columns={},
        )
        columns = {name: mapped for name, mapped in source.columns.items() if name in self.contract.key}
        columns |= {f"{name} as text": column for name, column in key_columns.items()}
        values = {name: mapped for name, mapped in source.values.items() if name in self.contract.key}
        create_stage(self.connection, of_keys, table="keys_there")
        stage_file(
            self.connection,
            of_keys,
            source.model_copy(update={"columns": columns, "values": values, "deletes": "ignore"}),
            keys,
            load_id=0,
            business_timezone=self.settings.business.timezone,
            max_quarantine_rate=1.0,
            scratch=self.scratch,
            table="keys_there",
        )
        ours = self.ledger.former_loads()
        here = f"from raw.{self.contract.dataset} where list_contains($1, _load_id) limit 1"
        if keys.records == 0 and self.connection.execute(here, [ours]).fetchone():
            raise SourceError("the source has no rows at all; nothing was deleted here")

    def beside(self) -> None:
        if not self.waiting:
            return
        load_id = self.waiting[0][1].result.load_id or 0
        if self.keys is not None:
            gone = remove_missing(self.connection, self.contract, source=self.name, load_id=load_id, now=self.now)
            self.check_deletes(gone, self.waiting[0][1].result.new)
        self._write_watermark(load_id)

    def _note_without_rows(self) -> None:
        self.connection.execute("begin transaction")
        self._write_watermark(max(known.load_id for known in self.ledger.files.values()))
        self.connection.execute("commit")

    def _write_watermark(self, load_id: int) -> None:
        if self.watermark is None:
            return
        self.connection.execute(
            "delete from raw.watermarks where source = $1 and dataset = $2", [self.name, self.contract.dataset]
        )
        self.connection.execute(
            "insert into raw.watermarks values ($1, $2, $3, $4, $5, $6)",
            [self.name, self.contract.dataset, self.watermark, load_id, self.now, self.greatest],
        )
