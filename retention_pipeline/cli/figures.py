"""The verbs that read the published generation: kpis, query, export. They import neither Dagster nor dbt."""

from __future__ import annotations

import csv
import difflib
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.cli.print_headline import print_headline
from retention_pipeline.cli.printing import (
    WARNING,
    print_names,
    print_pivot,
    print_rows,
    print_rows_as_they_come,
    print_series,
)
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.history.known import go_back, moment_of
from retention_pipeline.publish.csv_files import FORMATS, guarded, guarded_value, write_file
from retention_pipeline.read import published
from retention_pipeline.read.headline import read_headline
from retention_pipeline.read.named_periods import check_grain
from retention_pipeline.read.published import Row, UnknownName, open_published
from retention_pipeline.settings import Home, SettingsError, load_settings, memory_limit, resolve_home
from retention_pipeline.settings.home import MEMORY_VARIABLE
from retention_pipeline.warehouse import looks_damaged, sql_text

LAID_OUT_AT_ONCE, FETCHED_AT_ONCE = 1000, 10_000
EXPORTED = ("parquet", "csv")


class QueryError(Exception):
    """The engine could not answer a query; the text is its own."""


def as_text(value: Any) -> str:
    """Anything JSON does not know: dates as ISO text, decimals exactly as they are."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def print_json(answer: Any) -> None:
    """An answer for programs."""
    print(as_json_text(answer, indent=1))


def print_json_with_lines(answer: dict[str, Any], name: str) -> None:
    """The same with a long list under a name of the answer, each of its elements on one line: indenting them takes
    Python's encoder ten times as long.
    """
    encoder = json.JSONEncoder(default=as_text, ensure_ascii=False, allow_nan=False)
    head, found, tail = as_json_text(answer | {name: []}, indent=1).partition(f'\n "{name}": []')
    listed = ",\n  ".join(map(encoder.encode, answer[name]))
    print(f"{head}{found[:-1]}\n  {_without_control(listed)}\n ]{tail}")


def as_json_text(answer: Any, *, indent: int | None = None) -> str:
    """JSON as every program reads it: what is not a number (NaN, infinity) is null. Characters that a terminal would
    act on are written by their numbers.
    """
    try:
        text = json.dumps(answer, default=as_text, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(answer), default=as_text, ensure_ascii=False, indent=indent)
    return _without_control(text)


def _without_control(text: str) -> str:
    return formatting.CONTROL.sub(lambda found: "\n" if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


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
                f"There is no KPI {name!r}{_nearest(name, definitions)} All of them: retention kpis --list"
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


def _executed(
    connection: duckdb.DuckDBPyConnection, sql: str, seconds: float | None
) -> duckdb.DuckDBPyConnection | None:
    """The statement's cursor. It runs beside, since Ctrl-C is not seen here while DuckDB is at work. Raises QueryError
    where it takes longer than `seconds`.
    """
    until = time.monotonic() + seconds if seconds else math.inf
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(connection.execute, sql)
        try:
            while not wait([running], timeout=0.1).done:
                if time.monotonic() > until:
                    _stop(connection, running)
                    raise QueryError(f"The query took longer than {seconds:g} seconds (--timeout; 0: no limit)")
        except KeyboardInterrupt:
            _stop(connection, running)
            raise
        return running.result()


def _stop(connection: duckdb.DuckDBPyConnection, running: Future[Any]) -> None:
    """Interrupt until it has ended: what comes before the query is at work is lost."""
    while not wait([running], timeout=0.1).done:
        connection.interrupt()


@contextmanager
def _in_words() -> Iterator[None]:
    """What goes wrong with a query, also with a late row, as QueryError; a damaged file is another matter."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise QueryError(
            f"The query needs more memory than it may use ({memory_limit()});"
            f" the environment variable {MEMORY_VARIABLE}, such as 4GB, sets how much"
        ) from error
    except duckdb.Error as error:
        if looks_damaged(error):
            raise
        raise QueryError(str(error)) from error


def _check_form(form: str) -> None:
    if form not in {"table", "csv", "json"}:
        raise UnknownName(f"There is no format {form!r}; it is one of table, csv and json")


def query(home: Path | None, sql: str, *, form: str, limit: int, seconds: float | None = None) -> None:
    """The answer of one SQL statement; it can read the published tables and nothing else, within `seconds`."""
    _check_form(form)
    with open_published(resolve_home(home)) as connection, tempfile.TemporaryDirectory() as spill, _in_words():
        connection.execute(f"set temp_directory = {sql_text(spill)}")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        cursor = _executed(connection, sql, seconds)
        if cursor is None:
            raise QueryError('There is no statement in it; for example: retention query "from periods"')
        columns = [column[0] for column in cursor.description or []]
        _print_answer(columns, cursor.fetchmany, resolve_home(home), form=form, limit=limit)


def query_lake(home: Path | None, sql: str, *, form: str, limit: int, seconds: float | None = None) -> None:
    """The same of a query in Spark's SQL over the views that show the published generation in the lake."""
    from retention_pipeline.transform.spark.asking import AskError, asked
    from retention_pipeline.transform.spark.session import SparkError

    _check_form(form)
    place = resolve_home(home)
    settings = load_settings(place)
    if settings.spark is None:
        raise QueryError("settings.yaml names no Spark to ask (spark: {remote: {env: NAME}})")
    try:
        with asked(settings, sql, seconds=seconds) as (columns, fetch):
            _print_answer(columns, fetch, place, form=form, limit=limit)
    except (AskError, SparkError) as error:
        raise QueryError(str(error)) from error


