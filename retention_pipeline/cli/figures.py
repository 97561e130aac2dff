"""The verb that shows figures, kpis. It imports neither Dagster nor dbt."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.print_headline import print_headline
from retention_pipeline.cli.printing import WARNING, print_names, print_pivot, print_series
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.history.known import go_back, moment_of
from retention_pipeline.read import published
from retention_pipeline.read.headline import read_headline
from retention_pipeline.read.named_periods import check_grain
from retention_pipeline.read.published import UnknownName, did_you_mean, open_published
from retention_pipeline.settings import load_settings, resolve_home


@contextmanager
def _opened(home: Path | None, known_at: str | None) -> Iterator[tuple[duckdb.DuckDBPyConnection, date]]:
    """The published figures, as they stood at a moment where one is named, and the day before which things count in
    them.
    """
    place = resolve_home(home)
    with open_published(place) as connection:
        if known_at is None:
            yield connection, published.state(connection)["as_of"]
            return
        moment = moment_of(known_at, load_settings(place).business.timezone)
        publication = go_back(connection, place, moment)
        print(
            f"As published on {publication.published_at:%Y-%m-%d %H:%M} UTC, as of {publication.as_of}"
            f" (generation {publication.generation}).",
            file=sys.stderr,
        )
        yield connection, publication.as_of


def headline(home: Path | None, *, grain: str, as_json: bool, known_at: str | None = None) -> None:
    """The last complete period (by default month) with its bridges."""
    check_grain(grain)
    with _opened(home, known_at) as (connection, as_of):
        shown = read_headline(connection, as_of=as_of, grain=grain)
        if shown is None:
            raise UnknownName(f"There are no figures of grain {grain} yet")
        if as_json:
            rows = published.rows_of(
                connection,
                f"select * from {published.marked_figures(connection)} "
                "where grain = ? and period_start = ? and segment_dimension = 'all' order by kpi, basis",
                [grain, shown.period_start],
            )
            print_json(rows)
            return
    print_headline(terminal(), shown)


def list_kpis(home: Path | None, *, as_json: bool) -> None:
    """All KPIs that are published, with their definitions."""
    with open_published(resolve_home(home)) as connection:
        found = published.definitions(connection)
    if as_json:
        print_json(list(found.values()))
        return
    print_names(terminal(), f"{len(found)} KPIs", [(name, row["definition"]) for name, row in found.items()])


def kpi(
    home: Path | None,
    name: str,
    *,
    grain: str,
    segment: str | None,
    basis: str | None,
    last: int,
    as_json: bool,
    known_at: str | None = None,
) -> None:
    """One KPI over the last periods: one series, or side by side per basis or segment value where there are several."""
    check_grain(grain)
    dimension, _, value = (segment or "all=all").partition("=")
    with _opened(home, known_at) as (connection, _as_of):
        definitions = published.definitions(connection)
        if name not in definitions:
            raise UnknownName(
                f"There is no KPI {name!r}{did_you_mean(name, definitions)} All of them: retention kpis --list"
            )
        until = published.last_period(connection, grain)
        rows = (
            published.figures_until(
                connection,
                grain,
                until,
                kpis=[name],
                periods=last,
                dimension=dimension,
                value=value or None,
                basis=basis,
            )
            if until
            else []
        )
        if not rows:
            raise UnknownName(_why_nothing(connection, name, grain, dimension, value, basis))
        # Targets and benchmarks are held against the figures of now.
        of_now = rows if known_at is None else []
        targets, benchmarks = published.targets_of(connection, of_now), published.benchmarks_of(connection, of_now)
        held = published.held_back(connection, of_now)
    if as_json:
        print_json([held_against(row, targets, benchmarks) for row in rows])
        return
    console, definition = terminal(), definitions[name]
    bases, values = sorted({row["basis"] for row in rows}), sorted({row["segment_value"] for row in rows})
    subject = "all customers" if dimension == "all" else f"{dimension} {value}".strip()
    if len(values) > 1 and len(bases) > 1:
        for one in bases:
            only = [row for row in rows if row["basis"] == one]
            by = f"{formatting.BASES.get(one, one)}, by {dimension}"
            of_one = [target for target in targets if target["basis"] == one]
            print_pivot(console, definition, only, by="segment_value", subject=by, targets=of_one)
    elif len(values) > 1:
        print_pivot(console, definition, rows, by="segment_value", subject=f"by {dimension}", targets=targets)
    elif len(bases) > 1:
        print_pivot(console, definition, rows, by="basis", subject=subject, targets=targets, benchmarks=benchmarks)
    else:
        print_series(console, definition, rows, basis=bases[0], segment=subject, targets=targets, benchmarks=benchmarks)
    if held:
        periods = ", ".join(formatting.period(grain, start, end) for start, end in held)
        console.print(f"Changes of closed periods are held back: {periods}", style=WARNING)


def held_against(
    row: dict[str, Any], targets: list[dict[str, Any]], benchmarks: dict[tuple[str, Any], dict[str, Any]]
) -> dict[str, Any]:
    """A figure with its benchmark (None: none) and the targets of its series."""
    benchmark = benchmarks.get((row["basis"], row["period_start"]))
    shown = ("benchmark", "gap", "source", "year")
    same = ("basis", "segment_dimension", "segment_value")
    of_series = [target for target in targets if all(target[name] == row[name] for name in same)]
    key = ("kpi", "grain", *same)
    return {
        **row,
        "benchmark": benchmark and {name: benchmark[name] for name in shown},
        "targets": [{name: value for name, value in target.items() if name not in key} for target in of_series],
    }


def _why_nothing(
    connection: duckdb.DuckDBPyConnection, name: str, grain: str, dimension: str, value: str, basis: str | None
) -> str:
    """Which part of the question has no answer, with what there is instead."""
    bases = [
        row["basis"]
        for row in published.rows_of(
            connection,
            "select distinct basis from retention_kpis where kpi = ? and grain = ? order by basis",
            [name, grain],
        )
    ]
    if not bases:
        return f"{name} has no figures of grain {grain}"
    if basis is not None and basis not in bases:
        return f"{name} has no basis {basis!r}; it has {', '.join(bases)}"
    segments = published.dimensions(connection)
    if dimension not in segments and dimension != "all":
        return f"There is no dimension {dimension!r}; there are {', '.join(segments) or 'none'}"
    if value and value not in segments.get(dimension, ["all"]):
        shown = ", ".join(segments[dimension][:20])
        return f"{dimension} has no value {value!r}; it has {shown}"
    return f"{name} has no figures for {dimension} {value} in these periods"
