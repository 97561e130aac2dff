"""The table `publications`: one row per publication of figures, the making current of an earlier generation included.

published_at        the moment from which its figures are known (naive UTC); rises from row to row
generation          the published file
kind                night, full refresh or backfill; restore: an earlier generation was made current
as_of               the day before which things count in it
settings            the settings that move figures, as JSON
"""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass
from datetime import date, datetime, timedelta

import duckdb

from retention_pipeline.warehouse import has_table, sql_text

TABLE = "publications"
COLUMNS = {
    "published_at": "timestamp not null",
    "generation": "bigint not null",
    "kind": "varchar not null",
    "as_of": "date not null",
    "run_id": "varchar not null",
    "settings_fingerprint": "varchar not null",
    "code_fingerprint": "varchar not null",
    "kpi_fingerprint": "varchar not null",
    "settings": "varchar not null",
}
DESCRIPTION = (
    "One row per publication of figures: the moment from which they are known, the generation, and what they were made "
    "with. An earlier generation that was made current again is a publication too (kind restore)."
)
RESTORE = "restore"


@dataclass(frozen=True)
class Publication:
    """A row of the table."""

    published_at: datetime
    generation: int
    kind: str
    as_of: date
    run_id: str
    settings_fingerprint: str
    code_fingerprint: str
    kpi_fingerprint: str
    settings: str

    @property
    def file_name(self) -> str:
        """The name of its file in the archive; names sort by time."""
        return f"{self.published_at:%Y%m%dT%H%M%S.%f}-g{self.generation}.parquet"

    def as_json(self) -> str:
        """For the file in the archive."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Publication:
        """The publication that a file in the archive is of."""
        values = json.loads(text)
        moments = {
            "published_at": datetime.fromisoformat(values["published_at"]),
            "as_of": date.fromisoformat(values["as_of"]),
        }
        return cls(**(values | moments))


def create_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Create it where it is not there yet."""
    if not has_table(connection, TABLE):
        listed = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"create table {TABLE} ({listed})")
        connection.execute(f"comment on table {TABLE} is {sql_text(DESCRIPTION)}")


def publications(connection: duckdb.DuckDBPyConnection) -> list[Publication]:
    """All of the open warehouse, oldest first; none where there is no table."""
    if not has_table(connection, TABLE):
        return []
    rows = connection.execute(f"select {', '.join(COLUMNS)} from {TABLE} order by published_at").fetchall()
    return [Publication(*row) for row in rows]


def add(connection: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    """Write its row, in place of one of the same run."""
    create_table(connection)
    connection.execute(f"delete from {TABLE} where run_id = ? and kind = ?", [publication.run_id, publication.kind])
    connection.execute(
        f"insert into {TABLE} values ({', '.join('?' * len(COLUMNS))})",
        list(astuple(publication)),
    )


def moment_after(known: list[Publication], moment: datetime) -> datetime:
    """The moment of the next publication: later than all before it, also where a clock was put back."""
    last = max((one.published_at for one in known), default=None)
    return moment if last is None or moment > last else last + timedelta(microseconds=1)
