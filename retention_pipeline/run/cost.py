"""Whether computing everything anew costs less than exchanging what changed. Both end in the same rows.

Measured (docs/performance.md), in processor seconds: with 1.15 million rows in raw and 1,000 waiting, both cost the
same within a tenth. A full refresh grows by 6 per million rows, a night by 81 per million rows that wait, so that one
row that waits weighs as much as 13 that are there. `exchange_from_rows` stands for the first of these numbers.

A period that opens moves the customers whose segment changed in the one before. Where half of a million customers
change every month, the 1.4 million such moves of a 1 January, in four grains, took 280 microseconds each; 0.8 million
of them and an ordinary night cost as much as a full refresh of that home's 23 million rows (296), so that a move
weighs as much as some 30 rows.
"""

from datetime import date

import duckdb

from retention_pipeline.run.state import PipelineState
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import has_table, opened, opened_raw, tables_in

# So many rows are computed anew in the time in which one is exchanged, or in which a customer moves in a grain.
ROWS_PER_WAITING_ROW = 13
ROWS_PER_MOVE = 30


def full_refresh_is_cheaper(home: Home, settings: Settings, previous: PipelineState, as_of: date) -> str | None:
    """Why a full refresh as of a day costs less than a night on top of the published generation, in one line; None if a
    night does.

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
    with opened(home.current.resolve(), read_only=True) as published:
        moves = _moves(published, previous.as_of, as_of)
        exchanged = ROWS_PER_WAITING_ROW * waiting + ROWS_PER_MOVE * moves
        if rows >= settings.exchange_from_rows + exchanged or _has_other_values(published):
            return None
    brought = f", {waiting:,.0f} of them new or changed" if waiting else ""
    moved = f", and customers move to another segment {moves:,} times" if moves else ""
    return f"raw has {rows:,} rows{brought}{moved}: that costs less than to exchange what changed"


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _moves(published: duckdb.DuckDBPyConnection, previous_as_of: date, as_of: date) -> int:
    """Customers with another segment from a period on that has opened since, in each grain that has one."""
    if not has_table(published, "int_segment_spans"):
        return 0
    closed = published.execute(
        """
        select max(period_start), max(period_end) from int_periods
        group by grain having max(period_end) >= $1 and max(period_end) < $2
        """,
        [previous_as_of, as_of],
    ).fetchall()
    # A count per grain: DuckDB would compare all spans with all periods, one by one.
    return sum(
        _count(
            published,
            "(select distinct customer_key from int_segment_spans"
            f" where not is_first_value and start_date >= date '{start}' and start_date < date '{end}')",
        )
        for start, end in closed
    )


def _has_other_values(published: duckdb.DuckDBPyConnection) -> bool:
    """Whether the values of a dimension were chosen among more."""
    if not has_table(published, "int_segment_values"):
        return False
    question = "select 1 from int_segment_values where shown_value = '(other)' and segment_value <> '(other)' limit 1"
    return published.execute(question).fetchone() is not None
