"""The verbs that hand out rows as they are: query, export, quarantine. They import neither Dagster nor dbt."""

from __future__ import annotations

import csv
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import as_json_text, print_json
from retention_pipeline.cli.printing import print_rows, print_rows_as_they_come
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.publish.csv_files import guarded, guarded_value, write_file
from retention_pipeline.publish.generations import current_number
from retention_pipeline.read import published
from retention_pipeline.read.published import Row, UnknownName, did_you_mean, open_published
from retention_pipeline.settings import Home, SettingsError, load_settings, memory_limit, resolve_home
from retention_pipeline.settings.home import MEMORY_VARIABLE
from retention_pipeline.warehouse import looks_damaged, sql_text

LAID_OUT_AT_ONCE, FETCHED_AT_ONCE = 1000, 10_000
EXPORTED = ("parquet", "csv")


class QueryError(Exception):
    """The engine could not answer a query; the text is its own."""


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
        with asked(place, settings, sql, generation=current_number(place), seconds=seconds) as (columns, fetch):
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
            raise UnknownName(f"There is no table {unknown[0]!r}{did_you_mean(unknown[0], there)}")
        chosen = tables or exported_tables(connection)
        if folder.exists() and not folder.is_dir():
            raise UnknownName(f"{folder} is a file; name a folder, in which each table becomes one")
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
            write_file(connection, rows, to, "csv")
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
