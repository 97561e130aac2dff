"""Counting lines by blocks gives what counting them one by one gives, wherever the blocks are cut."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retention_pipeline.ingest.lines import LineCounts, LineIndex

texts = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b'"', b",", b"\0", b"\n\n"]), max_size=40).map(b"".join)


def physical_lines(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


@given(texts, st.integers(1, 7))
def test_counts_are_those_of_the_lines_one_by_one(text: bytes, block: int) -> None:
    counts = LineCounts()
    for start in range(0, len(text), block):
        counts.feed(text[start : start + block])
    counts.finish()
    lines = physical_lines(text)
    assert counts.lines == len(lines)
    assert counts.blank == sum(line in (b"", b"\r") for line in lines)
    assert counts.lines_with_open_quote == sum(line.count(b'"') % 2 for line in lines)
    assert (counts.quotes, counts.nul_bytes) == (text.count(b'"'), text.count(b"\0"))
    assert counts.crlf_lines == text.count(b"\r\n")
    assert counts.head == text


@given(texts)
def test_the_index_finds_every_line_that_is_not_blank(text: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        index = LineIndex.of(Path(file.name))
    expected = [(number, line) for number, line in enumerate(physical_lines(text), 1) if line not in (b"", b"\r")]
    found = [
        (int(number), text[start:end])
        for number, start, end in zip(index.numbers, index.starts, index.ends, strict=True)
    ]
    assert found == expected
    assert index.number_at(np.array(index.starts, dtype=np.int64)).tolist() == list(range(len(expected)))
