"""Which files a source has delivered: found by its paths, in order of name, without those still being written."""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from retention_pipeline.ingest.archive import Format, StillBeingWrittenError
from retention_pipeline.ingest.cloud import ChangedMeanwhileError, CloudError, Store, Stored, is_in_cloud
from retention_pipeline.ingest.result import IngestError
from retention_pipeline.settings import FileSource, Home, Settings

TOGETHER = 60.0  # seconds; copies made in one go differ by less
OPEN_LINE_SECONDS = 60.0  # so long a file waits whose last line has no end
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
NO_FORMAT = "the file's extension does not say its format (csv, csv.gz, parquet, jsonl, xlsx)"
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".xlsx": "xlsx",
}


@dataclass(frozen=True)
class DeliveredFile:
    """A file in the landing folder. `name` is relative to the home; `stamp` changes whenever the file does.

    `changed_at`: when it changed last, its place in the folder included; `modified_at`: when its content did (seconds).
    `problem`: why nobody can read it, or the folder that `path` then is. `waits`: why the next run takes it and this
    one does not. `stored`: the object in a cloud that it is; `path` then is its last name alone.
    """

    path: Path
    name: str
    size: int = 0
    stamp: str = ""
    changed_at: float = 0
    modified_at: float = 0
    problem: str | None = None
    waits: str | None = None
    stored: Stored | None = None


def delivered_files(home: Home, source: FileSource, *, with_waiting: bool = False) -> list[DeliveredFile]:
    """The files of a source, in natural order of name (9 before 10); unfinished ones are left for the next run, and
    named only `with_waiting`.
    """
    found: dict[str, DeliveredFile] = {}
    store = Store(source)
    for pattern in source.paths:
        if is_in_cloud(pattern):
            found |= _objects(store, pattern, source)
            continue
        for folder in _closed_folders(home.root, pattern):
            name = _name(home, folder)
            found[name] = DeliveredFile(folder, name, problem="the folder cannot be read: permission denied")
        for path in _found(home.root, pattern):
            if not _is_finished(path.name):
                continue
            name = _name(home, path)
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                found[name] = DeliveredFile(path, name, problem=f"cannot be read: {error.strerror}")
                continue
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(_named_in_full(home.root, pattern))):
                found[name] = DeliveredFile(path, name, problem="is a link that leaves the folder of its source")
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            waits = _unsettled(path, status, source)
            if waits and not with_waiting:
                continue
            stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"
            found[name] = DeliveredFile(
                path, name, status.st_size, stamp, max(status.st_mtime, status.st_ctime), status.st_mtime, waits=waits
            )
    return [found[name] for name in sorted(found, key=natural_order)]


def closed_paths(home: Home, source: FileSource) -> list[Path]:
    """Folders and files on this machine that a source names and this process may not read."""
    local = [pattern for pattern in source.paths if not is_in_cloud(pattern)]
    folders = [folder for pattern in local for folder in _closed_folders(home.root, pattern)]
    files = [path for pattern in local for path in _found(home.root, pattern)]
    return list(dict.fromkeys([*folders, *(path for path in sorted(files) if not os.access(path, os.R_OK))]))


def _objects(store: Store, pattern: str, source: FileSource) -> dict[str, DeliveredFile]:
    """The objects that a pattern names, by name."""
    try:
        listed = store.listed(pattern)
    except CloudError as error:
        return {pattern: DeliveredFile(Path(pattern), pattern, problem=f"cannot be listed: {error}")}
    return {
        one.name: DeliveredFile(
            Path(PurePosixPath(one.name).name),
            one.name,
            one.size,
            one.stamp,
            one.changed_at,
            one.changed_at,
            stored=one,
        )
        for one in listed
        if _is_finished(PurePosixPath(one.name).name) and time.time() - one.changed_at >= (source.settle_seconds or 0)
    }


def _found(root: Path, pattern: str) -> list[Path]:
    """What a pattern names; what the path of the home has of a pattern's signs is its name."""
    return [Path(found) for found in glob.glob(os.path.join(glob.escape(str(root)), pattern), recursive=True)]


def _named_in_full(root: Path, pattern: str) -> Path:
    """The folder that a pattern names without a sign; links on the way behind it may not lead out of it."""
    named = Path(pattern).parent
    while glob.has_magic(str(named)):
        named = named.parent
    return root / named


