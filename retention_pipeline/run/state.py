"""The table `pipeline_state`. One row: what the warehouse it stands in was made from."""

from dataclasses import astuple, dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from retention_pipeline.warehouse import opened, tables_in

CREATE = """
create or replace table pipeline_state (
    generation bigint not null,
    applied_load_id bigint not null,
    as_of date not null,
    settings_fingerprint varchar not null,
    code_fingerprint varchar not null,
    kpi_fingerprint varchar not null,
    run_id varchar not null,
    built_at timestamp not null
)
"""


@dataclass(frozen=True)
class PipelineState:
    """applied_load_id: the highest load of raw that the figures contain (-1: none). built_at: naive UTC."""

    generation: int
    applied_load_id: int
    as_of: date
    settings_fingerprint: str
    code_fingerprint: str
    kpi_fingerprint: str
    run_id: str
    built_at: datetime


def read_state(warehouse_file: Path) -> PipelineState | None:
    """The state of a warehouse file, None if there is no such file. Raises duckdb.Error if it is none."""
    if not warehouse_file.exists():
        return None
    with opened(warehouse_file, read_only=True) as connection:
        return state_of(connection)


def state_of(connection: duckdb.DuckDBPyConnection) -> PipelineState | None:
    """The state of the open warehouse, None if no run has written one."""
    if "pipeline_state" not in tables_in(connection):
        return None
    row = connection.execute("select * from pipeline_state").fetchone()
    return PipelineState(*row) if row else None


def write_state(connection: duckdb.DuckDBPyConnection, state: PipelineState) -> None:
    """Replace the row."""
    connection.execute(CREATE)
    connection.execute("insert into pipeline_state values (?, ?, ?, ?, ?, ?, ?, ?)", list(astuple(state)))
