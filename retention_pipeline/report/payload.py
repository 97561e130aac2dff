"""What the page carries: the published figures as compressed columns, and the small tables as they are.

A series is a KPI of a grain, basis and segment; its values stand one after another, period by period, so that a value
is found by adding. Values are the published doubles. Figures of small groups are left out here, before anything is
written: what is not in the file cannot be read from it.
"""

from __future__ import annotations

import base64
import gzip
from datetime import date, datetime
from math import isfinite
from typing import Any

import duckdb
import numpy as np

from retention_pipeline.contracts.grains import GRAINS
from retention_pipeline.warehouse import has_table

WEEKS = 104
STATUS = ("ok", "left_truncated", "immature", "small_n", "gate_failed", "zero_denominator", "not_reached",
          "suppressed", "absent")  # fmt: skip
COHORT_AGES = 60
COHORT_GRAINS = ("month", "quarter", "year")
MOST_LISTED = 200
PLAIN_TYPES = ("VARCHAR", "BOOLEAN", "INTEGER", "BIGINT")  # whose values are written as they are
DIVIDE = np.inf  # stands for a value that is numerator / denominator to the last bit


def encoded(values: np.ndarray) -> str:
    """A column as base64 of gzip of its little-endian bytes; the same values give the same text."""
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return base64.b64encode(gzip.compress(little.tobytes(), 6, mtime=0)).decode("ascii")


