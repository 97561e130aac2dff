"""Which rules hold of a warehouse that is about to be published, and for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.alerts.incidents import Finding
from retention_pipeline.freshness.sources import SourceState
from retention_pipeline.settings.alerts import Rule, When
from retention_pipeline.warehouse import has_table

EVERY = "*"


@dataclass(frozen=True)
class Cell:
    """A figure of the latest complete period, and of the period before (None: there is none)."""

    basis: str
    dimension: str
    segment: str
    period_start: date
    period_end: date
    value: float
    before: float | None
    before_low: float | None
    before_high: float | None


def holding(
    connection: duckdb.DuckDBPyConnection,
    rules: Sequence[Rule],
    states: Sequence[SourceState],
    currency: str,
    *,
    as_of: date,
    new_actions: dict[str, int],
) -> list[Finding]:
    """What the rules find in the open warehouse. new_actions: by rule, how many rows of `customer_actions` are new.

    A rule that asks for what is not there finds nothing; `rule_problems` says so.
    """
    found: list[Finding] = []
    for rule in rules:
        when = rule.when
        if when.source_late is not None:
            found += _late(rule, states)
        elif when.restated:
            found += _restated(connection, rule)
        elif when.period_complete is not None:
            found += _completed(connection, rule)
        elif when.new_actions is not None:
            found += _new_actions(rule, new_actions.get(rule.name, 0), as_of)
        else:
            found += _of_figures(connection, rule, currency)
    return found


def rule_problems(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> dict[str, str]:
    """Rules, by name, that ask for what the published figures do not have: one line each."""
    if all(rule.when.kpi is None for rule in rules):
        return {}
    known = dict(connection.execute("select kpi, bases from kpi_definitions").fetchall())
    dimensions = _names(connection, "select distinct segment_dimension from retention_kpis")
    problems = {}
    for rule in rules:
        when = rule.when
        if when.kpi is None:
            continue
        if when.kpi not in known:
            problems[rule.name] = f"rule {rule.name}: there is no KPI {when.kpi}"
        elif when.basis is not None and when.basis not in known[when.kpi].split(", "):
            problems[rule.name] = f"rule {rule.name}: {when.kpi} has no basis {when.basis} (it has {known[when.kpi]})"
        elif missing := [dimension for dimension in when.segment if dimension not in dimensions]:
            problems[rule.name] = f"rule {rule.name}: there is no dimension {', '.join(missing)}"
    return problems


def _of_figures(connection: duckdb.DuckDBPyConnection, rule: Rule, currency: str) -> Iterator[Finding]:
    when = rule.when
    assert when.kpi is not None
    definition = connection.execute(
        "select label, format, bases from kpi_definitions where kpi = $1", [when.kpi]
    ).fetchone()
    if definition is None:
        return
    label, shown_as, bases = definition
    basis = when.basis or (bases if "," not in bases else "any")
    missed = _missed_targets(connection, when, basis) if when.target_missed else {}
    for cell in _cells(connection, when, basis):
        reasons = _reasons(when, cell, shown_as, currency)
        if when.target_missed:
            goal = missed.get((cell.dimension, cell.segment))
            reasons.append(None if goal is None else f"the goal is {formatting.figure(goal, shown_as, currency)}")
        if any(reason is None for reason in reasons):
            continue
        named = f"{label}, {formatting.BASES[basis]}," if "," in bases else label
        whose = "" if cell.dimension == "all" else f", {cell.dimension} {cell.segment}"
        value = formatting.figure(cell.value, shown_as, currency)
        period = formatting.period(when.grain, cell.period_start, cell.period_end)
        yield Finding(
            rule=rule.name,
            subject=" ".join([when.kpi, when.grain, cell.basis, cell.dimension, cell.segment]),
            message=f"{named} of {period}{whose} is {value}: {'; '.join(filter(None, reasons))}",
            kpi=when.kpi,
            grain=when.grain,
            basis=cell.basis,
            segment_dimension=cell.dimension,
            segment_value=cell.segment,
            period_start=cell.period_start,
            value=cell.value,
            threshold=when.above if when.above is not None else when.below,
        )


def _reasons(when: When, cell: Cell, shown_as: str, currency: str) -> list[str | None]:
    """For each condition on the value why it holds, None where it does not."""

    def shown(value: float | None) -> str:
        return formatting.figure(value, shown_as, currency)

    reasons: list[str | None] = []
    if when.above is not None:
        reasons.append(f"above {shown(when.above)}" if cell.value > when.above else None)
    if when.below is not None:
        reasons.append(f"below {shown(when.below)}" if cell.value < when.below else None)
    if when.changed_by is not None:
        is_much = cell.before is not None and abs(cell.value - cell.before) >= when.changed_by * abs(cell.before)
        has_changed = is_much and cell.value != cell.before
        reasons.append(f"it was {shown(cell.before)} the period before" if has_changed else None)
    if when.outside_interval:
        low, high = cell.before_low, cell.before_high
        is_outside = low is not None and high is not None and not low <= cell.value <= high
        interval = f"outside {shown(low)} to {shown(high)}, the interval of the period before"
        reasons.append(interval if is_outside else None)
    return reasons


def _cells(connection: duckdb.DuckDBPyConnection, when: When, basis: str) -> list[Cell]:
    """The figures that a rule is about, in the order of their segment values."""
    [(dimension, segment)] = when.segment.items() or [("all", "all")]
    one_value = "" if segment == EVERY else "and segment_value = $5"
    values = [when.kpi, when.grain, basis, dimension] + ([] if segment == EVERY else [segment])
    rows = connection.execute(
        f"""
        with figures as (
            select figures.*,
                lag(value) over by_segment as before, lag(ci_low) over by_segment as before_low,
                lag(ci_high) over by_segment as before_high, lag(period_end) over by_segment as ends_before
            from retention_kpis as figures
            where kpi = $1 and grain = $2 and basis = $3 and segment_dimension = $4 {one_value} and is_complete
            window by_segment as (partition by segment_value order by period_start)
        )
        select basis, segment_dimension, segment_value, period_start, period_end, value,
            case when ends_before = period_start then before end,
            case when ends_before = period_start then before_low end,
            case when ends_before = period_start then before_high end
        from figures
        where value is not null
            and period_start = (select max(period_start) from periods where grain = $2 and is_complete)
        order by segment_value
        """,
        values,
    ).fetchall()
    return [Cell(*row) for row in rows]


def _missed_targets(connection: duckdb.DuckDBPyConnection, when: When, basis: str) -> dict[tuple[str, str], float]:
    if not has_table(connection, "kpi_attainment"):
        return {}
    rows = connection.execute(
        """
        select segment_dimension, segment_value, arg_max(target, start_on) from kpi_attainment
        where kpi = $1 and grain = $2 and basis = $3 and status in ('behind', 'missed') group by all
        """,
        [when.kpi, when.grain, basis],
    ).fetchall()
    return {(dimension, segment): target for dimension, segment, target in rows}


def _late(rule: Rule, states: Sequence[SourceState]) -> list[Finding]:
    asked = rule.when.source_late
    return [
        Finding(rule.name, state.source, state.warning)
        for state in states
        if state.state != "fresh" and asked in (True, state.source)
    ]


def _restated(connection: duckdb.DuckDBPyConnection, rule: Rule) -> list[Finding]:
    if not has_table(connection, "restatements"):
        return []
    condition, values = "true", []
    if rule.when.kpi is not None:
        condition, values = "kpi = $1", [rule.when.kpi]
    (number, generation) = _one(
        connection,
        f"""
        select count(*), max(generation) from restatements
        where {condition} and generation = (select max(generation) from restatements)
            and generation > (select coalesce(max(generation), 0) from pipeline_state)
        """,
        values,
    )
    if not number:
        return []
    figures = f"{formatting.counted(number, 'figure')} of complete periods changed"
    whose = f" of {rule.when.kpi}" if rule.when.kpi else ""
    message = f'{figures}{whose} (retention query "from restatements where generation = {generation}")'
    return [Finding(rule.name, f"generation {generation}", message, kpi=rule.when.kpi, is_notice=True)]


def _completed(connection: duckdb.DuckDBPyConnection, rule: Rule) -> list[Finding]:
    grain = rule.when.period_complete
    assert grain is not None
    start, end = _one(
        connection, "select max(period_start), max(period_end) from periods where grain = $1 and is_complete", [grain]
    )
    if start is None:
        return []
    message = f"The figures of {formatting.period(grain, start, end)} are complete"
    return [Finding(rule.name, grain, message, grain=grain, period_start=start, is_notice=True)]


def _new_actions(rule: Rule, number: int, as_of: date) -> list[Finding]:
    if not number:
        return []
    message = f"{formatting.counted(number, 'new action')} for customers as of {formatting.day(as_of)}"
    return [Finding(rule.name, f"customer_actions {as_of}", message, is_notice=True)]


def _names(connection: duckdb.DuckDBPyConnection, question: str) -> set[str]:
    return {name for (name,) in connection.execute(question).fetchall()}


def _one(connection: duckdb.DuckDBPyConnection, question: str, values: list[Any]) -> tuple[Any, ...]:
    [row] = connection.execute(question, values).fetchall()
    return tuple(row)
