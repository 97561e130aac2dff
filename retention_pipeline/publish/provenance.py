"""From which raw.duckdb and which loads a generation was made: the table `pipeline_loads`, and whether both still fit.

pipeline_loads: one row per load whose rows the figures contain: load_id, dataset, source, file_name, sha256, rows,
loaded_at (naive UTC).
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from retention_pipeline import formatting
from retention_pipeline.ingest.identity import RawIdentity, has_been, raw_identity
from retention_pipeline.settings import DatabaseSource, Home, Settings
from retention_pipeline.warehouse import attach, has_table, opened, opened_raw

COLUMNS = """
    load_id bigint not null,
    dataset varchar not null,
    source varchar not null,
    file_name varchar not null,
    sha256 varchar,
    rows bigint not null,
    loaded_at timestamp not null
"""
NAMED_AT_MOST = 5


class RawLacksLoads(Exception):
    """raw.duckdb does not hold what the published figures were made from; str() says what, and what to do."""


@dataclass(frozen=True)
class Mismatch:
    """Why raw.duckdb and a generation do not belong together (one line), and the loads of the generation that raw does
    not hold, each in words.
    """

    reason: str
    lost: list[str]

    def lost_in_words(self) -> str:
        """The loads that raw no longer holds, a line each."""
        more = len(self.lost) - NAMED_AT_MOST
        return "\n".join(
            f"  {one}" for one in [*self.lost[:NAMED_AT_MOST], *([f"and {more:,} more"] if more > 0 else [])]
        )


def write_pipeline_loads(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Create `pipeline_loads` in the open warehouse."""
    connection.execute(f"create or replace table pipeline_loads ({COLUMNS})")
    if not home.raw_file.exists():
        return
    attach(connection, home.raw_file, "raw_of_loads")
    try:
        connection.execute(
            """
            insert into pipeline_loads
            select load_id, dataset, source, coalesce(file_name, ''), sha256, coalesce(n_good, 0), finished_at
            from raw_of_loads.raw.ledger where status = 'loaded' order by load_id
            """
        )
    finally:
        connection.execute("detach raw_of_loads")


def mismatch(home: Home, settings: Settings, generation_file: Path, noted: RawIdentity | None) -> Mismatch | None:
    """Why a generation and raw.duckdb do not belong together, None if they do. `noted`: what the generation says of the
    raw that it was made from.
    """
    there = raw_identity(home)
    if noted is None and there is None:
        return None
    if noted is not None and there is not None and has_been(home, noted):
        return None
    name = generation_file.resolve().stem
    if noted is None:
        reason = f"{name} does not say which raw.duckdb it was made from"
    elif there is None or there.raw_id != noted.raw_id:
        reason = f"raw.duckdb is not the one that {name} was made from"
    else:
        reason = f"raw.duckdb is an earlier copy of the one that {name} was made from"
    return Mismatch(reason, _lost_loads(home, settings, generation_file))


def _lost_loads(home: Home, settings: Settings, generation_file: Path) -> list[str]:
    """The loads of a generation that raw does not hold. A pull is lost only where its source was not pulled again: a
    new raw.duckdb reads all of a table.
    """
    with opened(generation_file.resolve(), read_only=True) as connection:
        if not has_table(connection, "pipeline_loads"):
            return []
        had = connection.execute(
            "select dataset, source, file_name, sha256, rows, loaded_at from pipeline_loads where rows > 0"
            " order by load_id"
        ).fetchall()
    holds: set[tuple[str, str | None]] = set()
    sources: set[str] = set()
    if home.raw_file.exists():
        with opened_raw(home) as connection:
            for dataset, source, sha256 in connection.execute(
                "select dataset, source, sha256 from raw.ledger where status = 'loaded'"
            ).fetchall():
                holds.add((dataset, sha256))
                sources.add(source)
    pulled = {name for name, source in settings.sources.items() if isinstance(source, DatabaseSource)} & sources
    return [
        f"{dataset}: {file_name}, {formatting.counted(rows, 'row')}, loaded {formatting.moment(loaded_at)}"
        for dataset, source, file_name, sha256, rows, loaded_at in had
        if (dataset, sha256) not in holds and source not in pulled
    ]
