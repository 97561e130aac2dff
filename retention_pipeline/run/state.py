"""The table `pipeline_state`. One row: what the warehouse it stands in was made from."""

from dataclasses import astuple, dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from retention_pipeline.ingest.identity import RawIdentity
from retention_pipeline.warehouse import has_table, opened

CREATE = """
create or replace table pipeline_state (
    generation bigint not null,
    applied_load_id bigint not null,
    as_of date not null,
    settings_fingerprint varchar not null,
    code_fingerprint varchar not null,
    kpi_fingerprint varchar not null,
    run_id varchar not null,
    built_at timestamp not null,
    raw_id varchar,
    raw_epoch bigint,
    raw_stamp varchar,
    fresh_bytes bigint,
    fresh_rows bigint,
    kept_settings varchar
)
"""


@dataclass(frozen=True)
class PipelineState:
    """applied_load_id: the highest load of raw that the figures contain (-1: none). built_at: naive UTC. raw_*: which
    raw.duckdb that was, and how far it had come (ingest/identity.py). fresh_*: size and rows of the file when
    it was last written as a whole (publish/compaction.py). kept_settings: those on which its sums depend, as JSON.
    """

    generation: int
    applied_load_id: int
    as_of: date
    settings_fingerprint: str
    code_fingerprint: str
    kpi_fingerprint: str
    run_id: str
    built_at: datetime
    raw_id: str | None = None
    raw_epoch: int | None = None
    raw_stamp: str | None = None
    fresh_bytes: int | None = None
    fresh_rows: int | None = None
    kept_settings: str | None = None

    @property
    def raw_identity(self) -> RawIdentity | None:
        """None of a generation of before raw had an identity."""
        if self.raw_id is None or self.raw_epoch is None or self.raw_stamp is None:
            return None
        return RawIdentity(self.raw_id, self.raw_epoch, self.raw_stamp)


def read_state(warehouse_file: Path) -> PipelineState | None:
    """The state of a warehouse file, None if there is no such file. Raises duckdb.Error if it is none."""
    if not warehouse_file.exists():
        return None
    with opened(warehouse_file, read_only=True) as connection:
        return state_of(connection)


def state_of(connection: duckdb.DuckDBPyConnection) -> PipelineState | None:
    """The state of the open warehouse, None if no run has written one."""
    if not has_table(connection, "pipeline_state"):
        return None
    cursor = connection.execute("select * from pipeline_state")
    names = [column[0] for column in cursor.description or []]
    row = cursor.fetchone()
    return PipelineState(**dict(zip(names, row, strict=True))) if row else None


def write_state(connection: duckdb.DuckDBPyConnection, state: PipelineState) -> None:
    """Replace the row."""
    connection.execute(CREATE)
    values = list(astuple(state))
    connection.execute(f"insert into pipeline_state values ({', '.join('?' for _ in values)})", values)
