"""Pulls in the archive, packed (zstd), each as what it has beyond an earlier one.

A pull of a whole table is nearly the one of the night before. So the copy of the n-th pull of a source is kept as its
difference from an earlier one, whose checksum stands in its name: `<sha256>.csv.<sha256 of that>.zst`; one that stands
alone is `<sha256>.csv.zst`. The earlier one is that whose number is n without its lowest binary digit that is set: from
none is it more than log2(n) steps to one that stands alone, and in order each is one step from those before it.
Nothing is lost: unpacked, a copy has the bytes of its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import zstandard

from retention_pipeline.ingest.archive import UnusableFileError, checksum
from retention_pipeline.settings import Home

PACKED = ".zst"
SEGMENT, MARGIN = 1 << 21, 1 << 20  # bytes packed at once; bytes of the earlier copy looked at before and behind
HASH_LOG = 22  # enough to find every place of what is looked at
PACKED_AT_ONCE = 50  # copies in a night, where an earlier version left many
LINES_TRIED = 10
SHORTEST = 64  # bytes worth looking at
WINDOW = 1 << 24  # more than a segment and what is looked at


def is_packed(path: Path) -> bool:
    return path.suffix == PACKED


def checksum_of(path: Path) -> str:
    """The checksum that a copy's name says."""
    return path.name.split(".")[0]


def base_of(path: Path) -> str | None:
    """The checksum of the copy that a packed one is the difference from; None where it stands alone."""
    parts = path.name.split(".")
    return parts[2] if is_packed(path) and len(parts) == 4 else None


def copy_in(folder: Path, sha256: str) -> Path | None:
    """The copy with these bytes, the plain one where there are two."""
    return next(iter(sorted(folder.glob(f"{sha256}.*"), key=is_packed)), None)


