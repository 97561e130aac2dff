"""What a run of ingestion reports: one `LoadResult` per file or pull, together an `IngestResult`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LoadStatus = Literal["loaded", "already_loaded", "refused", "too_many_bad", "failed"]


class IngestError(Exception):
    """Ingestion cannot be trusted as it stands; the text says why in words for a user.

    `result` tells of the loads that were done all the same.
    """

    def __init__(self, message: str, result: IngestResult | None = None) -> None:
        super().__init__(message)
        self.result = result


class DatabaseBrokenError(Exception):
    """DuckDB broke on the bytes of one file, and raw.duckdb has to be opened again; `sha256` names the file."""

    def __init__(self, sha256: str, reason: str) -> None:
        super().__init__(reason)
        self.sha256 = sha256


@dataclass(frozen=True)
class Drift:
    """How a file's columns differ from the contract: `added` went to `_extra`, `missing` optional ones became null."""

    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass
class LoadResult:
    """One file or pull. lines − header − blank = good + bad, and good = new + changed + unchanged + stale.

    `new`: keys that were not there; `changed`: rows that replaced another version; `unchanged`: the same content was
    there; `stale`: a newer version was there or came with them. `load_id` is None for a file that was loaded before.
    `hints`: what looks wrong about rows that could be loaded. Of a pull (`is_pull`), `file_name` is the table, or
    `query`.
    """

    dataset: str
    source: str
    file_name: str
    status: LoadStatus
    load_id: int | None = None
    lines: int = 0
    good: int = 0
    bad: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    error: str | None = None
    drift: Drift = field(default_factory=Drift)
    hints: list[str] = field(default_factory=list)
    is_pull: bool = False


@dataclass
class IngestResult:
    """All loads of a run, in order; `max_load_id` is the highest load in raw.duckdb afterwards (0: none).

    `without_files`: the paths of the sources for which there was no file at all, neither new nor known; `waiting`:
    files that are left for the next run, and why.
    """

    loads: list[LoadResult] = field(default_factory=list)
    without_files: list[str] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    max_load_id: int = 0

    @property
    def refused(self) -> list[LoadResult]:
        """Files that were not loaded at all."""
        return [load for load in self.loads if load.status in ("refused", "too_many_bad", "failed")]
