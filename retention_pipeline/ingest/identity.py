"""Which raw.duckdb this is, and how far it has come: `raw.epochs`. One row per transaction that brought in loads.

raw_id      given once, when the file came into being
epoch       counts the transactions, from 0
stamp       a random text: a copy that was put back and went on from there counts the same epochs, under other stamps
load_id     the highest load at that moment

A generation notes the last row that it was made from. As long as that row is there, raw is the same file, further on;
else load ids and customer keys of the two do not mean the same.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import has_table, opened_raw

CREATE = """
create table if not exists raw.epochs (
    raw_id varchar, epoch bigint, stamp varchar, load_id bigint, began_at timestamp
)
"""


@dataclass(frozen=True)
class RawIdentity:
    """A row of `raw.epochs`, as far as it tells one raw.duckdb from another."""

    raw_id: str
    epoch: int
    stamp: str


def create_identity(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the open raw.duckdb its identity, unless it has one."""
    connection.execute(CREATE)
    if connection.execute("select 1 from raw.epochs limit 1").fetchone() is None:
        connection.execute(
            "insert into raw.epochs select $1, 0, $2, coalesce(max(load_id), 0), $3 from raw.ledger",
            [secrets.token_hex(8), secrets.token_hex(8), datetime.now(UTC).replace(tzinfo=None)],
        )


def begin_epoch(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Note that loads come in; call inside of their transaction, after they stand in the ledger."""
    connection.execute(
        """
        insert into raw.epochs
        select max(raw_id), max(epoch) + 1, $1, (select coalesce(max(load_id), 0) from raw.ledger), $2 from raw.epochs
        """,
        [secrets.token_hex(8), now],
    )


def raw_identity(home: Home) -> RawIdentity | None:
    """The newest row; None where there is no raw.duckdb, or one from before there were such rows."""
    if not home.raw_file.exists():
        return None
    with opened_raw(home) as connection:
        if not has_table(connection, "epochs", schema="raw"):
            return None
        row = connection.execute("select raw_id, epoch, stamp from raw.epochs order by epoch desc limit 1").fetchone()
    return RawIdentity(*row) if row else None


def has_been(home: Home, identity: RawIdentity) -> bool:
    """Whether raw.duckdb was at this point once."""
    question = "select 1 from raw.epochs where raw_id = $1 and epoch = $2 and stamp = $3"
    with opened_raw(home) as connection:
        if not has_table(connection, "epochs", schema="raw"):
            return False
        found = connection.execute(question, [identity.raw_id, identity.epoch, identity.stamp]).fetchone()
    return found is not None
