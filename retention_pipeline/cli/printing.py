"""What the commands print for people: tables made with rich from the data of published.py. The last month has its own
module, print_headline.py.

Nothing is read or computed here. Printing goes to the console that is passed in, so tests can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.freshness.marks import BETWEEN_SOURCES, SIGN
from retention_pipeline.kpis.registry import better, shown_as
from retention_pipeline.read.published import Row

GOOD, BAD, QUIET, STRONG, WARNING = "green", "red", "dim", "bold", "bold yellow"
PIVOT_COLUMNS = 8
PIVOT_MARGIN = 24  # characters beside the columns of a pivot: the period and "so far"
READABLE = 12  # characters: a column that is narrower than this and than its contents is no longer read
SIDES_OF_FRAME = 4  # characters: a border and a blank on either side


def marked(text: str | Text, mark: Any) -> Text:
    """A figure or a heading, with the sign of its footnote where `mark` says so."""
    shown = text.copy() if isinstance(text, Text) else Text(text)
    return shown.append(f" {SIGN}", WARNING) if mark else shown


def print_footnotes(console: Console, footnotes: Sequence[str]) -> None:
    """What the sign means: one line per reason."""
    for footnote in footnotes:
        console.print(Text.assemble((f"{SIGN} ", WARNING), footnote), soft_wrap=True)


def without_reasons(text: str, told: Iterable[str]) -> str:
    """A line without the reasons of refused files that the same answer tells where it names these files."""
    for reason in told:
        text = text.replace(f": {reason}", "")
    return text


def print_late(console: Console, states: Sequence[Row], told: Collection[str] = ()) -> None:
    """Sources that are late: their states as in a run's record. told: reasons that are told elsewhere."""
    late = [state for state in states if state["state"] != "fresh"]
    if not late:
        return
    console.print()
    console.print(Text("Late sources", WARNING))
    for state in late:
        if not state["figures_lack_data"]:
            follows = "the figures lack nothing of it"
        elif state["blocks"]:
            follows = "nothing is published until it delivers (on_stale: block)"
        else:
            follows = f"figures that need it are marked {SIGN}"
        console.print(
            Text.assemble(
                "  ", (state["source"], STRONG), f"  {state['state']}: {without_reasons(state['why'], told)}; {follows}"
            ),
            soft_wrap=True,
        )


def print_left_out(
    console: Console, refused: Sequence[tuple[str, str]], tonight: int, earlier: int, has_figures: bool, *, where: str
) -> None:
    """What of the delivery is not in the figures, last, so that nobody misses it: (file or source, why) of what was not
    loaded, the numbers of refused rows of this run and of earlier ones that still miss, and whether there is any figure
    at all. where: how all refused rows can be seen.
    """
    if not refused and not tonight and not earlier and has_figures:
        return
    console.print()
    console.print(Text("Not in these figures", WARNING))
    for file, why in refused:
        console.print(Text.assemble("  ", (file, "bold"), f"  not loaded: {why}"), soft_wrap=True)
    if tonight:
        console.print(Text(f"  {formatting.counted(tonight, 'refused row')}"), soft_wrap=True)
    if earlier:
        console.print(Text(f"  {formatting.counted(earlier, 'refused row')} of earlier loads"), soft_wrap=True)
    if tonight or earlier:
        console.print(Text(f"  why: retention status; all with file and line: {where}"), soft_wrap=True)
    if not has_figures:
        console.print(
            Text("  No order or subscription of a customer counts before this day: no figure."), soft_wrap=True
        )


def print_excluded(console: Console, excluded: Sequence[Row]) -> None:
    """How many orders do not count, by reason: as `reason`, `orders` and `amount` of each."""
    if not excluded:
        return
    each = [
        f"{one['orders']:,} {one['reason'].replace('_', ' ')}" + (f" ({one['amount']})" if one["amount"] else "")
        for one in excluded
    ]
    console.print()
    console.print(Text.assemble(("Orders that do not count: ", STRONG), ", ".join(each)), soft_wrap=True)


def print_places(console: Console, places: Sequence[tuple[str, str]], tries: Sequence[tuple[str, str]]) -> None:
    """Where things are, and commands to try next: (path, what it is), (command, what it shows). Commands stay whole,
    so that they can be copied.
    """
    console.print()
    console.print(Text("Where things are", STRONG))
    width = max(len(path) for path, _ in places)
    for path, what in places:
        console.print(Text.assemble("  ", (f"{path:{width}}", "cyan"), (f"  {what}", QUIET)), soft_wrap=True)
    if not tries:
        return
    console.print()
    console.print(Text("What to try next", STRONG))
    for command, what in tries:
        console.print(Text(f"  {what}", QUIET))
        console.print(Text(f"    {command}", "cyan"), soft_wrap=True)


