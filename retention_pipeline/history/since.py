"""What became of one figure since a moment: each restatement with its cause, and the rows behind it down to the line of
the archived file.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.history.known import figures_at, known_publication, with_whole_history
from retention_pipeline.history.publications import publications
from retention_pipeline.history.reported import ROW_KEY, instant
from retention_pipeline.history.restatement_tables import NOT_LISTED
from retention_pipeline.ingest.archive import UnusableFileError
from retention_pipeline.ingest.packed import Unpacked, copy_in
from retention_pipeline.kpis.keys import KEY
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import has_table

ROWS_AT_MOST, LINES_LOOKED_AT = 10, 2_000_000
DAY_OR_TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d(\.\d+)?")


@dataclass(frozen=True)
class Row:
    """A row behind a restatement. file: as it was delivered; copy: the archived one; line: counted from 1, None where
    it cannot be told (no text file, or the key stands nowhere in it).
    """

    customer_id: str | None
    dataset: str | None
    row_key: str | None
    numerator_delta: float | None
    denominator_delta: float | None
    file: str | None
    copy: str | None
    line: int | None


@dataclass(frozen=True)
class Step:
    """One publication's change by one cause. rows: the first few, and the line for those that are not listed (customer
    NOT_LISTED); more: how many others there are.
    """

    published_at: datetime
    generation: int
    cause: str
    other_causes: str | None
    old: float | None
    new: float | None
    delta: float
    old_numerator: float | None
    new_numerator: float | None
    numerator_delta: float | None
    old_denominator: float | None
    new_denominator: float | None
    denominator_delta: float | None
    old_n: int | None
    new_n: int | None
    rows: list[Row]
    more: int


SAID = tuple(one.name for one in fields(Step) if one.name not in ("rows", "more"))


@dataclass(frozen=True)
class Since:
    """was_known: whether the figure was published then (of open periods only everybody's are kept)."""

    moment: datetime
    published_at: datetime
    as_of: date
    was_known: bool
    value: float | None
    null_reason: str | None
    steps: list[Step]


def since(connection: duckdb.DuckDBPyConnection, home: Home, figure: dict[str, Any], moment: datetime) -> Since:
    """What became of a row of retention_kpis since the moment (naive UTC). Raises NotKnownThen."""
    with_whole_history(connection, home)
    publication = known_publication(publications(connection), moment)
    key = [figure[name] for name in ("kpi", *KEY)]
    is_it = " and ".join(f"{name} = ?" for name in ROW_KEY)
    then = connection.execute(
        f"select value, null_reason from ({figures_at(publication)}) where {is_it}", key
    ).fetchall()
    steps = []
    if has_table(connection, "restatements"):
        found = connection.execute(
            f"""
            select {", ".join(SAID)} from restatements
            where {is_it} and published_at > {instant(publication.published_at)} order by published_at, cause
            """,
            key,
        ).fetchall()
        steps = [_step(connection, home, key, dict(zip(SAID, row, strict=True))) for row in found]
    value, reason = then[0] if then else (None, None)
    return Since(moment, publication.published_at, publication.as_of, bool(then), value, reason, steps)


def _step(connection: duckdb.DuckDBPyConnection, home: Home, key: list[Any], said: dict[str, Any]) -> Step:
    causes = [said["cause"], *(said["other_causes"] or "").split(", ")]
    is_it = " and ".join(f"{name} = ?" for name in ROW_KEY)
    rows = connection.execute(
        f"""
        select customer_id, rows.dataset, row_key, numerator_delta, denominator_delta, file_name, sha256, cause
        from restatement_rows as rows left join pipeline_loads as loads using (load_id)
        where generation = ? and list_contains(?, cause) and {is_it}
        order by abs(numerator_delta) desc nulls last, customer_id nulls last, rows.dataset nulls last, row_key
        """,
        [said["generation"], causes, *key],
    ).fetchall()
    listed = [row for row in rows if row[0] != NOT_LISTED]
    rest = [row for row in rows if row[0] == NOT_LISTED and said["cause"] == row[-1]]
    shown = [_row(home, *row[:-1]) for row in (*listed[:ROWS_AT_MOST], *rest)]
    return Step(**said, rows=shown, more=len(listed) - len(listed[:ROWS_AT_MOST]))


def _row(
    home: Home,
    customer_id: str | None,
    dataset: str | None,
    row_key: str | None,
    numerator: float | None,
    denominator: float | None,
    file_name: str | None,
    sha256: str | None,
) -> Row:
    copy = None
    if dataset and sha256:
        copy = copy_in(home.archive / dataset, sha256)
    line = None
    if copy is not None and row_key:
        with Unpacked.to_look_at(home) as unpacked, suppress(UnusableFileError):
            line = line_of(unpacked.plain(copy), row_key, customer_id)
    named = str(copy) if copy else None
    return Row(customer_id, dataset, row_key, numerator, denominator, file_name, named, line)


def line_of(copy: Path, row_key: str, customer_id: str | None) -> int | None:
    """The first line of a text file in which every part of the key stands as a word of its own, and the customer's id,
    too, if there is such a line.
    """
    words = [_as_word(part) for part in row_key.replace(" 00:00:00", "").split(" ")]
    customer, first = _as_word(customer_id or ""), None
    for number, text in enumerate(_lines(copy), start=1):
        if all(word.search(text) for word in words):
            if customer.search(text):
                return number
            first = first or number
        if number >= LINES_LOOKED_AT:
            break
    return first


def _as_word(text: str) -> re.Pattern[str]:
    if DAY_OR_TIME.fullmatch(text):  # files also have a T between them, and a zone behind; midnight may be left out
        return re.compile(rf"(?<!\d){re.escape(text)}(?!\d)")
    return re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")


def _lines(copy: Path) -> Iterator[str]:
    with copy.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return
    opened = gzip.open if start[:2] == b"\x1f\x8b" else open
    with opened(copy, "rt", encoding="utf-8", errors="replace") as text:
        yield from text
