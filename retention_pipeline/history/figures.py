"""One number per restated figure, so that what is said of figures in a night is joined by numbers instead of six texts.

Temporary tables:

restated            gets `figure`, in the order in which rows are listed (of everybody first, late periods first), and
                    the numbers of its period, segment and series
restated_periods    period → grain, basis, period_start
restated_segments   segment → segment_dimension, segment_value
restated_series     series → kpi, basis, segment_dimension: what causes are said of
"""

from __future__ import annotations

import duckdb

NUMBERED = {
    "period": ("grain", "basis", "period_start"),
    "segment": ("segment_dimension", "segment_value"),
    "series": ("kpi", "basis", "segment_dimension"),
}
TABLES = {"period": "restated_periods", "segment": "restated_segments", "series": "restated_series"}
ORDER = "segment_dimension <> 'all', period_start desc, grain, kpi, basis, segment_dimension, segment_value"


def number_figures(connection: duckdb.DuckDBPyConnection) -> None:
    """Number the figures of `restated`. Call once it has all that were restated or are newly held back."""
    joins = []
    for number, columns in NUMBERED.items():
        listed = ", ".join(columns)
        connection.execute(f"""
            create or replace temp table {TABLES[number]} as
            select cast(row_number() over (order by {listed}) as integer) as {number}, *
            from (select distinct {listed} from restated)""")
        joins.append(f"inner join {TABLES[number]} using ({listed})")
    connection.execute(f"""
        create or replace temp table restated as
        select cast(row_number() over (order by {ORDER}) as integer) as figure, {", ".join(NUMBERED)}, restated.*
        from restated {" ".join(joins)}""")
