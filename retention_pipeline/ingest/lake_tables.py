"""What raw knows of rows that stand in the lake and never come by here: `raw.lake_tables`, one row per dataset whose
source is a table of the lake, of its last load.

load_id           the load; its tables bear the number
stamp             what told the state of the table (files, a version); null: nothing does, so it is always read
rows, replaced    how many current rows there are, and how many in the history
without_customer  rows that name no customer
earliest, latest  of the instant in the data that `data_quality` tells
with_values       names, as a JSON list, of the columns of the contract and of `_extra` that have a value in any row
reasons           refused rows by kind of reason, as a JSON object
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

import duckdb

from retention_pipeline.settings import LakeSource, Settings
from retention_pipeline.warehouse import has_table

CREATE = """
create table if not exists raw.lake_tables (
    dataset varchar, source varchar, load_id bigint, stamp varchar, rows bigint, replaced bigint,
    without_customer bigint, earliest timestamp, latest timestamp, with_values varchar, reasons varchar
)
"""


@dataclass(frozen=True)
class LakeTable:
    """One row of `raw.lake_tables`."""

    dataset: str
    source: str
    load_id: int
    stamp: str | None = None
    rows: int = 0
    replaced: int = 0
    without_customer: int = 0
    earliest: datetime | None = None
    latest: datetime | None = None
    with_values: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)


def lake_tables(raw: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, LakeTable]:
    """By dataset what is known of its rows in the lake, from the open raw store; of those alone whose source the
    settings still have there.
    """
    if not has_table(raw, "lake_tables", schema="raw"):
        return {}
    names = [one.name for one in fields(LakeTable)]
    found = {}
    for row in raw.execute(f"select {', '.join(names)} from raw.lake_tables").fetchall():
        known = dict(zip(names, row, strict=True))
        known |= {"with_values": tuple(json.loads(known["with_values"])), "reasons": json.loads(known["reasons"])}
        if isinstance(settings.sources.get(known["source"]), LakeSource):
            found[known["dataset"]] = LakeTable(**known)
    return found


def write_lake_table(raw: duckdb.DuckDBPyConnection, table: LakeTable) -> None:
    """Write what is known now in the place of what was. Call within the transaction of the load."""
    raw.execute(CREATE)
    raw.execute("delete from raw.lake_tables where dataset = $1", [table.dataset])
    raw.execute(
        "insert into raw.lake_tables values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            *(table.dataset, table.source, table.load_id, table.stamp, table.rows, table.replaced),
            *(table.without_customer, table.earliest, table.latest),
            *(json.dumps(list(table.with_values)), json.dumps(dict(table.reasons))),
        ],
    )
