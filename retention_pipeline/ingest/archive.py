"""The archive: the bytes of every file that was ever looked at, under the checksum of its content.

A file is copied, hashed and its lines are counted in one pass, and from there on only the copy is read: what happens
to the original in the meantime does not matter.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import re
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from retention_pipeline.ingest.lines import BLOCK, LineCounts

Format = Literal["csv", "parquet", "jsonl", "xlsx"]
_NUMBERS = itertools.count()


class UnusableFileError(Exception):
    """The file cannot be loaded at all; the text says why, in words for the one who delivered it."""


class StillBeingWrittenError(Exception):
    """The file changed while it was copied."""


@dataclass(frozen=True)
class ArchivedFile:
    """A copy of a delivered file. `plain` is the copy without compression (the same path where there was none).

    One that was made readable (`is_prepared`) has other bytes than the archive; `line_offset` is by how much a line's
    number in the delivered file is greater. Where the sender told it, `records` is the number of rows, and `types` has
    the DuckDB types of columns by name.
    """

    path: Path
    plain: Path
    sha256: str
    size: int
    format: Format
    counts: LineCounts
    records: int | None = None
    line_offset: int = 0
    is_prepared: bool = False
    types: dict[str, str] = field(default_factory=dict)


def checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def take(path: Path, file_format: Format, folder: Path, scratch: Path, delimiter: str = ",") -> ArchivedFile:
    """Copy a file into `folder`; `scratch` takes what lives only as long as the load, `delimiter` parts its values.

    Raises UnusableFileError for broken compression, StillBeingWrittenError if the file changed meanwhile.
    """
    before = os.stat(path)
    compressed = path.suffix == ".gz"
    ending = "".join(path.suffixes[-2:] if compressed else path.suffixes[-1:])
    if not re.fullmatch(r"[A-Za-z0-9.]{2,20}", ending):  # not every name may stand in the archive
        ending = f".{file_format}{'.gz' if compressed else ''}"
    keeper = Keeper(folder, scratch, ending, file_format, delimiter)
    try:
        with path.open("rb") as source:
            while block := source.read(BLOCK):
                keeper.feed(block)
    except BaseException:
        keeper.discard()
        raise
    after = os.stat(path)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        keeper.discard()
        raise StillBeingWrittenError(path)
    return keeper.keep()


class Keeper:
    """Takes the blocks of one file into the archive: writes, hashes and counts them in one pass.

    A full block is worked on in two threads while the next one is fetched; nearly all of that is done outside of
    Python.
    """

    def __init__(self, folder: Path, scratch: Path, ending: str, file_format: Format, delimiter: str = ",") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        self.folder, self.ending, self.format = folder, ending, file_format
        self.partial = scratch / f"{os.getpid()}.copy"
        self.plain = scratch / f"plain {next(_NUMBERS)}" if ending.endswith(".gz") else None
        self.digest = hashlib.sha256()
        self.counts = LineCounts(delimiter=delimiter if file_format == "csv" else None)
        self.lines = _Lines(self.counts, self.plain)
        self.copy = self.partial.open("wb")
        self.size = 0
        self.broken: str | None = None
        self.threads = ThreadPoolExecutor(max_workers=2)
        self.at_work: list[Future[None]] = []

    def feed(self, block: bytes | bytearray) -> None:
        """Take a block, which must not change afterwards; waits until the one before is done with."""
        self._finish_block()
        self.size += len(block)
        if len(block) < BLOCK:
            self._store(block)
            self._count(block)
        else:
            self.at_work = [self.threads.submit(self._store, block), self.threads.submit(self._count, block)]

    def _store(self, block: bytes | bytearray) -> None:
        self.digest.update(block)
        self.copy.write(block)

    def _count(self, block: bytes | bytearray) -> None:
        if self.format not in ("parquet", "xlsx") and self.broken is None:
            self.broken = self.lines.feed(block)

    def _finish_block(self) -> None:
        at_work, self.at_work = self.at_work, []
        for work in at_work:
            work.result()

    def discard(self) -> None:
        """Forget the file: nothing of it comes into the archive."""
        self.threads.shutdown()
        self.copy.close()
        self.lines.close()
        self.partial.unlink(missing_ok=True)

    def keep(self, records: int | None = None) -> ArchivedFile:
        """Move the copy to its place; raises UnusableFileError for broken compression."""
        self._finish_block()
        self.threads.shutdown()
        self.copy.close()
        cut = self.lines.close()
        sha256 = self.digest.hexdigest()
        archived = self.folder / (sha256 + self.ending)
        os.replace(self.partial, archived)
        if self.broken or cut:
            raise UnusableFileError(self.broken or cut)
        return ArchivedFile(archived, self.plain or archived, sha256, self.size, self.format, self.counts, records)


class _Lines:
    """Feeds the blocks of a file to the counts, unpacked where the file is compressed."""

    def __init__(self, counts: LineCounts, plain: Path | None) -> None:
        self.counts = counts
        self.unpack = zlib.decompressobj(wbits=31) if plain else None
        self.plain = plain.open("wb") if plain else None

    def feed(self, block: bytes | bytearray) -> str | None:
        """Take a block; the result says what is wrong with the compression."""
        if self.unpack is None or self.plain is None:
            self.counts.feed(block)
            return None
        try:
            while block:
                text = self.unpack.decompress(block)
                self.counts.feed(text)
                self.plain.write(text)
                block = self.unpack.unused_data
                if self.unpack.eof and block.strip(b"\0"):  # gzip files may be several, one after another
                    self.unpack = zlib.decompressobj(wbits=31)
                elif self.unpack.eof:
                    block = b""
        except (zlib.error, gzip.BadGzipFile) as error:
            return f"the gzip compression is broken: {error}"
        return None

    def close(self) -> str | None:
        self.counts.finish()
        if self.plain is not None and self.unpack is not None:
            self.plain.close()
            if not self.unpack.eof:
                return "the gzip compression ends too early"
        return None