def print_series(
    console: Console,
    definition: Row,
    rows: Sequence[Row],
    *,
    basis: str,
    segment: str,
    title: str | None = None,
    targets: Sequence[Row] = (),
    benchmarks: Mapping[tuple[str, date], Row] | None = None,
) -> None:
    """One KPI over time, a row per period: value, step, what was divided, interval, benchmark (by basis and
    period_start) and why a value is missing; then a line per target.
    """
    benchmarks = benchmarks or {}
    has_benchmark = any((basis, row["period_start"]) in benchmarks for row in rows)
    form = shown_as(definition["kpi"], definition["unit"])
    currency = next((row["currency"] for row in rows if row["currency"]), None)
    has_parts = any(row["denominator"] is not None for row in rows)
    has_interval = any(row["ci_low"] is not None for row in rows)
    narrow = (0, 1, 0, 0) if has_benchmark else (0, 1)  # else eight columns do not fit into a line of 80
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=narrow)
    table.add_column("Period")
    table.add_column("Value", justify="right", style=STRONG)
    table.add_column("Step", justify="right")
    if has_parts:
        table.add_column("Numerator / denominator", justify="right", style=QUIET)
        table.add_column("n", justify="right", style=QUIET)
    if has_interval:
        table.add_column("95 % interval", justify="right", style=QUIET, no_wrap=has_benchmark)
    if has_benchmark:
        table.add_column("Benchmark", justify="right", style=QUIET)
    table.add_column("", style=QUIET)
    before: float | None = None
    for row in rows:
        name = formatting.period(row["grain"], row["period_start"], row["period_end"])
        cells: list[Any] = [
            name,
            marked(formatting.figure(row["value"], form, currency), not row["is_fresh"]),
            step_in_colour(row["kpi"], row["value"], before, form),
        ]
        if has_parts:
            cells += [_parts(row), "" if row["n"] is None else formatting.number(row["n"])]
        if has_interval:
            cells.append(_interval(row, form))
        if has_benchmark:
            cells.append(_benchmark(benchmarks.get((basis, row["period_start"])), row["value"], form, currency))
        note = formatting.reason(row["null_reason"]) if row["value"] is None else ""
        cells.append(note or ("" if row["is_complete"] else "so far"))
        table.add_row(*cells)
        before = row["value"]
    _print_kpi_title(console, definition, title or f"{formatting.BASES.get(basis, basis)}, {segment}")
    console.print(table)
    shown = {row["period_start"] for row in rows}
    _print_benchmark_sources(
        console, [row for (of, start), row in benchmarks.items() if of == basis and start in shown]
    )
    for target in targets:
        console.print(_target_line(target, form, currency), soft_wrap=True)
    print_footnotes(console, _reasons(rows))


def _benchmark(row: Row | None, value: float | None, form: str, currency: str | None) -> str:
    """What the industry has and how far the figure is from it."""
    if row is None:
        return ""
    gap = formatting.change(value, float(row["benchmark"]), form)
    return f"{formatting.figure(row['benchmark'], form, currency)}\n({gap})"


def _print_benchmark_sources(console: Console, benchmarks: Iterable[Row]) -> None:
    """Whose the benchmarks are, once each."""
    for source, year in sorted({(row["source"], row["year"]) for row in benchmarks}):
        console.print(Text.assemble(("Benchmark ", STRONG), f"{source}, {year}"), soft_wrap=True)


def _target_line(target: Row, form: str, currency: str | None, of: str = "") -> Text:
    """A target (`of`: which series it is for): what is to be reached by when, from where, how far it is and how it
    stands.
    """
    words = {"met": "met", "ahead": "ahead", "on_track": "on track", "behind": "behind", "missed": "missed"}
    colours = {"met": GOOD, "ahead": GOOD, "behind": BAD, "missed": BAD}
    line = Text.assemble(
        ("Target ", STRONG),
        f"({of}) " if of else "",
        f"{formatting.figure(target['target'], form, currency)} by {formatting.day(target['due_on'])}",
        f", from {formatting.figure(target['baseline'], form, currency)}" if target["baseline"] is not None else "",
    )
    if target["status"] is None:
        return line.append(": no figure to measure it by yet" if target["value"] is None else "", QUIET)
    line.append(f": {formatting.figure(target['progress'], 'percent')} of the way, ")
    line.append(f"{formatting.figure(target['elapsed'], 'percent')} of the time, ")
    return line.append(words[target["status"]], colours.get(target["status"], ""))


