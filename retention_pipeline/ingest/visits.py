"""When each source was asked, and whether it answered: `raw.source_visits`. One row per source and run that asked it.

Files are known by `raw.deliveries` and loads by `raw.ledger`; here stands what leaves no trace there:
a source that could not be loaded, and a pull that brought what was known.

visited_at    the time of the run (naive UTC)
rows          of a pull: how many rows it had; null for files
error         what was not loaded, and why; null where everything could be
"""

from __future__ import annotations

from datetime import datetime

import duckdb

from retention_pipeline.ingest.result import LoadResult

CREATE = """
create table if not exists raw.source_visits (
    visited_at timestamp, dataset varchar, source varchar, rows bigint, error varchar
)
"""
NOT_LOADED = ("refused", "too_many_bad", "failed")


def write_visit(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    source: str,
    loads: list[LoadResult],
    *,
    is_pull: bool,
    now: datetime,
) -> None:
    """Write down a visit, in place of an earlier one of the same run (a step that is tried again)."""
    connection.execute(CREATE)
    connection.execute(
        "delete from raw.source_visits where dataset = $1 and source = $2 and visited_at = $3", [dataset, source, now]
    )
    connection.execute(
        "insert into raw.source_visits values ($1, $2, $3, $4, $5)",
        [now, dataset, source, _rows(connection, dataset, source, loads) if is_pull else None, _error(loads)],
    )


def _error(loads: list[LoadResult]) -> str | None:
    """The first load that failed, and how many more there are."""
    failed = [load for load in loads if load.status in NOT_LOADED]
    if not failed:
        return None
    more = f" (and {len(failed) - 1:,} more)" if len(failed) > 1 else ""
    return f"{failed[0].file_name}: {failed[0].error}{more}"


def _rows(connection: duckdb.DuckDBPyConnection, dataset: str, source: str, loads: list[LoadResult]) -> int | None:
    """The rows of a pull; one that brought the same bytes as the last has as many rows as that."""
    if any(load.status in NOT_LOADED for load in loads):
        return None
    if all(load.status == "already_loaded" for load in loads):
        row = connection.execute(
            "select n_good + n_bad from raw.ledger where dataset = $1 and source = $2 and status = 'loaded' "
            "order by load_id desc limit 1",
            [dataset, source],
        ).fetchone()
        return row[0] if row else None
    return sum(load.good + load.bad for load in loads)