def packed_text(text: str) -> str:
    """A text as base64 of gzip of its UTF-8."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 6, mtime=0)).decode("ascii")


def mark_small_groups(connection: duckdb.DuckDBPyConnection, min_n: int) -> None:
    """The temporary table `report_figures`: retention_kpis, and which of its rows are of groups too small to show."""
    connection.execute(f"""
        create or replace temp table report_figures as
        select
            *,
            -- a cell without an n of its own is as small as the largest group that its segment has in the period
            segment_dimension <> 'all' and {min_n} > coalesce(
                n, max(n) over (partition by grain, period_start, basis, segment_dimension, segment_value), 0
            ) as is_suppressed
        from retention_kpis""")


def _is_large_enough(table: str, period_start: str) -> str:
    """SQL: a row of a table with the key of a figure is about everyone, about no figure, or about one that is shown."""
    return f"""(
        coalesce({table}.segment_dimension, 'all') = 'all' or {table}.{period_start} is null or exists (
            select 1 from report_figures as figures
            where figures.kpi = {table}.kpi and figures.grain = {table}.grain and not figures.is_suppressed
                and figures.period_start = {table}.{period_start} and figures.basis = {table}.basis
                and figures.segment_dimension = {table}.segment_dimension
                and figures.segment_value = {table}.segment_value
        )
    )"""


def figures(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """`periods`, `segments`, `series` and `columns` of retention_kpis; needs `report_figures`."""
    periods = {
        grain: [
            [start.isoformat(), end.isoformat(), complete]
            for start, end, complete in connection.execute(
                f"""select period_start, period_end, is_complete from periods where grain = '{grain}'
                and period_start in (select period_start from retention_kpis where grain = '{grain}')
                order by period_start"""
            ).fetchall()
        ]
        for grain in GRAINS
    }
    periods["week"] = periods["week"][-WEEKS:]
    places = [(grain, start, index) for grain, found in periods.items() for index, (start, _, _) in enumerate(found)]
    grains, starts, indexes = (list(part) for part in zip(*places, strict=True)) if places else ([], [], [])
    connection.execute(
        "create or replace temp table report_places as select unnest(?::varchar[]) as grain,"
        " cast(unnest(?::varchar[]) as date) as period_start, unnest(?::integer[]) as place",
        [grains, starts, indexes],
    )
    connection.execute("""
        create or replace temp table report_rows as
        select
            kpi, grain, basis, segment_dimension, segment_value, place, is_suppressed,
            value, numerator, denominator, cast(n as double) as n, ci_low, ci_high, null_reason
        from report_figures
        inner join report_places using (grain, period_start)""")
    series = connection.execute("""
        select * from (
            select kpi, grain, basis, segment_dimension, segment_value, min(place), max(place) - min(place) + 1
            from report_rows group by all
        ) as series
        order by kpi, grain, basis, segment_dimension <> 'all', segment_dimension, segment_value""").fetchall()
    rows = connection.execute("""
        select places.place - min(places.place) over of_series as nth, is_suppressed, null_reason,
            value, numerator, denominator, n, ci_low, ci_high
        from report_rows as places
        window of_series as (partition by kpi, grain, basis, segment_dimension, segment_value)
        order by kpi, grain, basis, segment_dimension <> 'all', segment_dimension, segment_value, place""").fetchnumpy()
    return {"periods": periods} | _packed(series, rows)


def _packed(series: list[tuple[Any, ...]], rows: dict[str, Any]) -> dict[str, Any]:
    """Rows in the order of their series, spread over the series' periods; a period without a row is `absent`."""
    kpis = sorted({row[0] for row in series})
    segments = [("all", "all"), *sorted({(row[3], row[4]) for row in series} - {("all", "all")})]
    kpi_index, segment_index = ({one: i for i, one in enumerate(found)} for found in (kpis, segments))
    counts = np.array([row[6] for row in series], dtype=np.int64)
    begins = np.concatenate([[0], np.cumsum(counts)])
    nth = np.ma.filled(rows["nth"], 0).astype(np.int64)
    # a row with nth 0 begins the next series
    position = begins[np.cumsum(nth == 0) - 1] + nth if len(nth) else nth
    total = int(begins[-1])
    hidden = np.ma.filled(rows["is_suppressed"], False).astype(bool)
    reasons: np.ndarray = np.ma.filled(np.ma.asarray(rows["null_reason"], dtype=object), "ok")
    codes = {name: code for code, name in enumerate(STATUS)}
    status = np.full(total, codes["absent"], dtype=np.uint8)
    status[position] = np.where(hidden, codes["suppressed"], [codes[str(one)] for one in reasons])
    columns = {"status": encoded(status)}
    given = {
        name: np.ma.filled(np.ma.asarray(rows[name], dtype=np.float64), np.nan)
        for name in ("value", "numerator", "denominator", "n", "ci_low", "ci_high")
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        is_quotient = given["value"] == given["numerator"] / given["denominator"]
    given["value"] = np.where(is_quotient, DIVIDE, given["value"])
    for name, found in given.items():
        column = np.full(total, np.nan)
        column[position] = np.where(hidden, np.nan, found)
        columns[name] = encoded(column)
    return {
        "kpis": kpis,
        "segments": [list(one) for one in segments],
        "series": {
            "kpi": [kpi_index[row[0]] for row in series],
            "grain": [row[1] for row in series],
            "basis": [row[2] for row in series],
            "segment": [segment_index[row[3], row[4]] for row in series],
            "first": [row[5] for row in series],
            "count": [row[6] for row in series],
        },
        "columns": columns,
    }


def cohorts(connection: duckdb.DuckDBPyConnection, min_n: int) -> list[list[Any]]:
    """Rows of cohort_retention: grain, basis, dimension, value, cohort, age, size, active, rate, revenue rate, revenue,
    complete. Weeks are left out; small cohorts of a segment are suppressed.
    """
    if not has_table(connection, "cohort_retention"):
        return []
    grains = ", ".join(f"'{grain}'" for grain in COHORT_GRAINS)
    rows = connection.execute(f"""
        select grain, basis, segment_dimension, segment_value, cohort_start, age, cohort_size, active, retention_rate,
            revenue_retention_rate, cast(revenue as double), is_complete
        from cohort_retention
        where grain in ({grains}) and age <= {COHORT_AGES} and (segment_dimension = 'all' or cohort_size >= {min_n})
        order by all
    """)
    return _plain_rows(rows)


def table(connection: duckdb.DuckDBPyConnection, sql: str, name: str) -> list[dict[str, Any]]:
    """Rows of a published table as dictionaries; none where the table is not there."""
    if not has_table(connection, name):
        return []
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in _plain_rows(cursor)]


