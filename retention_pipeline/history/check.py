"""Whether the history of a generation says what the generation publishes."""

from __future__ import annotations

import duckdb

from retention_pipeline.history.reported import MEASURES, ROW_KEY, TABLE, count, differs
from retention_pipeline.kpis.keys import same_key
from retention_pipeline.kpis.store import TABLE as FIGURES
from retention_pipeline.kpis.violation import Violation

RULE = "history_ends_with_what_is_published"
EXAMPLES = 5


def history_violations(connection: duckdb.DuckDBPyConnection) -> list[Violation]:
    """The last value of each figure in the history is the published one; spells of a figure lie apart."""
    wrong = f"""
        select {", ".join(f"coalesce(published.{name}, last.{name}) as {name}" for name in ROW_KEY)},
            published.value as published, last.value as in_history
        from (select * from {FIGURES} where is_complete or segment_dimension = 'all') as published
        full join (select * from {TABLE} where known_to is null) as last on {same_key("published", "last", ROW_KEY)}
        where published.kpi is null or last.kpi is null
            or {differs("last.", "published.", (*MEASURES, "null_reason"))}
        union all
        select {", ".join(ROW_KEY)}, null, value from {TABLE}
        qualify known_to > lead(known_from) over (partition by {", ".join(ROW_KEY)} order by known_from)
            or known_to <= known_from"""
    number = count(connection, f"({wrong})")
    if not number:
        return []
    cursor = connection.execute(f"select * from ({wrong}) order by all limit {EXAMPLES}")
    names = [column[0] for column in cursor.description or []]
    return [Violation(RULE, number, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()])]
