"""Which files a source has delivered: found by its paths, in order of name, without those still being written."""

from __future__ import annotations

import glob
import os
import time
from dataclasses import dataclass
from pathlib import Path

from retention_pipeline.ingest.archive import Format
from retention_pipeline.settings import FileSource, Home

UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True)
class DeliveredFile:
    """A file in the landing folder. `name` is relative to the home; `stamp` changes whenever the file does."""

    path: Path
    name: str
    size: int
    stamp: str
    changed_at: float


def delivered_files(home: Home, source: FileSource) -> list[DeliveredFile]:
    """The files of a source, in order of name; unfinished ones are left for the next run."""
    found: dict[str, DeliveredFile] = {}
    for pattern in source.paths:
        for path_text in glob.glob(str(home.root / pattern), recursive=True):
            path = Path(path_text)
            if path.name.startswith((".", "_")) or path.name.endswith(UNFINISHED):
                continue
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            if not path.is_file() or time.time() - status.st_mtime < source.settle_seconds:
                continue
            name = str(path.relative_to(home.root)) if path.is_relative_to(home.root) else str(path)
            stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"
            found[name] = DeliveredFile(path, name, status.st_size, stamp, max(status.st_mtime, status.st_ctime))
    return [found[name] for name in sorted(found)]


def format_of(path: Path, source: FileSource) -> Format | None:
    """The format of a file: as the settings say, else by its ending; None if that says nothing."""
    name = path.name.removesuffix(".gz")
    return source.format or FORMATS.get(Path(name).suffix.lower())
