"""Five sentences about the last complete month, as a person would write them in a mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.warehouse import has_table

# What is told of first, where it is published: the KPI and the basis that it is told for.
TOLD = (
    ("customer_churn_rate", "subscription"),
    ("customer_churn_rate", "order"),
    ("net_revenue_retention", "subscription"),
    ("mrr_end", "subscription"),
    ("order_revenue", "order"),
)


@dataclass(frozen=True)
class Figure:
    """A KPI of the last complete month and of the month before, for everyone."""

    label: str
    format: str
    better: str
    value: float
    before: float | None
    low: float | None
    high: float | None
    n: int | None


def sentences(connection: duckdb.DuckDBPyConnection, currency: str) -> list[str]:
    """What moved, how sure that is, where it came from, and what to look at: at most five sentences; none where no
    month is complete.
    """
    month = connection.execute(
        "select max(period_start) from retention_kpis where grain = 'month' and is_complete"
    ).fetchone()
    if month is None or month[0] is None:
        return []
    start: date = month[0]
    figures = {key: one for key in TOLD if (one := _figure(connection, start, *key)) is not None}
    if not figures:
        return []
    told = [_moved(start, figures, currency)]
    churn = next((key for key in figures if key[0] == "customer_churn_rate"), None)
    if churn is not None:
        told += [_how_sure(figures[churn]), *_where(connection, start, *churn)]
    told += _goals(connection)
    told += _at_risk(connection)
    return told[:5]


def _figure(connection: duckdb.DuckDBPyConnection, start: date, kpi: str, basis: str) -> Figure | None:
    found = connection.execute(
        """
        select definitions.label, definitions.format, definitions.better, now.value, before.value, now.ci_low,
            now.ci_high, now.n
        from retention_kpis as now
        inner join kpi_definitions as definitions on now.kpi = definitions.kpi
        left join retention_kpis as before
            on now.kpi = before.kpi and now.grain = before.grain and now.basis = before.basis
            and now.segment_dimension = before.segment_dimension and before.period_end = now.period_start
        where now.kpi = ? and now.basis = ? and now.grain = 'month' and now.period_start = ?
            and now.segment_dimension = 'all' and now.value is not null
        """,
        [kpi, basis, start],
    ).fetchone()
    return None if found is None else Figure(*found)


def _moved(start: date, figures: dict[tuple[str, str], Figure], currency: str) -> str:
    parts = []
    for (_, basis), one in figures.items():
        value = _unbroken(formatting.figure(one.value, one.format, currency))
        before = (
            "" if one.before is None else f" (after {_unbroken(formatting.figure(one.before, one.format, currency))})"
        )
        who = f" of {formatting.BASES.get(basis, basis)}" if one.label.lower().startswith("customer") else ""
        label = one.label if one.label[:2].isupper() else one.label[:1].lower() + one.label[1:]
        parts.append(f"{label}{who} was {value}{before}")
    return f"In {formatting.month(start)}, {'; '.join(parts)}."


def _unbroken(figure: str) -> str:
    """No line ends between a figure and its sign."""
    return figure.replace(" ", "\N{NO-BREAK SPACE}")


def _how_sure(one: Figure) -> str:
    if one.low is None or one.high is None or one.before is None:
        return f"That churn rests on {formatting.counted(one.n or 0, 'customer')}."
    is_beyond = not one.low <= one.before <= one.high
    says = "more than chance would explain" if is_beyond else "within what chance alone would give"
    low, high, before = (formatting.figure(limit, "percent") for limit in (one.low, one.high, one.before))
    return (
        f"With {formatting.counted(one.n or 0, 'customer')} at the start, churn lies between {low} and {high}, so the"
        f" change from {before} is {says}."
    )


def _where(connection: duckdb.DuckDBPyConnection, start: date, kpi: str, basis: str) -> list[str]:
    """The segment whose lost customers moved most against the month before, in the direction of all."""
    found = connection.execute(
        """
        select now.segment_dimension, now.segment_value, now.value - coalesce(before.value, 0) as more, now.value
        from retention_kpis as now
        left join retention_kpis as before
            on before.kpi = now.kpi and before.grain = now.grain and before.basis = now.basis
            and before.segment_dimension = now.segment_dimension and before.segment_value = now.segment_value
            and before.period_end = now.period_start
        where now.kpi = 'customers_lost' and now.basis = ? and now.grain = 'month' and now.period_start = ?
            and now.segment_dimension <> 'all' and now.segment_value not in ('(unknown)', '(other)')
            and sign(more) = (
                select sign(whole.value - before.value) from retention_kpis as whole
                inner join retention_kpis as before
                    on before.kpi = whole.kpi and before.grain = whole.grain and before.basis = whole.basis
                    and before.segment_dimension = 'all' and before.period_end = whole.period_start
                where whole.kpi = now.kpi and whole.basis = now.basis and whole.grain = now.grain
                    and whole.period_start = now.period_start and whole.segment_dimension = 'all'
            )
        order by abs(more) desc, now.segment_dimension, now.segment_value limit 1
        """,
        [basis, start],
    ).fetchone()
    if found is None or not found[2]:
        return []
    dimension, value, more, lost = found
    return [
        f"The largest part of the change is {dimension.replace('_', ' ')} {value}: it lost"
        f" {formatting.counted(lost, 'customer')}, {formatting.number(abs(more))} {'more' if more > 0 else 'fewer'}"
        " than the month before."
    ]


def _goals(connection: duckdb.DuckDBPyConnection) -> list[str]:
    if not has_table(connection, "kpi_attainment"):
        return []
    counts: dict[str, Any] = dict(
        connection.execute(
            "select status, count(*) from kpi_attainment where status is not null group by status"
        ).fetchall()
    )
    if not counts:
        return []
    fine = sum(counts.get(one, 0) for one in ("met", "ahead", "on_track"))
    return [f"Of {sum(counts.values())} goals, {fine} are met or on track and {sum(counts.values()) - fine} are not."]


def _at_risk(connection: duckdb.DuckDBPyConnection) -> list[str]:
    if not has_table(connection, "at_risk"):
        return []
    found = connection.execute(
        """
        select count(*) over (), reason, customers from (
            select unnest(string_split(reasons, ',')) as reason, count(*) as customers from at_risk group by reason
        ) order by customers desc, reason limit 1
        """
    ).fetchone()
    total = connection.execute("select count(*) from at_risk").fetchone()
    if found is None or total is None:
        return []
    reason = str(found[1]).replace("_", " ")
    customers = formatting.counted(total[0], "customer")
    return [f"Look at the {customers} at risk first; the most frequent reason is {reason} ({found[2]:,})."]