def print_pivot(
    console: Console,
    definition: Row,
    rows: Sequence[Row],
    *,
    by: str,
    subject: str,
    targets: Sequence[Row] = (),
    benchmarks: Mapping[tuple[str, date], Row] | None = None,
) -> None:
    """One KPI over time with a column per basis or segment value (`by`); at most eight, those with most behind them.
    The benchmark of a period, the same for every basis, is a column more; then a line per target.
    """
    of_period = {start: row for (_, start), row in (benchmarks or {}).items()}
    form = shown_as(definition["kpi"], definition["unit"])
    currency = next((row["currency"] for row in rows if row["currency"]), None)
    latest = max(row["period_start"] for row in rows)
    weight = {row[by]: row["n"] or row["value"] or 0 for row in rows if row["period_start"] == latest}
    names = sorted({row[by] for row in rows}, key=lambda name: (-weight.get(name, 0), name))
    titles = {name: formatting.BASES.get(name, name) if by == "basis" else name for name in names}
    has_benchmark = any(row["period_start"] in of_period for row in rows)
    fitting = _columns_that_fit([titles[name] for name in names], console.width - 12 * has_benchmark)
    shown, hidden = names[:fitting], names[fitting:]
    by_period: dict[date, dict[str, Row]] = {}
    for row in rows:
        by_period.setdefault(row["period_start"], {})[row[by]] = row
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Period", no_wrap=True)
    headings = [titles[name] for name in shown]
    room = _room(console.width - 12 * has_benchmark, len(headings))
    for heading in headings:
        table.add_column(_broken(heading, room), justify="right", overflow="fold")
    if has_benchmark:
        table.add_column("Benchmark", justify="right", style=QUIET)
    table.add_column("", style=QUIET)
    for start in sorted(by_period):
        members = by_period[start]
        one = next(iter(members.values()))
        cells: list[Any] = [formatting.period(one["grain"], start, one["period_end"])]
        for name in shown:
            found = members.get(name)
            if found is not None and found["value"] is None:
                cell = Text(formatting.reason(found["null_reason"]), QUIET)
            else:
                cell = Text(formatting.figure(found["value"] if found else None, form, currency))
            cells.append(marked(cell, found is not None and not found["is_fresh"]))
        if has_benchmark:
            held = of_period.get(start)
            cells.append(formatting.figure(held["benchmark"], form, currency) if held else "")
        table.add_row(*cells, "" if one["is_complete"] else "so far")
    _print_kpi_title(console, definition, subject)
    console.print(table)
    _print_benchmark_sources(console, [row for start, row in of_period.items() if start in by_period])
    for target in targets:
        console.print(_target_line(target, form, currency, titles[target[by]]), soft_wrap=True)
    print_footnotes(console, _reasons(rows))
    if hidden:
        console.print(Text(f"not shown: {', '.join(hidden)} (ask for one with --segment dimension=value)", QUIET))


def print_rows(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, more: bool = False) -> None:
    """The answer of a query, everything as it is stored: a table with numbers to the right or, where the console is too
    narrow to read one (as psql does with `\\x auto`), a line per value.
    """
    if rows and _least_readable_width(columns, rows) > console.width:
        _print_records(console, columns, rows)
    else:
        _print_table(console, columns, rows)
    count = formatting.counted(len(rows), "row")
    console.print(Text(f"the first {count}; --limit shows more" if more else count, QUIET))


