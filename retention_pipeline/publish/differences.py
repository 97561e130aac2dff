"""How two generations differ: rows of the figures and of the period tables that are not the same."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.warehouse import attach, tables_in

EXAMPLES = 5
# Columns that say which run wrote a row, not what the row says.
OF_THE_RUN = frozenset({"as_of", "computed_at", "run_id"})
KEYS = ("kpi", "grain", "period_start", "basis", "segment_dimension", "segment_value", "currency", "gap_days")


@dataclass(frozen=True)
class TableDifference:
    """Rows of a table that differ: within the range of periods asked about, and outside it; examples as column → value.

    A row that changed counts once, like one that came or went.
    """

    table: str
    in_range: int
    outside: int
    examples: list[dict[str, Any]]


def compare_generations(
    connection: duckdb.DuckDBPyConnection, after: Path, first: date, last: date
) -> list[TableDifference]:
    """The tables of `before` (attached) that differ in the generation file `after`; periods overlapping the months
    first to last.
    """
    attach(connection, after, "after")
    common = tables_in(connection, database="before") & tables_in(connection, database="after")
    compared = [name for name in sorted(common) if name == "retention_kpis" or name.startswith("period_")]
    found = [_compare(connection, table, first, last) for table in compared]
    return [difference for difference in found if difference.in_range + difference.outside]


def _compare(connection: duckdb.DuckDBPyConnection, table: str, first: date, last: date) -> TableDifference:
    columns = [name for (name,) in connection.execute(f"select column_name from (describe after.{table})").fetchall()]
    said = [name for name in columns if name not in OF_THE_RUN]
    listed = ", ".join(said)
    key = [name for name in KEYS if name in said]
    cursor = connection.execute(
        f"""
        with gone as (select {listed} from before.{table} except select {listed} from after.{table}),
        come as (select {listed} from after.{table} except select {listed} from before.{table}),
        keys as (select {", ".join(key)} from gone union select {", ".join(key)} from come),
        placed as (
            select keys.*, keys.period_start < $end and periods.period_end > $start as is_in_range
            from keys left join after.periods as periods
                on keys.grain = periods.grain and keys.period_start = periods.period_start
        )
        select count(*) filter (where is_in_range) over (), count(*) over (), placed.* exclude (is_in_range)
        from placed order by is_in_range desc, {", ".join(key)} limit {EXAMPLES}
        """,
        {"start": first, "end": _next_month(last)},
    )
    names = [column[0] for column in cursor.description or []][2:]
    rows = cursor.fetchall()
    if not rows:
        return TableDifference(table, 0, 0, [])
    in_range, total = rows[0][:2]
    return TableDifference(table, in_range, total - in_range, [dict(zip(names, row[2:], strict=True)) for row in rows])


def _next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
