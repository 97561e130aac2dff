"""A source whose query joins files (`inputs`): all of them are one delivery, known by the checksums of its parts.

What is archived of it is the list of the parts, a file `<sha256>.inputs`, beside the parts themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from retention_pipeline.ingest.archive import ArchivedFile, Format, StillBeingWrittenError, UnusableFileError, take
from retention_pipeline.ingest.door import Door
from retention_pipeline.ingest.landing import NO_FORMAT, DeliveredFile, at_hand, delivered_files, format_of
from retention_pipeline.ingest.ledger import SourceLedger
from retention_pipeline.ingest.through_the_door import take_through
from retention_pipeline.settings import FileSource, Home

ENDING = ".inputs"
Parts = dict[str, list[str]]


class MissingInput(Exception):
    """There is nothing to join; str() says what is missing, or cannot be read."""


def delivered_parts(
    home: Home, source: FileSource, folder: Path, scratch: Path, ledger: SourceLedger, door: Door
) -> tuple[Parts, list[tuple[DeliveredFile, str]]]:
    """(by relation the archived files in order of name, the delivered files with their checksums).

    With `delivery: whole` of each relation the newest file alone. Raises MissingInput, UnusableFileError,
    StillBeingWrittenError, CloudError.
    """
    parts: Parts = {}
    delivered = []
    for relation, paths in {"rows": source.paths, **source.input_paths}.items():
        files = delivered_files(home, source.model_copy(update={"path": paths}), with_waiting=True)
        if not files:
            raise MissingInput(f"no file at {', '.join(paths)}")
        if any(file.waits for file in files):  # without it, the rows that it gave would be gone
            raise StillBeingWrittenError(next(file.name for file in files if file.waits))
        parts[relation] = []
        for file in files[-1:] if source.delivery == "whole" else files:
            if file.problem is not None:
                raise MissingInput(f"{file.name}: {file.problem}")
            sha256 = ledger.unchanged_sha256(file)
            archived = next(folder.glob(f"{sha256}.*"), None) if sha256 else None
            if archived is None or sha256 is None:
                with at_hand(file, scratch / "fetched") as here:
                    form = format_of_part(here.path, source)
                    taken = take_through(door, here.path, form, source, folder, scratch)
                archived, sha256 = taken.path, taken.sha256
            parts[relation].append(archived.name)
            delivered.append((file, sha256))
    return parts, delivered


def written(parts: Parts, folder: Path) -> Path:
    """The list of parts in the archive."""
    content = json.dumps(parts, sort_keys=True).encode()
    path = folder / f"{hashlib.sha256(content).hexdigest()}{ENDING}"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    return path


def parts_of(path: Path) -> Parts:
    parts: Parts = json.loads(path.read_bytes())
    return parts


def taken_parts(file: ArchivedFile, source: FileSource, scratch: Path) -> dict[str, list[ArchivedFile]]:
    """The parts of an archived list, ready to be read."""
    folder = file.path.parent

    def taken(path: Path) -> ArchivedFile:
        if not path.exists():
            raise UnusableFileError(f"its part {path.name} is no longer in the archive")
        return take(path, format_of_part(path, source), folder, scratch, source.delimiter)

    return {relation: [taken(folder / name) for name in names] for relation, names in parts_of(file.path).items()}


def format_of_part(path: Path, source: FileSource) -> Format:
    """The format of one of the files; raises MissingInput where nothing says it."""
    found = format_of(path, source)
    if found is None:
        raise MissingInput(f"{path.name}: {NO_FORMAT}")
    return found
