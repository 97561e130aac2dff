"""The verb `explain`, and `check --cell`: who is behind a figure, and whether they add up to it."""

from __future__ import annotations

import csv
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import print_json, print_json_with_lines
from retention_pipeline.cli.print_explain import (
    LAID_OUT_AT_MOST,
    print_explanation,
    print_since,
    print_variants,
    table_of,
)
from retention_pipeline.cli.printing import print_rows
from retention_pipeline.cli.tables import exports_customers, guards_csv
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.history.known import moment_of
from retention_pipeline.history.since import since
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.publish.csv_files import guarded_value
from retention_pipeline.read.cell_check import is_equal, named_cell, sums_of_members
from retention_pipeline.read.explain import as_data, asked_figure, cell_of, explain
from retention_pipeline.read.members import NoMembers
from retention_pipeline.read.published import UnknownName, open_published, rows_of
from retention_pipeline.read.variants import COLUMNS, variant_differences, variants_of
from retention_pipeline.settings import Home, load_settings, resolve_home


class NotExported(Exception):
    """The settings do not let customers into files."""


def check_export(home: Home) -> None:
    """Raise NotExported where files may not name customers."""
    if not exports_customers(home):
        raise NotExported("privacy.export_customers is false in the settings: no file may name customers")


@contextmanager
def without_collector() -> Iterator[None]:
    """A million customers are millions of lists and dictionaries without a cycle; looking for cycles among them takes
    longer than making them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class CellError(Exception):
    """Members do not add up to their cell; the text names the measures."""


@without_collector()
def figure(
    home: Path | None,
    name: str,
    period: str,
    *,
    grain: str | None,
    segment: str | None,
    basis: str | None,
    customers: bool,
    file: Path | None,
    as_json: bool,
    known_at: str | None = None,
) -> None:
    """One figure explained, on the terminal or as JSON; all its customers into a CSV file where one is named. known_at:
    also what became of it since then.
    """
    place, later = resolve_home(home), None
    with open_published(place) as connection:
        try:
            explained = explain(
                connection,
                name,
                period,
                grain=grain,
                segment=segment,
                basis=basis,
                everybody=customers or file is not None,
                as_json=as_json and file is None,
            )
        except NoMembers as error:
            raise UnknownName(str(error)) from error
        if known_at is not None:
            moment = moment_of(known_at, load_settings(place).business.timezone)
            later = since(connection, place, explained.row, moment)
    if file is not None:
        check_export(place)
        write_csv(file, table_of(explained), is_guarded=guards_csv(place))
    if as_json:
        lines = explained.members_as_json
        answer = as_data(replace(explained, members_as_json=None)) | ({"since": asdict(later)} if later else {})
        del answer["members_as_json"]
        if lines is not None and len(lines) > LAID_OUT_AT_MOST:
            print_json_with_lines(answer, "members", lines)
        else:
            print_json(answer if lines is None else answer | {"members": [json.loads(line) for line in lines]})
        return
    console = terminal()
    shown = explained if customers else type(explained)(**(vars(explained) | {"members": None}))
    print_explanation(console, shown)
    if later is not None:
        print_since(console, later, explained.row, BY_ID[explained.kpi].shown_as)
    if file is not None:
        console.print(f"{formatting.counted(len(explained.members or []), 'customer')} in {file}", style="dim")


def variants(
    home: Path | None,
    name: str,
    period: str,
    *,
    grain: str | None,
    segment: str | None,
    basis: str | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Which customers make the forms of a figure differ: rows of variant_differences."""
    pairs = variants_of(name)
    found: list[tuple[str, list[dict[str, Any]]]] = []
    with open_published(resolve_home(home)) as connection:
        _, _, row = asked_figure(connection, name, period, grain=grain, segment=segment, basis=basis)
        for pair in pairs:
            query = variant_differences(connection, pair, cell_of(row))
            label = f"{BY_ID[pair.a].label} → {BY_ID[pair.b].label}"
            found.append((label, rows_of(connection, query)))
    rows = [one for _, of_pair in found for one in of_pair]
    if file is not None:
        check_export(resolve_home(home))
        listed = [list(COLUMNS), *([one[column] for column in COLUMNS] for one in rows)]
        write_csv(file, listed, is_guarded=guards_csv(resolve_home(home)))
    if as_json:
        print_json(rows)
        return
    console = terminal()
    for label, of_pair in found:
        print_variants(console, label, of_pair)


def check_cell(home: Path | None, text: str, *, as_json: bool) -> None:
    """Whether the members of one cell add up to it, measure by measure. Raises CellError where they do not."""
    with open_published(resolve_home(home)) as connection:
        kpi, cell = named_cell(connection, text)
        try:
            compared = sums_of_members(connection, kpi, cell)
        except NoMembers as error:
            raise UnknownName(str(error)) from error
    wrong = [name for name, published, added in compared if not is_equal(published, added)]
    if as_json:
        print_json([{"measure": name, "published": published, "members": added} for name, published, added in compared])
    else:
        words = f"{kpi.family.period_table}, {cell.grain} of {cell.period_start}, basis {cell.basis}"
        console = terminal(highlight=False)
        console.print(f"{words}, {cell.segment_dimension} {cell.segment_value}", style="bold")
        rows = [
            [name, "–" if published is None else f"{published:,}", f"{added:,}", "no" if name in wrong else "yes"]
            for name, published, added in compared
        ]
        print_rows(console, ["measure", "published", "members", "equal"], rows)
    if wrong:
        raise CellError(f"The members of this cell do not add up to: {', '.join(wrong)}")


def write_csv(file: Path, rows: list[list[Any]], *, is_guarded: bool) -> None:
    """Rows into a file, the heading first; texts guarded against spreadsheets, where settings say so."""
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([guarded_value(value) if is_guarded else value for value in row] for row in rows)