Fetch = Callable[[int], Sequence[Sequence[Any]]]  # so many further rows of an answer


def _print_answer(columns: list[str], fetch: Fetch, home: Home, *, form: str, limit: int) -> None:
    """An answer as a table, as JSON or as CSV, in each as its rows come."""
    if form == "table":
        most = limit or LAID_OUT_AT_ONCE
        rows = fetch(most + 1)
        if limit or len(rows) <= most:
            print_rows(terminal(), columns, rows[:most], more=len(rows) > most)
        else:
            print_rows_as_they_come(sys.stdout, columns, rows, fetch)
    elif form == "json":
        _print_json_rows(columns, fetch)
    else:
        is_guarded = guards_csv(home)
        writer = csv.writer(formatting.CsvLines(print))
        writer.writerow(columns)
        while rows := fetch(FETCHED_AT_ONCE):
            writer.writerows([[guarded_value(value) for value in row] for row in rows] if is_guarded else rows)


def _print_json_rows(columns: list[str], fetch: Fetch) -> None:
    """A list of rows, written as they come: one line each."""
    before = "["
    while rows := fetch(FETCHED_AT_ONCE):
        for row in rows:
            answer = as_json_text(dict(zip(columns, row, strict=True)))
            sys.stdout.write(f"{before}\n {answer}")
            before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def export(home: Path | None, folder: Path, *, form: str, tables: list[str], as_json: bool) -> None:
    """One file per table; a file appears whole or not at all. Default: the tables that every run copies to Parquet."""
    from retention_pipeline.publish.exports import exported_tables

    if form not in EXPORTED:
        raise UnknownName(f"There is no format {form!r}; it is one of {' and '.join(EXPORTED)}")
    place = resolve_home(home)
    with open_published(place) as connection:
        there = {row["name"]: row for row in published.tables(connection)}
        unknown = [name for name in tables if name not in there]
        if unknown:
            raise UnknownName(f"There is no table {unknown[0]!r}{_nearest(unknown[0], there)}")
        chosen = tables or exported_tables(connection)
        folder.mkdir(parents=True, exist_ok=True)
        is_guarded, with_customers = guards_csv(place), exports_customers(place)
        written = [
            _export(connection, name, folder, form, is_guarded=is_guarded, with_customers=with_customers)
            for name in chosen
        ]
    if as_json:
        print_json(written)
        return
    console = terminal()
    print_rows(console, ["file", "rows"], [[one["file"], one["rows"]] for one in written])


def guards_csv(home: Home) -> bool:
    """What the settings say; yes, where they cannot be read."""
    try:
        return load_settings(home).publish.guard_csv
    except SettingsError:
        return True


def exports_customers(home: Home) -> bool:
    """What the settings say; no, where they cannot be read."""
    try:
        return load_settings(home).privacy.export_customers
    except SettingsError:
        return not home.settings_file.exists()


def _export(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    folder: Path,
    form: str,
    *,
    is_guarded: bool,
    with_customers: bool,
) -> Row:
    target = folder / f"{table}.{form}"
    rows = guarded(connection, f'"{table}"', is_guarded=form == "csv" and is_guarded, with_customers=with_customers)
    return {"table": table, "file": str(target), "rows": write_file(connection, rows, target, form)}


def quarantine(
    home: Path | None, *, dataset: str | None, by_reason: bool, to: Path | None, limit: int, as_json: bool
) -> None:
    """The refused rows that still miss, newest load first; how many by reason; or all of them as a CSV file."""
    place = resolve_home(home)
    with open_published(place) as connection:
        if "quarantine" not in {row["name"] for row in published.tables(connection)}:
            raise UnknownName("This generation does not list refused rows yet; the next run will")
        known = [row["dataset"] for row in published.rows_of(connection, "select distinct dataset from quarantine")]
        if dataset is not None and dataset not in known:
            rest = f"; there are rows of {', '.join(sorted(known))}" if known else "; nothing was refused"
            raise UnknownName(f"No row of {dataset} was refused{rest}")
        named = f"where dataset = {sql_text(dataset)}" if dataset else ""
        if to is not None:
            rows = guarded(connection, f"(from quarantine {named})", is_guarded=guards_csv(place))
            connection.execute(f"copy ({rows}) to {sql_text(str(to))} ({FORMATS['csv']})")
            terminal().print(str(to), soft_wrap=True, highlight=False)
            return
        if by_reason:
            question = f"""select dataset, reason, count(*) as refused_rows, min(file_name) as a_file
                from quarantine {named} group by all order by refused_rows desc, dataset, reason"""
        else:
            question = f"""select dataset, file_name, line, reason, raw from quarantine {named}
                order by load_id desc, file_name, line"""
        found = published.rows_of(connection, f"{question} limit {limit + 1}" if limit else question)
    if as_json:
        print_json(found)
        return
    if not found:
        terminal(highlight=False).print("Nothing is refused.")
        return
    shown = found[:limit] if limit else found
    print_rows(terminal(), list(found[0]), [list(row.values()) for row in shown], more=len(found) > len(shown))


def _nearest(name: str, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [one for one in known if name in one][:3]
    return f"; did you mean {' or '.join(near)}?" if near else "."


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
