"""How the headline is printed: bridges, then the figures by section, then what is to be said about their data.

Nothing is read or computed here. Printing goes to the console that is passed in, so tests can read it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.printing import (
    BAD,
    GOOD,
    QUIET,
    STRONG,
    WARNING,
    marked,
    print_footnotes,
    step_in_colour,
    without_reasons,
)
from retention_pipeline.freshness.marks import SIGN
from retention_pipeline.read.headline import MRR, BridgeRow, Headline

BAR_WIDTH = 18
WIDE = 100  # columns from which a line of the headline has room for its history


def print_headline(console: Console, headline: Headline, told: Collection[str] = ()) -> None:
    """The last complete month: bridges side by side where the terminal is wide enough, then the figures by section.
    told: reasons of refused files that are told elsewhere.
    """
    so_far = "" if headline.is_complete else " so far"
    title = Text.assemble(
        (f" {headline.period}{so_far} ", "bold reverse"), (f"  figures as of {headline.as_of}", QUIET)
    )
    if headline.footnotes:
        title.append(f", data are missing {SIGN}", WARNING)
    console.print()
    console.print(title)
    bridges: list[RenderableType] = []
    if headline.customer_bridge:
        bridges.append(_customer_bridge(headline))
    if headline.mrr_bridge:
        bridges.append(_mrr_bridge(headline.mrr_bridge, headline.currency, is_marked=MRR in headline.marked))
    console.print(Padding(_side_by_side(console, bridges), (1, 0, 0, 0)))
    console.print(Padding(_figures(headline, sparklines=console.width >= WIDE), (1, 0, 0, 0)))
    print_footnotes(console, [without_reasons(footnote, told) for footnote in headline.footnotes])
    for caution in headline.cautions:
        console.print(Text(caution, QUIET))


def _figures(headline: Headline, *, sparklines: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("")
    table.add_column(headline.period, justify="right", style=STRONG)
    table.add_column("month before" if headline.grain == "month" else "before", justify="right")
    table.add_column("change", justify="right")
    if sparklines:
        table.add_column(
            f"{max((len(line.history) for line in headline.lines), default=0)} {headline.grain}s", no_wrap=True
        )
    section = ""
    for line in headline.lines:
        if line.section != section:
            if section:
                table.add_row()
            section = line.section
            table.add_row(Text(section, "bold cyan"))
        now = formatting.figure(line.value, line.form, line.currency)
        table.add_row(
            Text.assemble(f"  {line.label}", (f", {formatting.BASES[line.basis]}" if line.needs_basis else "", QUIET)),
            marked(now if line.value is not None else Text(formatting.reason(line.null_reason), QUIET), line.mark),
            marked(
                formatting.figure(line.before, line.form, line.currency),
                line.mark and line.mark.concerns(headline.period_start),
            ),
            step_in_colour(line.kpi, line.value, line.before, line.form),
            *([Text(formatting.sparkline(line.history), "cyan")] if sparklines else []),
        )
    return table


def _customer_bridge(headline: Headline) -> Table:
    table = Table(
        title="Customers",
        title_justify="left",
        title_style=STRONG,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("")
    for basis in headline.customer_columns:
        table.add_column(marked(formatting.BASES[basis], basis in headline.marked), justify="right")
    for row in headline.customer_bridge:
        _bridge_row(table, row, ["–" if value is None else formatting.number(value) for value in row.values])
    return table


def _mrr_bridge(rows: Sequence[BridgeRow], currency: str | None, *, is_marked: bool) -> Table:
    greatest = max((abs(row.values[0]) for row in rows if row.sign not in {"", "="} and row.values[0]), default=0)
    table = Table(
        title=marked("Monthly recurring revenue", is_marked),
        title_justify="left",
        title_style=STRONG,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("")
    table.add_column(currency or "", justify="right")
    table.add_column("", no_wrap=True)
    for row in rows:
        value = row.values[0]
        gains = row.sign == "+" or (row.sign == "±" and (value or 0) > 0)
        width = round(abs(value or 0) / greatest * BAR_WIDTH) if greatest and row.sign not in {"", "="} else 0
        bar = Text("█" * width, GOOD if gains else BAD)
        _bridge_row(table, row, [formatting.figure(value, "money", None, cents=True)], bar)
    return table


def _bridge_row(table: Table, row: BridgeRow, cells: list[str], *more: Text) -> None:
    sums = row.sign in {"", "="}
    table.add_row(
        Text(f"{row.sign or ' '} {row.label}", STRONG if sums else ""),
        *(Text(cell, STRONG if sums else "") for cell in cells),
        *more,
    )


def _side_by_side(console: Console, tables: Sequence[RenderableType]) -> RenderableType:
    widths = [console.measure(table).maximum for table in tables]
    if sum(widths) + 6 * len(widths) > console.width:
        return Group(*(Padding(table, (0, 0, 1, 2)) for table in tables))
    grid = Table.grid(padding=(0, 6, 0, 0))
    grid.add_row(*tables)
    return Padding(grid, (0, 0, 0, 2))
