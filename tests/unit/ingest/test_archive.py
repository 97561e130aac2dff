"""A file is copied, hashed and counted in blocks, of which full ones are worked on beside the reading."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from random import Random

import pytest

from retention_pipeline.ingest import archive
from retention_pipeline.ingest.lines import LineCounts

BLOCK = 1000


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK", BLOCK)


def some_lines(rows: int) -> bytes:
    chance = Random(7)
    texts = ['"a ""quoted"" text"', "plain", "", '"two\nlines"', "with\rreturn"]
    return b"".join(f"{row},{chance.choice(texts)}\n".encode() for row in range(rows))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 37 * BLOCK, 40_321])
def test_whatever_the_blocks_bytes_checksum_and_counts_are_those_of_the_whole(tmp_path: Path, size: int) -> None:
    content = some_lines(10_000)[:size]
    delivered = tmp_path / "orders.csv"
    delivered.write_bytes(content)
    taken = archive.take(delivered, "csv", tmp_path / "archive", tmp_path / "scratch")
    whole = LineCounts()
    whole.feed(content)
    whole.finish()
    assert taken.path.read_bytes() == content
    assert (taken.sha256, taken.size) == (hashlib.sha256(content).hexdigest(), size)
    assert (taken.counts.lines, taken.counts.quotes, taken.counts.lines_with_open_quote, taken.counts.crlf_lines) == (
        whole.lines, whole.quotes, whole.lines_with_open_quote, whole.crlf_lines,
    )  # fmt: skip
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_compressed_file_is_kept_as_it_is_and_counted_as_text(tmp_path: Path) -> None:
    content = some_lines(10_000)
    delivered = tmp_path / "orders.csv.gz"
    delivered.write_bytes(gzip.compress(content, mtime=0))
    taken = archive.take(delivered, "csv", tmp_path / "archive", tmp_path / "scratch")
    assert taken.plain.read_bytes() == content
    assert taken.counts.lines == content.count(b"\n")


def test_a_disk_that_fills_up_beside_the_reading_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered = tmp_path / "orders.csv"
    delivered.write_bytes(some_lines(10_000))
    store = archive.Keeper._store

    def full_disk(keeper: archive.Keeper, block: bytes) -> None:
        if keeper.size > 5 * BLOCK:
            raise OSError(28, "No space left on device")
        store(keeper, block)

    monkeypatch.setattr(archive.Keeper, "_store", full_disk)
    with pytest.raises(OSError, match="No space left"):
        archive.take(delivered, "csv", tmp_path / "archive", tmp_path / "scratch")
    assert list((tmp_path / "archive").iterdir()) == list((tmp_path / "scratch").iterdir()) == []