def print_rows_as_they_come(
    out: TextIO,
    columns: Sequence[str],
    first: Sequence[Sequence[Any]],
    fetch: Callable[[int], Sequence[Sequence[Any]]],
) -> None:
    """A long answer in plain columns, a line per row, laid out by its first rows; a wider value moves its line."""
    laid_out = [[formatting.cell(value) for value in row] for row in first]
    widths = [max(len(name), *(len(row[i]) for row in laid_out)) for i, name in enumerate(columns)]
    numeric = [all(isinstance(row[i], int | float) or row[i] is None for row in first) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    out.write(f"{line(columns)}\n{'  '.join('-' * width for width in widths)}\n")
    count, rows = 0, first
    while rows:
        out.writelines(f"{line([formatting.cell(value) for value in row])}\n" for row in rows)
        count += len(rows)
        rows = fetch(10_000)
    out.write(f"{formatting.counted(count, 'row')}\n")


def _room(width: int, columns: int) -> int:
    """Characters that a heading of a pivot may have."""
    return (width - PIVOT_MARGIN) // columns - 3


def _columns_that_fit(headings: Sequence[str], width: int) -> int:
    """How many columns of a pivot have room for the longest word of each of their headings; at least one."""
    fitting = min(PIVOT_COLUMNS, len(headings))
    longest = [max(len(part) for part in str(_broken(heading, 0)).split("\n")) for heading in headings]
    while fitting > 1 and max(longest[:fitting]) > _room(width, fitting):
        fitting -= 1
    return fitting


def _broken(heading: str, room: int) -> Text:
    """A heading that is longer than its column has room for, broken after underscores and between words."""
    return Text(heading if len(heading) <= room else heading.replace("_", "_\n").replace(" ", "\n"))


def _least_readable_width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Characters that a table needs if texts may wrap, but no column is squeezed below READABLE or its own width."""
    widths = [
        min(READABLE, max(len(name), *(len(formatting.cell(row[i])) for row in rows))) for i, name in enumerate(columns)
    ]
    return sum(widths) + 2 * len(widths)


def _print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    numeric = [all(isinstance(row[i], int | float) or row[i] is None for row in rows) for i in range(len(columns))]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, is_numeric in zip(columns, numeric, strict=True):
        table.add_column(Text(name), justify="right" if is_numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(formatting.cell(value)) for value in row))
    console.print(table)


def _print_records(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    width = max(len(name) for name in columns)
    for number, row in enumerate(rows, start=1):
        console.print()
        console.print(Text(f"row {number:,}", QUIET))
        for name, value in zip(columns, row, strict=True):
            console.print(
                Text.assemble("  ", (f"{name:{width}}", STRONG), f"  {formatting.cell(value)}"), soft_wrap=True
            )
    console.print()


def print_message(console: Console, message: str, *, title: str) -> None:
    """A problem that a person can act on, framed, without a traceback. What is too long for a frame stands between two
    lines, unbroken: paths and commands can be copied from it.
    """
    shown = Text(formatting.visible(message, keep="\n"))  # written out before the frame is measured
    if max(line.cell_len for line in shown.split("\n")) <= console.width - SIDES_OF_FRAME:
        console.print(Panel(shown, title=Text(title), title_align="left", border_style=BAD, box=box.ROUNDED))
        return
    console.print(Rule(Text(title), align="left", style=BAD))
    console.print(shown, soft_wrap=True)
    console.print(Rule(style=BAD))


def step_in_colour(kpi: str, now: float | None, before: float | None, form: str) -> Text:
    """The step to a value, in the colour that the KPI's direction gives it; in none where neither way is better."""
    step, direction = formatting.change(now, before, form), better(kpi)
    if not step or step == "=" or now is None or before is None:
        return Text(step, QUIET)
    if direction == "neither":
        return Text(step)
    return Text(step, GOOD if (now > before) == (direction == "higher") else BAD)


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why figures among the rows are not fresh, one line per source."""
    whys = [row["why_not_fresh"] for row in rows if not row["is_fresh"]]
    return list(dict.fromkeys(source for why in whys for source in why.split(BETWEEN_SOURCES)))


def _parts(row: Row) -> str:
    if row["denominator"] is None:
        return ""
    return f"{_plain(row['numerator'])} / {_plain(row['denominator'])}"


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    return formatting.number(value, decimals=0 if float(value).is_integer() else 2)


def _interval(row: Row, form: str) -> str:
    if row["ci_low"] is None:
        return ""
    low, high = (formatting.figure(row[name], form) for name in ("ci_low", "ci_high"))
    return f"{low} – {high}"


def _print_kpi_title(console: Console, definition: Row, subject: str) -> None:
    console.print()
    console.print(Text.assemble((definition["label"], STRONG), (f"  {definition['kpi']}", "cyan"), f"  {subject}"))
    console.print(Text(definition["definition"], QUIET))


def print_names(console: Console, title: str, entries: Iterable[tuple[str, str]]) -> None:
    """A list of names with what they mean."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, meaning in entries:
        table.add_row(Text(name), Text(meaning))
    console.print(Text(title, STRONG))
    console.print(table)
