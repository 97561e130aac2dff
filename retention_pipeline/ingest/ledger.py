"""What was loaded, when, and what became of it: `raw.ledger`, `raw.deliveries`, `raw.quarantine`.

A file is known by its checksum within a dataset and source, whatever it is called. One that was refused stays known
too, so that it is named in every run until it goes away or the settings by which it was read change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime

import duckdb
import pyarrow as pa

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.bad_rows import BadRow
from retention_pipeline.ingest.landing import DeliveredFile
from retention_pipeline.ingest.result import LoadResult

RACY_SECONDS = 2.0
_NUMBERS = ("load_id", "bytes", "n_lines", "n_good", "n_bad", "n_blank", "n_new", "n_changed", "n_unchanged", "n_stale")
_TEXTS = ("dataset", "source", "file_name", "sha256", "status", "mode", "error", "drift", "mapping")
_LEDGER = pa.schema(
    [(name, pa.int64()) for name in _NUMBERS]
    + [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.timestamp("us")) for name in ("started_at", "finished_at")]
)


@dataclass(frozen=True)
class KnownFile:
    """A file as the ledger has it."""

    load_id: int
    status: str
    error: str | None
    mapping: str
    name: str


@dataclass
class LoadRecord:
    """One line of the ledger in the making; `columns` are those of the file, for the next file's drift."""

    result: LoadResult
    sha256: str | None
    size: int | None
    blank: int
    mode: str | None
    mapping: str
    columns: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)


@dataclass
class SourceLedger:
    """What is known of one source before its files are looked at: read in few queries, however many files."""

    files: dict[str, KnownFile]
    sizes: set[int]
    stamps: dict[str, tuple[str | None, str]]
    columns: list[str] | None
    given: list[str] | None
    loads: list[tuple[str, KnownFile]]

    def outdated(self, mapping: str) -> dict[str, KnownFile]:
        """The files, by checksum and in the order in which they came, that were last read by other settings."""
        last_read: dict[str, KnownFile] = {}
        for sha256, known in self.loads:
            last_read.pop(sha256, None)  # one that was taken again counts where it came last
            last_read[sha256] = known
        return {sha256: known for sha256, known in last_read.items() if known.mapping != mapping}

    def former_loads(self, sha256: str | None = None) -> list[int]:
        """The loads of a file, or of everything."""
        return [known.load_id for loaded, known in self.loads if sha256 in (None, loaded)]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, dataset: str, source: str) -> SourceLedger:
        files, sizes = {}, set()
        columns: list[str] | None = None
        given: list[str] | None = None
        loads = []
        for sha256, size, load_id, status, error, mapping, name, drift in connection.execute(
            """
            select sha256, bytes, load_id, status, error, mapping, file_name, drift
            from raw.ledger where dataset = $1 and source = $2 order by load_id
            """,
            [dataset, source],
        ).fetchall():
            known = files[sha256] = KnownFile(load_id, status, error, mapping, name)
            if status == "loaded":
                loads.append((sha256, known))
            sizes.add(size)
            if status == "loaded" and drift:
                seen = json.loads(drift)
                columns, given = seen["columns"], seen["given"]
        stamps = {
            name: (stamp, sha256)
            for name, stamp, sha256 in connection.execute(
                """
                select file_name, file_stamp, sha256 from raw.deliveries
                where dataset = $1 and source = $2 order by seen_at, rowid
                """,
                [dataset, source],
            ).fetchall()
        }
        return cls(files, sizes, stamps, columns, given, loads)

    def unchanged_sha256(self, file: DeliveredFile) -> str | None:
        """The checksum of a file that nobody touched since it was last read."""
        stamp, sha256 = self.stamps.get(file.name, (None, None))
        return sha256 if stamp is not None and stamp == file.stamp else None


def next_load_id(connection: duckdb.DuckDBPyConnection) -> int:
    """Load ids rise over all datasets, and are never given twice."""
    row = connection.execute("select coalesce(max(load_id), 0) + 1 from raw.ledger").fetchone()
    return int(row[0]) if row else 1


def write_loads(connection: duckdb.DuckDBPyConnection, records: list[LoadRecord], now: datetime) -> None:
    """Write the lines of loads, in place of earlier ones of the same bytes that did not succeed."""
    if not records:
        return
    lines = [_line(record, now) for record in records]
    with registered(connection, pa.Table.from_pylist(lines, schema=_LEDGER)):
        connection.execute(
            """
            delete from raw.ledger using written
            where ledger.status <> 'loaded' and ledger.dataset = written.dataset and ledger.source = written.source
                and ledger.sha256 = written.sha256
            """
        )
        connection.execute("insert into raw.ledger by name select * from written")
    for record in records:
        if record.bad_rows:
            _write_bad_rows(connection, record, now)


def _line(record: LoadRecord, now: datetime) -> dict[str, object]:
    result = record.result
    drift = {**asdict(result.drift), "columns": record.columns, "given": record.given}
    return {
        "load_id": result.load_id, "dataset": result.dataset, "source": result.source, "file_name": result.file_name,
        "sha256": record.sha256, "bytes": record.size, "n_lines": result.lines, "n_good": result.good,
        "n_bad": result.bad, "n_blank": record.blank, "n_new": result.new, "n_changed": result.changed,
        "n_unchanged": result.unchanged, "n_stale": result.stale, "status": result.status, "mode": record.mode,
        "error": result.error, "drift": json.dumps(drift), "mapping": record.mapping, "started_at": now,
        "finished_at": now,
    }  # fmt: skip


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> Iterator[None]:
    """`table` as the relation `written`."""
    connection.register("written", table)
    try:
        yield
    finally:
        connection.unregister("written")


def _write_bad_rows(connection: duckdb.DuckDBPyConnection, record: LoadRecord, now: datetime) -> None:
    rows = record.bad_rows
    bad_rows = pa.table(
        {
            "line": pa.array([row.line for row in rows], pa.int64()),
            "byte_position": pa.array([row.byte_position for row in rows], pa.int64()),
            "reason": pa.array([row.reason for row in rows], pa.string()),
            "raw": pa.array([row.raw for row in rows], pa.binary()),
            "key": pa.array([row.key for row in rows], pa.string()),
        }
    )
    with registered(connection, bad_rows):
        connection.execute(
            """
            insert into raw.quarantine by name
            select *, $1 as load_id, $2 as dataset, $3 as file_name, $4 as sha256, $5 as loaded_at from written
            """,
            [record.result.load_id, record.result.dataset, record.result.file_name, record.sha256, now],
        )


def write_deliveries(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    source: str,
    seen: list[tuple[DeliveredFile, str, int]],
    now: datetime,
    clock: float,
) -> None:
    """Write that files were seen: (file, checksum, load id of these bytes).

    A file changed within the last moments before `clock` (seconds) gets no stamp, for it could change again without
    a new one; it is hashed again next time.
    """
    if not seen:
        return
    table = pa.table(
        {
            "file_name": pa.array([file.name for file, _, _ in seen], pa.string()),
            "sha256": pa.array([sha256 for _, sha256, _ in seen], pa.string()),
            "load_id": pa.array([load_id for _, _, load_id in seen], pa.int64()),
            "bytes": pa.array([file.size for file, _, _ in seen], pa.int64()),
            "file_stamp": pa.array(
                [file.stamp if clock - file.changed_at > RACY_SECONDS else None for file, _, _ in seen], pa.string()
            ),
        }
    )
    with registered(connection, table):
        connection.execute(
            "insert into raw.deliveries by name select *, $1 as seen_at, $2 as dataset, $3 as source from written",
            [now, contract.dataset, source],
        )
