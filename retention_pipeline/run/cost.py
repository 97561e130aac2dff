"""Whether computing everything anew costs less than exchanging what changed. Both end in the same rows.

Measured (docs/performance.md), in processor seconds: with 1.15 million rows in raw and 1,000 waiting, both cost the
same within a tenth. A full refresh grows by 6 per million rows, a night by 81 per million rows that wait, so that one
row that waits weighs as much as 13 that are there. `exchange_from_rows` stands for the first of these numbers.
"""

import duckdb

from retention_pipeline.run.state import PipelineState
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import has_table, opened, opened_raw, tables_in

ROWS_PER_WAITING_ROW = 13  # so many rows are computed anew in the time in which one is exchanged


def full_refresh_is_cheaper(home: Home, settings: Settings, previous: PipelineState) -> str | None:
    """Why a full refresh costs less than a night on top of the published generation, in one line; None if a night does.

    A dimension with more values than are shown stays with the values of the last full refresh that had to be, so that
    figures do not move because it was cheaper; then it is a night.
    """
    if settings.exchange_from_rows == 0 or not home.raw_file.exists():
        return None
    with opened_raw(home) as raw:
        present = tables_in(raw, schema="raw")
        rows = sum(_count(raw, f"raw.{name}") for name in settings.connected_datasets if name in present)
        (waiting,) = raw.execute(
            "select coalesce(sum(n_new + n_changed + n_stale), 0) from raw.ledger"
            " where status = 'loaded' and load_id > $1",
            [previous.applied_load_id],
        ).fetchone() or (0,)
    if rows >= settings.exchange_from_rows + ROWS_PER_WAITING_ROW * waiting or _has_other_values(home):
        return None
    brought = f", {waiting:,.0f} of them new or changed" if waiting else ""
    return f"raw has {rows:,} rows{brought}: that costs less than to exchange what changed"


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _has_other_values(home: Home) -> bool:
    """Whether the values of a dimension were chosen among more."""
    with opened(home.current.resolve(), read_only=True) as connection:
        if not has_table(connection, "int_segment_values"):
            return False
        question = (
            "select 1 from int_segment_values where shown_value = '(other)' and segment_value <> '(other)' limit 1"
        )
        return connection.execute(question).fetchone() is not None