class Unpacked:
    """Archived copies as plain files, in a scratch folder of its own that goes with the end of the block.

    The copies that the last one was a difference from are kept, so that reading in order unpacks each once.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    @classmethod
    def to_look_at(cls, home: Home) -> Unpacked:
        """For who only reads, beside whatever else runs."""
        return cls(home.warehouse / f"unpacked-{os.getpid()}")

    def __enter__(self) -> Unpacked:
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)

    def plain(self, path: Path) -> Path:
        """The copy with its own bytes; the path itself where it is not packed. Raises UnusableFileError."""
        if not is_packed(path):
            return path
        chain = [path]
        while (base := base_of(chain[-1])) is not None:
            earlier = copy_in(path.parent, base)
            if earlier is None or earlier in chain:
                raise UnusableFileError(f"{chain[-1].name} builds on {base}, which is not in the archive")
            chain.append(earlier)
            if not is_packed(earlier):
                break
        wanted = {self._place(one) for one in chain if is_packed(one)}
        self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in set(self.scratch.iterdir()) - wanted:
            left.unlink()
        before: Path | None = None
        for one in reversed(chain):
            here = self._place(one) if is_packed(one) else one
            if not here.exists():
                unfinished = here.with_suffix(".unfinished")
                _unpack(one, before, unfinished)
                os.replace(unfinished, here)
            before = here
        assert before is not None
        return before

    def is_whole(self, path: Path) -> bool:
        """Whether a copy has the bytes that its name is the checksum of."""
        try:
            return checksum(self.plain(path)) == checksum_of(path)
        except UnusableFileError:
            return False

    def _place(self, path: Path) -> Path:
        return self.scratch / f"{checksum_of(path)}.csv"


def remove_left(home: Home) -> None:
    """Remove what was left behind by who was killed; call under the writer lock."""
    for path in home.archive.glob("*/.*.unfinished"):
        path.unlink()
    for folder in home.warehouse.glob("unpacked-*"):
        process = folder.name.removeprefix("unpacked-")
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def in_order(files: Iterable[Path]) -> list[Path]:
    """Copies so that each comes soon after the one that it is the difference from."""
    found, by_base = [], defaultdict[str | None, list[Path]](list)
    for path in files:
        by_base[base_of(path)].append(path)
    there = {checksum_of(path) for paths in by_base.values() for path in paths}
    waiting = [path for base, paths in by_base.items() if base not in there for path in paths]
    while waiting:
        path = waiting.pop()
        found.append(path)
        waiting += by_base.pop(checksum_of(path), [])
    return found


def pack(plain: Path, sha256: str, folder: Path, base: tuple[str, Path] | None) -> Path:
    """Write the packed copy of a plain file into `folder`. base: checksum and plain file of the one that it is kept as
    the difference from."""
    middle = f".{base[0]}" if base else ""
    target = folder / f"{sha256}.csv{middle}{PACKED}"
    unfinished = target.with_name(f".{sha256}.unfinished")
    with plain.open("rb") as reading, unfinished.open("wb") as writing:
        for segment, near in _segments(lambda _: reading.read(SEGMENT), base[1] if base else None):
            size = max(10, (len(segment) + len(near)).bit_length())
            parameters = zstandard.ZstdCompressionParameters.from_level(
                3,
                window_log=size,
                write_content_size=1,
                **({"hash_log": HASH_LOG, "strategy": zstandard.STRATEGY_FAST, "min_match": 6} if near else {}),
            )
            packer = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(near))
            writing.write(packer.compress(segment))
        writing.flush()
        os.fsync(writing.fileno())
    os.replace(unfinished, target)
    return target


def pack_pulls(dataset_folder: Path, pulls: Sequence[str], scratch: Path) -> int:
    """Pack the plain copies of a source's pulls; returns how many. `pulls`: the checksums of all of them, each once, in
    the order in which they were loaded first.
    """
    done = 0
    with Unpacked(scratch) as unpacked:
        for number, sha256 in enumerate(pulls):
            plain = dataset_folder / f"{sha256}.csv"
            if not plain.exists():
                continue
            there = [path for path in dataset_folder.glob(f"{sha256}.*{PACKED}")]
            if not there:
                if done == PACKED_AT_ONCE:
                    return done
                made = pack(plain, sha256, dataset_folder, _base(dataset_folder, pulls, number, unpacked))
                if not unpacked.is_whole(made):
                    made.unlink()
                    continue
                done += 1
            plain.unlink()
    return done


def _base(folder: Path, pulls: Sequence[str], number: int, unpacked: Unpacked) -> tuple[str, Path] | None:
    """The earlier copy that the pull of a number is kept as the difference from."""
    while number:
        number &= number - 1
        sha256 = pulls[number]
        path = copy_in(folder, sha256)
        if path is not None and unpacked.is_whole(path):
            return sha256, unpacked.plain(path)
    return None


def without(folder: Path, leaving: set[str], scratch: Path) -> None:
    """Delete copies; those that are differences from them are written anew to stand alone."""
    with Unpacked(scratch) as unpacked:
        for path in sorted(folder.glob(f"*{PACKED}")):
            if base_of(path) in leaving and checksum_of(path) not in leaving:
                try:
                    pack(unpacked.plain(path), checksum_of(path), folder, None)
                except UnusableFileError:
                    continue  # damaged before, which `retention doctor` tells
                path.unlink()
    for sha256 in leaving:
        for path in folder.glob(f"{sha256}.*"):
            path.unlink()


def _unpack(path: Path, base: Path | None, target: Path) -> None:
    """Raises UnusableFileError for a damaged copy, or one that builds on other bytes."""
    with path.open("rb") as reading, target.open("wb") as writing:
        left = b""

        def next_segment(near: bytes) -> bytes:
            nonlocal left
            unpacker = zstandard.ZstdDecompressor(dict_data=_dictionary(near), max_window_size=WINDOW).decompressobj()
            parts: list[bytes] = []
            while not unpacker.eof:
                block = left or reading.read(SEGMENT)
                if not block and not parts:
                    return b""
                if not block:
                    raise UnusableFileError(f"{path.name} ends too early")
                parts.append(unpacker.decompress(block))
                left = unpacker.unused_data
            return b"".join(parts)

        try:
            for segment, _ in _segments(next_segment, base):
                writing.write(segment)
        except zstandard.ZstdError as error:
            raise UnusableFileError(f"{path.name} is damaged: {error}") from None


def _segments(next_segment: Callable[[bytes], bytes], base: Path | None) -> Iterator[tuple[bytes, bytes]]:
    """(a segment, what the earlier copy has near its place), to the end. Both who packs and who unpacks knows the
    segments before, so both find the same places, also where rows have come or gone in between.
    """
    place = 0
    with contextlib.ExitStack() as held:
        earlier = held.enter_context(base.open("rb")) if base else io.BytesIO()
        while True:
            begin = max(0, place - MARGIN)
            earlier.seek(begin)
            near = earlier.read(SEGMENT + 2 * MARGIN)
            segment = next_segment(near)
            if not segment:
                return
            yield segment, near
            place = _place_behind(segment, near, begin, place + len(segment))


def _place_behind(segment: bytes, near: bytes, begin: int, otherwise: int) -> int:
    """Where the earlier copy goes on behind a segment: behind the last line of it that both have."""
    end = segment.rfind(b"\n")
    for _ in range(LINES_TRIED):
        start = segment.rfind(b"\n", 0, max(end, 0))
        if start < 0:
            break
        found = near.find(segment[start : end + 1])
        if found >= 0:
            return begin + found + len(segment) - start
        end = start
    return otherwise


def _dictionary(near: bytes) -> zstandard.ZstdCompressionDict | None:
    if len(near) < SHORTEST:
        return None
    return zstandard.ZstdCompressionDict(near, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
