"""A file that is one JSON array, as many services give it, read as JSON lines: one line per element, written as it was
but for the line ends between its parts. Numbers keep their digits; no more than one element is held.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

from retention_pipeline.ingest.archive import UnusableFileError

CHUNK = 1 << 20
HEAD = 4096
BLANKS = " \t\r\n"
_DECODER = json.JSONDecoder()


class Text(Protocol):
    """What is read as text, so many signs at a time."""

    def read(self, size: int = -1, /) -> str: ...


def is_array(path: Path) -> bool:
    """Whether the first sign of an unpacked UTF-8 file begins an array."""
    with path.open("rb") as stream:
        return begins_array(stream.read(HEAD))


def begins_array(head: str | bytes) -> bool:
    text = head.decode("utf-8", "replace") if isinstance(head, bytes) else head
    return text.removeprefix("\ufeff").lstrip(BLANKS).startswith("[")


def json_lines(stream: IO[str]) -> Iterable[str]:
    """The lines of a stream of JSON from its beginning on; of an array, its elements as lines."""
    is_array = begins_array(stream.read(HEAD))
    stream.seek(0)
    return (f"{element}\n" for element in elements(stream)) if is_array else stream


def elements(stream: Text) -> Iterator[str]:
    """The elements of the array that a stream begins with, each on one line without its end; lines behind the array as
    they are. Raises UnusableFileError where the array is broken.
    """
    text = stream.read(CHUNK).removeprefix("\ufeff").lstrip(BLANKS).removeprefix("[")
    at, more, number = 0, CHUNK, 1
    while True:
        at = _behind_blanks(text, at)
        if text[at : at + 1] == "]":
            rest = text[at + 1 :] + stream.read()
            yield from (line for line in rest.split("\n") if line.strip(BLANKS))
            return
        try:
            _, end = _DECODER.raw_decode(text, at)
            after = _behind_blanks(text, end)
            if text[after : after + 1] not in (",", "]"):  # a number may go on
                raise json.JSONDecodeError("neither ',' nor ']' follows", text, after)
        except json.JSONDecodeError as error:
            added = stream.read(more)
            if not added:
                raise UnusableFileError(f"the JSON array is broken at its element {number:,}: {error.msg}") from None
            text, at, more = text[at:] + added, 0, 2 * more
            continue
        yield text[at:end].replace("\r", " ").replace("\n", " ")  # these never stand within a value
        at, number = after + (text[after] == ","), number + 1
        if at > CHUNK:
            text, at, more = text[at:], 0, CHUNK


def _behind_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at