def _unsettled(path: Path, status: os.stat_result, source: FileSource) -> str | None:
    """Why a file may still be written: it changed a moment ago, as the settings say or with a last line that has no
    end.
    """
    age = time.time() - status.st_mtime
    if source.settle_seconds is not None:
        within = f"it changed less than {source.settle_seconds:g} s ago (settle_seconds)"
        return within if age < source.settle_seconds else None
    if age >= OPEN_LINE_SECONDS or status.st_size == 0 or path.suffix == ".gz":
        return None
    file_format = format_of(path, source)
    if file_format not in ("csv", "jsonl"):
        return None
    ends = b"\n\r\0]" if file_format == "jsonl" else b"\n\r\0"  # an array ends in its bracket
    with suppress(OSError), path.open("rb") as stream:  # who may not read it is told later
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) not in ends:
            return (
                f"it changed less than {OPEN_LINE_SECONDS:.0f} s ago and its last line has no end, so it may still be"
                " being written (settle_seconds: 0 would take it at once)"
            )
    return None


def _is_finished(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.endswith(UNFINISHED)


@contextmanager
def at_hand(file: DeliveredFile, folder: Path) -> Iterator[DeliveredFile]:
    """The file where it can be read: an object is fetched into `folder`, and goes with the end of this.

    Raises CloudError, StillBeingWrittenError if the object changed since it was listed.
    """
    if file.stored is None:
        yield file
        return
    try:
        here = file.stored.fetch(folder)
    except ChangedMeanwhileError as error:
        raise StillBeingWrittenError(file.name) from error
    try:
        yield replace(file, path=here, stored=None)
    finally:
        here.unlink(missing_ok=True)


def names_of(home: Home, settings: Settings, given: list[str]) -> list[str]:
    """The names, as the ledger has them, of files that a user names by a path from the current or the home folder.

    Raises IngestError where no source has such a file.
    """
    if not given:
        return []
    known = {
        os.path.realpath(file.path) if file.stored is None else file.name: file.name
        for source in settings.sources.values()
        if isinstance(source, FileSource)
        for file in delivered_files(home, source)
    }
    names, unknown = [], []
    for path in given:
        real = [path, os.path.realpath(path), os.path.realpath(home.root / path)]
        found = next((known[one] for one in real if one in known), None)
        names.append(found or path)
        unknown += [] if found else [path]
    if unknown:
        raise IngestError(f"no source has the file {', '.join(unknown)} (settings: sources.<name>.path)")
    return names


def newest_of(files: list[DeliveredFile]) -> DeliveredFile:
    """The file that came last: of those that came together, as copies do, the last by name."""
    latest = max(file.changed_at for file in files)
    return [file for file in files if file.changed_at > latest - TOGETHER][-1]


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key in which numbers within a name count as numbers: export_9 before export_10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)], name


def _name(home: Home, path: Path) -> str:
    """A path as it is told and written down; bytes that are not UTF-8 become \\xff."""
    shown = path.relative_to(home.root) if path.is_relative_to(home.root) else path
    return os.fsencode(shown).decode("utf-8", "backslashreplace")


def _closed_folders(root: Path, pattern: str) -> list[Path]:
    """The folders on the way of a pattern that may not be listed; glob passes over them without a word."""
    path = root / pattern
    parts, home_parts = path.parts, len(root.parts) if path.is_relative_to(root) else 0
    folders = {parts[0]}
    closed = []
    for position, part in enumerate(parts[1:], start=2):
        entered: set[str] = set()
        for folder in folders:
            if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
                closed.append(Path(folder))
            elif position == len(parts) and part != "**":
                continue  # files
            elif position <= home_parts:
                entered.add(os.path.join(folder, part))
            elif part == "**":
                entered.update(found for found, _, _ in os.walk(folder))
            elif glob.has_magic(part):
                entered.update(glob.glob(os.path.join(glob.escape(folder), part)))
            else:
                entered.add(os.path.join(folder, part))
        folders = entered
    return sorted(closed)


def format_of(path: Path, source: FileSource) -> Format | None:
    """The format of a file: as the settings say, else by its extension; None if that says nothing (NO_FORMAT)."""
    if source.inputs and path.suffix == ".inputs":
        return "jsonl"
    name = path.name.removesuffix(".gz")
    return source.format or FORMATS.get(Path(name).suffix.lower())
