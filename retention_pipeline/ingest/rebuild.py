"""raw.duckdb made again from the archive: the bytes of every load, in the order in which they were loaded.

The order stands in the ledger of raw.duckdb, where that can still be read, in `pipeline_loads` of the published
generations, and in `archive/history/`, whose files name the loads that each publication was the first to contain; all
together, for none may have all. A file whose bytes come twice is loaded where it came first, as in
a night, and again where somebody had asked for it; a pull is loaded each time. What archived pulls cannot tell is which
rows the source had no longer (`deletes: compare_keys`): the next pull reads the whole table again and finds out.

The new file is made beside the old one and takes its place when it is whole.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.archive import take
from retention_pipeline.ingest.door import Door
from retention_pipeline.ingest.file_loader import FileLoader
from retention_pipeline.ingest.joined import ENDING, parts_of
from retention_pipeline.ingest.landing import DeliveredFile
from retention_pipeline.ingest.outcomes import note_outcome
from retention_pipeline.ingest.packed import Unpacked, copy_in
from retention_pipeline.ingest.result import DatabaseBrokenError, LoadResult
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.ingest.source_loader import SourceLoader
from retention_pipeline.settings import DatabaseSource, FileSource, Home, LakeSource, Settings
from retention_pipeline.warehouse import has_table, opened, opened_raw, sql_text

NAMED_AT_MOST = 5
NOT_AS_A_WHOLE = (
    "raw.duckdb cannot be rebuilt as a whole:\n{left_out}\n"
    "Nothing was changed. To take what the landing folders still have: retention doctor --mend --home {home}\n"
    "To leave out what is nowhere: retention rebuild --without-missing"
)


class CannotRebuild(Exception):
    """raw.duckdb cannot be made again as a whole; str() says what is missing. Nothing was changed."""


@dataclass(frozen=True)
class PastLoad:
    """A load as a ledger has it, and the copy of its bytes (None: there is none in the archive). `is_again`: the same
    bytes had been loaded before by the same settings, as somebody had asked for."""

    load_id: int
    dataset: str
    source: str
    file_name: str
    sha256: str
    loaded_at: datetime
    copy: Path | None
    is_again: bool = False


@dataclass
class Rebuilt:
    """loads: what came of each load. replaced: where the former raw.duckdb is now (None: there was none).

    left_out: loads without a copy or a source, in words; unknown: archived files that no ledger names.
    """

    loads: list[LoadResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    replaced: Path | None = None


def rebuild_raw(
    home: Home,
    settings: Settings,
    *,
    without_missing: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Rebuilt:
    """Make raw.duckdb anew; call under the writer lock. `without_missing`: loads whose copy or source is gone are left
    out instead of refusing. Raises CannotRebuild.
    """
    # Of what stands in the lake there are no copies here; the next run reads it there.
    loads = [load for load in past_loads(home) if not isinstance(settings.sources.get(load.source), LakeSource)]
    known = {load.sha256 for load in loads}
    for load in loads:
        if load.copy is not None and load.copy.suffix == ENDING:
            known |= {name.split(".")[0] for names in parts_of(load.copy).values() for name in names}
    result = Rebuilt(unknown=[path for path in archived_files(home) if path.name.split(".")[0] not in known])
    whole = _whole_copies(home, loads)
    damaged: set[Path] = set()
    for load in loads:
        if load.source not in settings.sources:
            result.left_out.append(f"{_named(load)}: settings.yaml has no source {load.source}")
        elif load.copy is None:
            result.left_out.append(f"{_named(load)}: its copy is not in {home.archive / load.dataset}")
        elif load.copy not in whole:
            damaged.add(load.copy)
            result.left_out.append(f"{_named(load)}: its copy {load.copy} is damaged")
    if result.left_out and not without_missing:
        raise CannotRebuild(NOT_AS_A_WHOLE.format(left_out=_some(result.left_out), home=home.root))
    usable = [
        load for load in loads if load.copy is not None and load.copy not in damaged and load.source in settings.sources
    ]
    if not usable:
        raise CannotRebuild(
            f"No ledger, no generation and no file of the history names a load whose copy is in {home.archive}."
            " To begin with what lies in the landing folders:"
            f" {f'move {home.raw_file} away, then ' if home.raw_file.exists() else ''}retention run --home {home.root}"
        )
    made = home.warehouse / "raw.rebuilt.duckdb"
    broken: dict[str, str] = {}
    while True:
        try:
            result.loads = _loaded_into(made, home, settings, usable, broken, progress)
            break
        except DatabaseBrokenError as error:  # begun anew, without reading these bytes
            if error.sha256 in broken:
                raise
            broken[error.sha256] = str(error)
    failed = [f"{load.dataset}: {load.file_name}: {load.error}" for load in result.loads if load.status == "failed"]
    if failed and not without_missing:
        made.unlink()
        raise CannotRebuild(NOT_AS_A_WHOLE.format(left_out=_some(failed), home=home.root))
    result.left_out += failed
    result.loads = [load for load in result.loads if load.status != "failed"]
    if home.raw_file.exists():
        result.replaced = _put_aside(home)
    os.replace(made, home.raw_file)
    return result


def _loaded_into(
    made: Path,
    home: Home,
    settings: Settings,
    loads: list[PastLoad],
    broken: dict[str, str],
    progress: Callable[[str], None] | None,
) -> list[LoadResult]:
    """Load everything into a new file; what is `broken` (how, by checksum) is refused without being read."""
    scratch = home.warehouse / "raw.scratch"
    for path in (made, made.with_name(f"{made.name}.wal")):
        path.unlink(missing_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)
    connection = open_raw(made)
    results = []
    unpacked = {name: Unpacked(scratch / "unpacked" / name) for name in settings.sources}
    try:
        for (name, loaded_at), group in itertools.groupby(loads, lambda load: (load.source, load.loaded_at)):
            source = settings.read_source(name)
            kind = ArchivedPulls if isinstance(source, DatabaseSource) else ArchivedFiles
            contract = CONTRACTS[settings.dataset_of(name)]
            loader = kind(connection, home, settings, name, source, contract, scratch, loaded_at, progress)
            loader.past, loader.broken = tuple(group), broken
            if isinstance(loader, ArchivedPulls):
                loader.unpacked = unpacked[name]
            results += loader.run()
        connection.execute("checkpoint raw_store")
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return results


def _put_aside(home: Home) -> Path:
    """Give the former raw.duckdb a second name; it keeps its own until the new one takes it."""
    replaced = home.warehouse / "raw.replaced.duckdb"
    replaced.unlink(missing_ok=True)
    try:
        os.link(home.raw_file, replaced)
    except OSError:  # a file system without links
        shutil.copy(home.raw_file, replaced)
    log = home.raw_file.with_name(f"{home.raw_file.name}.wal")
    if log.exists():  # else it would be applied to the new file
        os.replace(log, replaced.with_name(f"{replaced.name}.wal"))
    return replaced


def past_loads(home: Home) -> list[PastLoad]:
    """The loads that the ledger, the published generations and the archive of the history know, from the first on:
    files once, pulls each time.
    """
    found: dict[tuple[str, str, str, datetime], PastLoad] = {}
    read_by: dict[tuple[str, str, str], str] = {}
    rows = _ledger_of_raw(home)
    for file in sorted(home.published.glob("g*.duckdb")) if home.published.exists() else ():
        rows += _loads_of_generation(file)
    for file in sorted((home.archive / "history").glob("*.parquet")):
        rows += _loads_of_history(file)
    for load_id, dataset, source, file_name, sha256, loaded_at, mapping in rows:
        if sha256 is not None and dataset in CONTRACTS:
            copy = copy_in(home.archive / dataset, sha256)
            is_again = mapping is not None and read_by.get((dataset, source, sha256)) == mapping
            read_by[dataset, source, sha256] = mapping or ""
            load = PastLoad(load_id, dataset, source, file_name, sha256, loaded_at, copy, is_again)
            found.setdefault((dataset, source, sha256, loaded_at), load)
    return sorted(found.values(), key=lambda load: (load.loaded_at, load.load_id))


def _whole_copies(home: Home, loads: list[PastLoad]) -> set[Path]:
    """The copies that have the bytes of their names."""
    copies = dict.fromkeys(load.copy for load in loads if load.copy is not None)
    with Unpacked(home.warehouse / "raw.scratch" / "unpacked") as unpacked:
        return {copy for copy in copies if unpacked.is_whole(copy)}


def archived_files(home: Home) -> list[Path]:
    """The copies in the archive."""
    folders = [home.archive / dataset for dataset in CONTRACTS]
    return sorted(path for folder in folders if folder.exists() for path in folder.iterdir() if _is_copy(path))


def _is_copy(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _ledger_of_raw(home: Home) -> list[tuple[Any, ...]]:
    """Also refused files, which are refused again, or loaded where the settings have changed."""
    if not home.raw_file.exists():
        return []
    try:
        with opened_raw(home) as connection:
            return connection.execute(
                "select load_id, dataset, source, file_name, sha256, finished_at, mapping"
                " from raw.ledger order by load_id"
            ).fetchall()
    except duckdb.Error:  # it is damaged, which may be why it is to be rebuilt
        return []


def _loads_of_generation(file: Path) -> list[tuple[Any, ...]]:
    try:
        with opened(file, read_only=True) as connection:
            if not has_table(connection, "pipeline_loads"):
                return []
            return connection.execute(
                "select load_id, dataset, source, file_name, sha256, loaded_at, null"
                " from pipeline_loads order by load_id"
            ).fetchall()
    except duckdb.Error:
        return []


def _loads_of_history(file: Path) -> list[tuple[Any, ...]]:
    try:
        with opened(Path(":memory:")) as connection:
            return connection.execute(
                "select load_id, dataset, source, file_name, sha256, loaded_at, null"
                f" from read_parquet({sql_text(str(file))}) where record = 'pipeline_loads' order by load_id"
            ).fetchall()
    except duckdb.Error:  # it is damaged, or was written before loads were in it
        return []


@dataclass
class ArchivedFiles(FileLoader):
    """Files of a source as they were loaded once, from their copies."""

    past: Sequence[PastLoad] = ()
    guards_deletes = False  # what happened has been let in

    def made_door(self) -> Door:
        return Door()  # the copies have been through it

    def load(self) -> None:
        assert isinstance(self.source, FileSource)
        for load in self.past:
            assert load.copy is not None
            self.load_id = max(self.load_id, load.load_id)
            self.reload = frozenset([load.file_name] if load.is_again else [])
            # No stamp: the file in the landing folder is looked at again by the next run.
            file = DeliveredFile(load.copy, load.file_name, load.copy.stat().st_size, "", math.inf)
            self._look_at(file, self.source)
            self._commit_when_enough()


@dataclass
class ArchivedPulls(SourceLoader):
    """Pulls of a source as they were loaded once, from their copies; what a pull says holds, as it did then."""

    past: Sequence[PastLoad] = ()
    unpacked: Unpacked | None = None
    rereads_of_ties_only = True

    def made_door(self) -> Door:
        return Door()

    def load(self) -> None:
        for load in self.past:
            assert load.copy is not None and self.unpacked is not None
            self.load_id = max(self.load_id, load.load_id)
            plain = self.unpacked.plain(load.copy)
            record = self.new_record(load.file_name, plain.stat().st_size)
            record.sha256, record.result.is_pull = load.sha256, True
            self.rereads[record.result.load_id or 0] = self.ledger.former_loads()
            try:
                self.stage(take(plain, "csv", self.scratch / "pulled", self.scratch), record)
            except Exception as error:
                note_outcome(record.result, error)
            self.wait(None, record)
            self.commit_batch()
            shutil.rmtree(self.scratch / "pulled", ignore_errors=True)


def _named(load: PastLoad) -> str:
    return f"{load.dataset}: {load.file_name}, loaded {load.loaded_at:%Y-%m-%d %H:%M} UTC"


def _some(lines: list[str]) -> str:
    more = [f"and {len(lines) - NAMED_AT_MOST:,} more"] if len(lines) > NAMED_AT_MOST else []
    return "\n".join(f"  {line}" for line in [*lines[:NAMED_AT_MOST], *more])
