"""One file onto the stage: a temporary table of typed rows, from which `versions` brings them into the raw table.

Nothing durable happens here. When `stage_file` returns, every line of the file is a row of the stage, a refused row
with its reason, the header, or blank; a file for which that does not add up is read again line by line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.archive import ArchivedFile, UnusableFileError
from retention_pipeline.ingest.bad_rows import BadRow, bad_lines, bad_parquet_rows, bad_slow_rows
from retention_pipeline.ingest.checks import stage_query
from retention_pipeline.ingest.file_query import LINE, queried
from retention_pipeline.ingest.mapping import Mapping, fitting_types, map_columns
from retention_pipeline.ingest.prepared import fitting_encoding, needs_preparing, prepared
from retention_pipeline.ingest.quarantine import told_key
from retention_pipeline.ingest.readers import Reading, read_csv, read_json_lines, read_parquet
from retention_pipeline.ingest.schema import BROKEN, first_line, literal, quoted
from retention_pipeline.ingest.slow_path import SlowReading, read_csv_slowly, read_lines_slowly
from retention_pipeline.settings import FileSource, Ids, Made, Source

REJECT_REASONS = {
    "MISSING COLUMNS": "too few values for the header",
    "TOO MANY COLUMNS": "too many values for the header",
    "INVALID ENCODING": "the line is not valid UTF-8",
    "UNQUOTED VALUE": "a quote is not closed, or text follows a closing quote",
    "LINE SIZE OVER MAXIMUM": "the line is longer than 16 MB",
}


class TooManyBadError(Exception):
    """More of a load was refused than `max_quarantine_rate` allows; `staged` says what."""

    def __init__(self, staged: Staged, rate: float) -> None:
        self.staged = staged
        share = staged.bad / (staged.good + staged.bad)
        example = staged.bad_rows[0] if staged.bad_rows else None
        text = f"{staged.bad} of {staged.good + staged.bad} rows refused ({share:.1%}, allowed {rate:.1%})"
        super().__init__(f"{text}; first: line {example.line}: {example.reason}" if example else text)


@dataclass
class Staged:
    """What became of one file: rows on the stage under its load id, and refused rows."""

    load_id: int
    mapping: Mapping
    lines: int = 0
    blank: int = 0
    good: int = 0
    bad: int = 0
    mode: Literal["fast", "slow"] = "fast"
    bad_rows: list[BadRow] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def _watched(contract: Contract, source: FileSource) -> list[str]:
    """The columns of a file that contract columns are taken from as they stand."""
    mapped = (source.columns.get(name, name) for name in contract.names)
    names = (one.column if isinstance(one, Made) else one for one in mapped)
    return [name for name in names if isinstance(name, str)]


class AccountingError(Exception):
    """Lines are unaccounted for."""


def create_stage(connection: duckdb.DuckDBPyConnection, contract: Contract, table: str = "stage") -> None:
    """An empty stage for rows of one dataset: a temporary table."""
    typed = ", ".join(f"{quoted(name)} {kind}" for name, kind in contract.typed_columns)
    connection.execute(
        f"create or replace temp table {table}"
        f" ({typed}, _extra varchar, _error varchar, _load_id bigint, _deleted boolean)"
    )


def stage_file(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    source: Source,
    file: ArchivedFile,
    *,
    load_id: int,
    business_timezone: str,
    max_quarantine_rate: float,
    scratch: Path,
    table: str = "stage",
) -> Staged:
    """Bring the rows of a file onto the stage.

    Raises UnusableFileError for a file that cannot be loaded at all and TooManyBadError beyond the allowed share of
    refused rows; the stage then holds nothing of the file.
    """
    stager = _Stager(connection, contract, source, file, load_id, business_timezone, scratch, table)
    try:
        staged = stager.stage()
        allowed = max_quarantine_rate * (staged.good + staged.bad)
        if staged.bad > allowed:
            stager.find_bad_rows(staged, only=1)
            raise TooManyBadError(staged, max_quarantine_rate)
        stager.find_bad_rows(staged)
    except BROKEN:
        raise
    except Exception:
        stager.clear()
        raise
    return staged


@dataclass
class _Stager:
    connection: duckdb.DuckDBPyConnection
    contract: Contract
    source: Source
    file: ArchivedFile
    load_id: int
    business_timezone: str
    scratch: Path
    table: str
    rejected_at: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    rejected_for: list[str] = field(default_factory=list)
    slow: SlowReading | None = None
    hints: list[str] = field(default_factory=list)

    @property
    def delimiter(self) -> str:
        return self.source.separator if isinstance(self.source, FileSource) else ","

    def stage(self) -> Staged:
        if isinstance(self.source, FileSource):
            if needs_preparing(self.file, self.source):
                self.file = prepared(self.file, self.source, self.scratch, self.load_id)
            if self.source.has_query:
                watched = _watched(self.contract, self.source)
                self.file, self.hints = queried(self.file, self.source, self.scratch, self.load_id, watched)
        counts = self.file.counts
        if self.file.format == "parquet":
            return self._stage_parquet()
        is_csv = self.file.format == "csv"
        over_lines = is_csv and counts.lines_with_open_quote > 0
        needs_care = counts.nul_bytes or counts.is_mixed or counts.stray_quotes
        needs_care = bool(needs_care or (over_lines and self.file.records is None))
        lines = None
        if needs_care and not is_csv:
            self.slow = read_lines_slowly(self.file, self.scratch)
            lines = f"read_parquet({literal(str(self.slow.path))})"
        reading = read_csv(self.file, self.delimiter) if is_csv else read_json_lines(self.connection, self.file, lines)
        mapping = map_columns(self.contract, self.source, reading.columns)
        if not is_csv:
            self._check_paths(reading, mapping)
        expected = counts.lines - counts.blank - reading.header_lines
        if over_lines and self.file.records is not None:
            expected = self.file.records  # the sender has counted its rows, however many lines they take
        types = fitting_types(self.contract, self.source, mapping, self.file.types)
        if types and not needs_care:
            staged = self._stage_typed(types, expected)
            if staged is not None:
                return staged
        mode: Literal["fast", "slow"] = "fast"
        try:
            if needs_care:
                raise AccountingError
            rows = self._insert(reading, mapping)
            self._fetch_rejects()
            if rows + len(self.rejected_at) != expected:
                raise AccountingError
            if over_lines and (len(self.rejected_at) or self._count_wrong()):
                raise AccountingError  # where the bad rows stand is found line by line
        except BROKEN:
            raise
        except (duckdb.Error, AccountingError):
            self.clear()
            mode = "slow"
            try:
                rows = self._insert_slowly(reading, mapping, counts.lines - counts.blank)
            except (duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
                raise UnusableFileError(f"the file cannot be read: {first_line(error)}") from None
        return self._staged(mapping, rows, counts.lines, counts.blank, mode)

    def _stage_typed(self, types: dict[str, str], expected: int) -> Staged | None:
        """Read values by the types that the sender told; None, and nothing staged, where anything is not right, for
        what is wrong with a row is said by the text of its values."""
        reading = read_csv(self.file, self.delimiter, types)
        mapping = map_columns(self.contract, self.source, reading.columns)
        try:
            rows = self._insert(reading, mapping)
            self._fetch_rejects()
            if rows == expected and len(self.rejected_at) == 0 and self._count_wrong() == 0:
                return self._staged(mapping, rows, self.file.counts.lines, self.file.counts.blank, "fast")
        except BROKEN:
            raise
        except duckdb.Error:
            pass
        self.clear()
        return None

    def _stage_parquet(self) -> Staged:
        reading = read_parquet(self.connection, self.file)
        columns = [column for column in reading.columns if column.name != LINE]
        mapping = map_columns(self.contract, self.source, columns)
        self._check_paths(reading, mapping)
        path = literal(str(self.file.plain))
        try:
            row = self.connection.execute(f"select num_rows from parquet_file_metadata({path})").fetchone()
            rows = self._insert(reading, mapping)
        except BROKEN:
            raise
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise UnusableFileError(f"the columns of the source fail: {first_line(error)}") from None
        except duckdb.Error as error:
            raise UnusableFileError(f"not a complete Parquet file: {first_line(error)}") from None
        if row is None or rows != row[0]:
            raise UnusableFileError(f"the Parquet file promises {row and row[0]} rows and has {rows}")
        return self._staged(mapping, rows, rows, 0, "fast")

    def _check_paths(self, reading: Reading, mapping: Mapping) -> None:
        """Refuse a file whose objects never have the part that the settings name, as one refuses a missing column."""
        for name, given in mapping.given.items():
            if given is None or given.holder is None:
                continue
            is_object, has_part = given.holder
            row = self.connection.execute(
                f"select count(*) filter (where {is_object}), count(*) filter (where {has_part})"
                f" from {reading.relation}"
            ).fetchone()
            if row and row[0] and not row[1]:
                path = self.source.columns.get(name) or (self.source.ids or Ids()).path
                raise UnusableFileError(f"columns that the settings name are missing: {path} (for {name})")

    def _insert(self, reading: Reading, mapping: Mapping) -> int:
        """Put the rows of a relation onto the stage; the result is their number."""
        self.connection.execute("drop table if exists stage_rejects; drop table if exists stage_scans")
        query = stage_query(
            self.contract,
            self.source,
            mapping,
            reading.relation,
            business_timezone=self.business_timezone,
            load_id=str(self.load_id),
            row_error=reading.row_error,
            whole_row=reading.whole_row,
        )
        inserted = self.connection.execute(f"insert into {self.table} {query}").fetchone()
        rows = int(inserted[0]) if inserted else 0
        if mapping.counts_equal_rows:
            self._number_equal_rows(mapping.hashed or "")
        if mapping.refunds_share_ids:
            self._number_equal_rows("order_id", "refund_of is not null")
        return rows

    def _number_equal_rows(self, name: str, condition: str = "true") -> None:
        key = quoted(name)
        self.connection.execute(
            f"""
            update {self.table} set {key} = {key} || '-' || equal_rows.position
            from (
                select rowid as stage_row, row_number() over (partition by {key} order by rowid) as position
                from {self.table} where _load_id = {self.load_id} and _error is null and {condition}
            ) as equal_rows
            where {self.table}.rowid = equal_rows.stage_row and equal_rows.position > 1
            """
        )

    def _fetch_rejects(self) -> None:
        """Where DuckDB could not take a line, and why; a line with several errors counts once."""
        rows = self.connection.execute(
            """
            select line_byte_position - 1 as position, string_agg(distinct error_type, ',' order by error_type)
            from stage_rejects group by position order by position
            """
        ).fetchall()
        self.rejected_at = np.array([position for position, _ in rows], dtype=np.int64)
        self.rejected_for = [
            "; ".join(REJECT_REASONS.get(kind, kind.lower()) for kind in kinds.split(",")) for _, kinds in rows
        ]

    def _insert_slowly(self, reading: Reading, mapping: Mapping, expected: int) -> int:
        if self.file.format == "csv":
            self.slow = read_csv_slowly(self.file, self.delimiter, reading.width, reading.header_lines, self.scratch)
        elif self.slow is None:
            self.slow = read_lines_slowly(self.file, self.scratch)
        relation = f"read_parquet({literal(str(self.slow.path))})"
        if self.file.format == "csv":
            reading = Reading(relation, reading.columns, width=reading.width)
        else:
            reading = read_json_lines(self.connection, self.file, relation)
            mapping = map_columns(self.contract, self.source, reading.columns)
        rows = self._insert(reading, mapping)
        if rows != len(self.slow.lines) or self.slow.accounted_lines != expected:
            raise UnusableFileError(
                f"the lines do not add up: {expected} in the file, {self.slow.accounted_lines} accounted for"
            )
        return rows

    def _staged(self, mapping: Mapping, rows: int, lines: int, blank: int, mode: Literal["fast", "slow"]) -> Staged:
        wrong = self._count_wrong()
        rejected = len(self.slow.rejected) if self.slow else len(self.rejected_at)
        return Staged(self.load_id, mapping, lines, blank, rows - wrong, wrong + rejected, mode, hints=self.hints)

    def _count_wrong(self) -> int:
        found = self.connection.execute(
            f"select count(*) from {self.table} where _load_id = {self.load_id} and _error is not null"
        ).fetchone()
        return int(found[0]) if found else 0

    def find_bad_rows(self, staged: Staged, only: int | None = None) -> None:
        """Fill `staged.bad_rows` with line, position, reason and bytes, in the order of the file."""
        if staged.bad == 0:
            return
        limit = f"limit {only}" if only else ""
        wrong = self.connection.execute(
            f"""
            select rowid - (select min(rowid) from {self.table} where _load_id = {self.load_id}) as position, _error,
                {told_key(self.contract)}
            from {self.table} where _load_id = {self.load_id} and _error is not null order by rowid {limit}
            """
        ).fetchall()
        positions = np.array([position for position, *_ in wrong], dtype=np.int64)
        reasons = [(reason, key) for _, reason, key in wrong]
        if self.file.format == "parquet":
            staged.bad_rows = bad_parquet_rows(self.connection, self.file, positions, reasons)
        elif self.slow is not None:
            staged.bad_rows = bad_slow_rows(self.file, self.slow, positions, reasons)
        else:
            staged.bad_rows = bad_lines(self.file, positions, reasons, self.rejected_at, self.rejected_for)
        for row in staged.bad_rows:
            if "not valid UTF-8" in row.reason and isinstance(self.source, FileSource):
                row.reason += f" (encoding: {fitting_encoding(row.raw)} reads it)"
            if self.file.is_prepared and self.file.format != "parquet":
                row.line, row.byte_position = (row.line or 0) + self.file.line_offset, None

    def clear(self) -> None:
        """Take the file's rows off the stage again."""
        self.connection.execute(f"delete from {self.table} where _load_id = {self.load_id}")
        self.rejected_at = np.empty(0, dtype=np.int64)
        self.rejected_for = []