def customers_at_risk(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The customers at risk who are worth most, by name."""
    return table(
        connection,
        f"""select customer_id, reasons, cast(mrr as double) as mrr, cast(revenue_12m as double) as revenue_12m
            from at_risk order by coalesce(mrr, 0) * 12 + coalesce(revenue_12m, 0) desc, customer_id
            limit {MOST_LISTED}""",
        "at_risk",
    )


def small_tables(connection: duckdb.DuckDBPyConnection, min_n: int) -> dict[str, Any]:
    """The tables that are shown as they are, each empty where it is not published; needs `report_figures`."""
    large_enough = f"(segment_dimension = 'all' or at_risk_at_start >= {min_n})"
    return {
        "definitions": table(connection, "from kpi_definitions", "kpi_definitions"),
        "attainment": table(
            connection,
            f"from kpi_attainment where {_is_large_enough('kpi_attainment', 'value_period_start')} order by all",
            "kpi_attainment",
        ),
        "benchmarks": table(connection, "from kpi_with_benchmark order by all", "kpi_with_benchmark"),
        "survival": table(
            connection,
            f"""select basis, segment_dimension, segment_value, t, at_risk, survival, ci_low, ci_high, median from (
                select *, max(at_risk) over (partition by basis, segment_dimension, segment_value) as at_risk_at_start
                from survival_curves) where {large_enough} order by all""",
            "survival_curves",
        ),
        "lness": table(
            connection,
            f"""select grain, period_start, segment_dimension, segment_value, active_days, customers from (
                select *, sum(customers) over (partition by grain, period_start, segment_dimension, segment_value)
                    as at_risk_at_start from engagement_lness where grain <> 'week')
                where {large_enough} order by all""",
            "engagement_lness",
        ),
        "at_risk": table(
            connection,
            """select reason, count(*) as customers, cast(sum(mrr) as double) as mrr,
                    cast(sum(revenue_12m) as double) as revenue_12m
                from (select unnest(string_split(reasons, ',')) as reason, mrr, revenue_12m from at_risk)
                group by reason order by customers desc, reason""",
            "at_risk",
        ),
        "restatements": table(
            connection,
            f"""select generation, published_at, kpi, grain, period_start, basis, segment_dimension, segment_value,
                    cause, old, new
                from restatements where segment_dimension = 'all' and kpi in (select kpi from kpi_definitions)
                order by generation desc, abs(delta) desc nulls last, kpi, grain, period_start desc, basis, cause
                limit {MOST_LISTED}""",
            "restatements",
        ),
        "alerts": table(
            connection,
            f"""select rule, message, opened_at, acknowledged_at is not null as is_seen from alerts
                where resolved_at is null and {_is_large_enough("alerts", "period_start")}
                order by opened_at desc, alert_id limit {MOST_LISTED}""",
            "alerts",
        ),
        "quality": table(connection, "from data_quality order by all", "data_quality"),
        "marks": table(connection, "from figure_marks order by all", "figure_marks"),
    }


def _plain_rows(cursor: duckdb.DuckDBPyConnection) -> list[list[Any]]:
    """The rows of an answer as JSON takes them: days as texts, no number that is none. Column by column, for most need
    nothing done.
    """
    types = [str(column[1]) for column in cursor.description or []]
    columns = zip(*cursor.fetchall(), strict=True)
    plain = [
        column if kind in PLAIN_TYPES else [_number(value) for value in column]
        for kind, column in zip(types, columns, strict=False)
    ]
    return [list(row) for row in zip(*plain, strict=True)]


def _number(value: Any) -> Any:
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if hasattr(value, "as_tuple") else str(value)
