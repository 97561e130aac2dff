"""How an explanation and the differences of variants are printed for people: read/explain.py, read/variants.py."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.printing import BAD, GOOD, QUIET, STRONG, WARNING
from retention_pipeline.history.causes import FX
from retention_pipeline.history.restatement_tables import NOT_LISTED
from retention_pipeline.history.since import Since
from retention_pipeline.history.since import Step as Caused
from retention_pipeline.kpis.registry import better, shown_as
from retention_pipeline.read.decomposition import DimensionEffect
from retention_pipeline.read.explain import Amount, Change, Explanation, Member, Part, PartChange, Step
from retention_pipeline.read.members import NOBODY
from retention_pipeline.read.published import Row

FACTS_SHOWN, SEGMENTS_SHOWN, REASONS_SHOWN = 3, 6, 5
LAID_OUT_AT_MOST = 1_000  # customers in a table; more are plain lines
LARGE = 100_000  # sums from here on are shown without cents
SUBJECTS = {"numerator": "Numerator", "denominator": "Denominator", "value": "Value", "values": "Values"}


def print_explanation(console: Console, explained: Explanation) -> None:
    """All of it, in at most 80 columns where the console has no more."""
    row = explained.row
    form = shown_as(explained.kpi, row["unit"])
    whose = "everyone" if row["segment_dimension"] == "all" else f"{row['segment_dimension']} {row['segment_value']}"
    basis = "" if row["basis"] == "all" else f", {formatting.BASES[row['basis']]}"
    name = formatting.period(row["grain"], row["period_start"], row["period_end"])
    given = formatting.figure(row["value"], form, row["currency"])
    console.print(
        Text.assemble((f"{explained.label}: {given}", STRONG), f"  {name}, {formatting.visible(whose)}{basis}")
    )
    if row["null_reason"]:
        console.print(Text(f"Not given: {formatting.reason(row['null_reason'])} ({row['null_reason']})", WARNING))
    if not row["is_complete"]:
        console.print(Text("The period has not ended; these are its figures so far.", WARNING))
    if not row["is_fresh"]:
        console.print(Text(f"Data are missing: {row['why_not_fresh']}", WARNING))
    console.print(Padding(Text(explained.definition), (0, 0, 0, 2)))
    if explained.settings:
        known = ", ".join(
            f"{setting} {value if value is not None else 'not set'}" for setting, value in explained.settings.items()
        )
        console.print(Padding(of_data(f"Settings: {known}", QUIET), (0, 0, 0, 2)))
    if row["ci_low"] is not None:
        limits = " – ".join(formatting.figure(row[end], form, row["currency"]) for end in ("ci_low", "ci_high"))
        console.print(Padding(Text(f"95 % interval: {limits}", QUIET), (0, 0, 0, 2)))
    for part in explained.parts:
        print_part(console, part, explained)
    if explained.factor:
        console.print(Padding(Text(f"The quotient is multiplied by {explained.factor}.", QUIET), (0, 0, 0, 2)))
    for change in explained.changes:
        print_change(console, explained, change, form)
    if explained.members is not None:
        console.print()
        console.print(Text(f"All {formatting.counted(len(explained.members), 'customer')}", STRONG))
        print_members(console, explained.members, list(explained.members[0].parts) if explained.members else [])
    for note in explained.notes:
        console.print(Text(note, WARNING))


def print_part(console: Console, part: Part, explained: Explanation) -> None:
    """A part with its sum, how many customers are in it, and those with the most of it."""
    console.print()
    total = f" {amount(part.total)}" if part.name != "value" else ""
    head = Text.assemble((f"{SUBJECTS[part.name]}{total}", STRONG), f"  {part.expression}")
    console.print(head)
    which = ":"
    if part.customers > len(part.largest):
        alike = len({abs(one.parts[part.name]) for one in part.largest}) == 1
        which = f", {len(part.largest)} of them:" if alike else f", the largest {len(part.largest)}:"
    behind = formatting.counted(part.customers, "customer")
    if part.customers == 1 and part.largest and part.largest[0].customer_id == NOBODY:
        behind = "Of no customer"
    console.print(Padding(Text(f"{behind}{which if part.largest else ''}", QUIET), (0, 0, 0, 2)))
    print_members(console, part.largest, [part.name])


def print_members(console: Console, members: Sequence[Member], parts: Sequence[str]) -> None:
    """One customer per line, with the facts that put them there."""
    if len(members) > LAID_OUT_AT_MOST:
        write_members(console.file, members, parts)
        return
    if not members:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=len(parts) > 1)
    table.add_column("  Customer", no_wrap=True, max_width=26, overflow="ellipsis")
    for part in parts:
        table.add_column(SUBJECTS[part], justify="right", no_wrap=True)
    table.add_column("Facts", style=QUIET, ratio=1)
    for member in members:
        shown_parts = (amount(member.parts[part]) for part in parts)
        table.add_row(of_data(f"  {member.customer_id}"), *shown_parts, of_data(_facts(member)))
    console.print(table)


def write_members(file: IO[str], members: Sequence[Member], parts: Sequence[str]) -> None:
    """The same without a layout by Rich, which takes half a millisecond a line; facts are not broken into lines."""
    ids = ["Customer", *(formatting.visible(one.customer_id) for one in members)]
    columns = [[SUBJECTS[part], *(amount(one.parts[part]) for one in members)] for part in parts]
    line = f"  {{:<{max(map(len, ids))}}}  " + "".join(f"{{:>{max(map(len, one))}}}  " for one in columns) + "{}\n"
    file.writelines(map(line.format, ids, *columns, ["Facts", *map(_facts, members)]))


def _facts(member: Member) -> str:
    more = len(member.facts) - FACTS_SHOWN
    shown = [*member.facts[:FACTS_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
    return formatting.visible("; ".join(shown))


def print_change(console: Console, explained: Explanation, change: Change, form: str) -> None:
    """What made the figure differ from another answer: by customers, then by segments."""
    row = explained.row
    before = formatting.figure(change.value_before, form, row["currency"])
    now = formatting.figure(row["value"], form, row["currency"])
    step = formatting.change(row["value"], change.value_before, form)
    against = formatting.period(row["grain"], change.period_start, change.period_end)
    console.print()
    console.print(
        Text.assemble(
            ("Change", STRONG),
            f"  from {before} in {against} to {now}  ",
            (step, colour(explained.kpi, row["value"], change.value_before)),
        )
    )
    if change.parts:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for heading in ("", "Before", "+ entered", "− left", "± others", "Now"):
            table.add_column(heading, justify="left" if not heading else "right")
        for part in change.parts:
            steps = (part.entered, part.left, part.changed)
            table.add_row(SUBJECTS[part.name], amount(part.before), *map(of_customers, steps), amount(part.now))
        console.print(table)
        for part in change.parts:
            print_steps(console, part)
    for effect in change.dimensions:
        print_effects(console, effect, form, row["currency"])


def print_steps(console: Console, part: PartChange) -> None:
    """Who entered a part, and who left it: those who add the most."""
    for word, step, one in (("Entered", part.entered, 1), ("Left", part.left, -1)):
        if step.customers:
            named = ", ".join(
                customer if added == one else f"{customer} {signed(added)}" for customer, added in step.largest
            )
            more = step.customers - len(step.largest)
            text = f"{word} the {SUBJECTS[part.name].lower()}: {named}{f' and {more:,} more' if more else ''}"
            console.print(Padding(of_data(text, QUIET), (0, 0, 0, 2)))


def print_effects(console: Console, effect: DimensionEffect, form: str, currency: str | None) -> None:
    """One dimension: what changed within its values, and what their shares did."""
    others = [("another factor", effect.factor), ("other rows", effect.rest)]
    has_mix = any(one.mix for one in effect.segments)
    mix = [("mix", effect.mix)] if has_mix else []
    parts = [("within" if has_mix else "all", effect.within), *mix, *((name, by) for name, by in others if by)]
    said = ", ".join(f"{name} {step(by, form, currency)}" for name, by in parts)
    console.print(Text.assemble((formatting.visible(f"By {effect.dimension}"), STRONG), f"  {said}"))
    ordered = sorted(effect.segments, key=lambda one: (-abs(one.within + one.mix), one.value))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column("", max_width=34, no_wrap=True, overflow="ellipsis")
    table.add_column("", justify="right")
    table.add_column("", justify="right")
    for one in ordered[:SEGMENTS_SHOWN]:
        within, mix_of_value = (step(by, form, currency) for by in (one.within, one.mix))
        table.add_row(
            of_data(f"  {one.value}"), *((f"within {within}", f"mix {mix_of_value}") if has_mix else (within, ""))
        )
    console.print(table)
    if len(ordered) > SEGMENTS_SHOWN:
        console.print(
            Padding(Text(f"and {formatting.counted(len(ordered) - SEGMENTS_SHOWN, 'more value')}", QUIET), (0, 0, 0, 2))
        )


def print_variants(console: Console, label: str, rows: Sequence[Row]) -> None:
    """Differences of one pair of variants, added up by part and reason, with the customers who make the most."""
    console.print(Text(label, STRONG))
    if not rows:
        console.print(Padding(Text("No customer counts otherwise in one than in the other.", QUIET), (0, 0, 0, 2)))
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["part"], row["reason"]), []).append(row)
    for (part, reason), of_reason in found.items():
        total = sum(row["difference"] for row in of_reason)
        console.print(
            Padding(
                Text(f"{part} {signed(total)}: {reason} ({formatting.counted(len(of_reason), 'customer')})"),
                (0, 0, 0, 2),
            )
        )
        named = [f"{row['customer_id']} {signed(row['difference'])}" for row in of_reason[:REASONS_SHOWN]]
        more = [f"and {len(of_reason) - len(named):,} more"] if len(of_reason) > len(named) else []
        console.print(Padding(of_data(", ".join([*named, *more]), QUIET), (0, 0, 0, 4)))


def of_data(text: str, style: str = "") -> Text:
    """Text with names and words from data, in which nothing is markup or a control character."""
    return Text(formatting.visible(text), style)


def of_customers(step: Step) -> Text:
    """What customers add, and below it how many they are, unless that is the same."""
    text = Text(signed(step.amount))
    return text if abs(step.amount) == step.customers else text.append(f"\nby {step.customers:,}", QUIET)


@lru_cache(maxsize=1_000, typed=True)  # most customers of a count are 1
def amount(number: Amount) -> str:
    """A part: counts without decimals, money with two, large sums without."""
    return formatting.number(number, decimals=0 if isinstance(number, int) or abs(number) >= LARGE else 2)


def signed(number: Amount) -> str:
    """A step of a part with its sign."""
    return f"+{amount(number)}" if number > 0 else amount(number)


def step(by: float, form: str, currency: str | None) -> str:
    """A step of a figure in its unit: percentage points for shares."""
    if form == "percent":
        points = round(by * 100, 2)
        return f"{'+' if points > 0 else ''}{formatting.number(points or 0.0, decimals=2)} pp"
    text = formatting.figure(abs(by), form, currency)
    return text if not by else f"{'+' if by > 0 else '−'}{text}"


def colour(kpi: str, now: float | None, before: float | None) -> str:
    """Green for a change to the better, red for one to the worse."""
    if now is None or before is None or now == before or better(kpi) == "neither":
        return ""
    return GOOD if (now > before) == (better(kpi) == "higher") else BAD


def table_of(explained: Explanation) -> list[list[Any]]:
    """The members as rows for CSV, with a heading: customer_id, parts, facts."""
    members = explained.members or []
    parts = [part.name for part in explained.parts]
    rows: list[list[Any]] = [["customer_id", *parts, "facts"]]
    return rows + [[one.customer_id, *(one.parts[part] for part in parts), "; ".join(one.facts)] for one in members]


def print_since(console: Console, later: Since, figure_now: Row, form: str) -> None:
    """What became of a figure, a row of retention_kpis, since a moment, and the rows that did it."""
    currency, now = figure_now["currency"], figure_now["value"]

    def figure(value: float | None) -> str:
        return formatting.figure(value, form, currency)

    console.print()
    then = figure(later.value) if later.was_known else "not published"
    console.print(
        f"Known at {formatting.moment(later.moment)} (published {formatting.moment(later.published_at)}):"
        f" {then}; now {figure(now)}",
        style="bold",
        soft_wrap=True,
    )
    if figure_now["period_end"] > later.as_of:
        console.print("  the period had not ended; what came until it did is no restatement", style="dim")
    if not later.steps:
        console.print("  not restated since", style="dim")
    for _, of_publication in groupby(later.steps, key=lambda one: one.published_at):
        steps = list(of_publication)
        first = steps[0]
        said = f"{figure(first.old)} → {figure(first.new)}{_beneath(first, form)}"
        console.print(f"  {formatting.moment(first.published_at)}: {said}", soft_wrap=True)
        for one in steps:
            print_cause(console, one, form, currency)


def print_cause(console: Console, one: Caused, form: str, currency: str | None) -> None:
    """What one cause did in one publication, and the rows behind it."""

    def parts(numerator: float | None, denominator: float | None) -> str:
        said = [signed_part(part) for part in (numerator, denominator) if part is not None]
        return " / ".join(said)

    others = f", maybe {one.other_causes} too" if one.other_causes else ""
    of_ratio = one.old_denominator is not None or one.new_denominator is not None
    whole = f" (numerator / denominator {parts(one.numerator_delta, one.denominator_delta)})" if of_ratio else ""
    if one.numerator_delta is None:
        whole = ""
    console.print(f"    {one.cause}{others}: {step(one.delta, form, currency)}{whole}", soft_wrap=True)
    listed = [row for row in one.rows if row.customer_id != NOT_LISTED]
    for row in listed:
        without_row = "money at a new rate" if one.cause == FX else "no row of theirs"
        what = f"{row.dataset} {row.row_key}" if row.dataset else without_row
        part = parts(row.numerator_delta, row.denominator_delta if of_ratio else None)
        where = f" ({row.file}{f', line {row.line}' if row.line else ''})" if row.file else ""
        nobody = "" if row.dataset == "fx_rates" else "nobody"
        whose = " ".join(filter(None, [row.customer_id or nobody, part]))
        console.print(of_data(f"      {f'{whose}: ' if whose else ''}{what}{where}", "dim"), soft_wrap=True)
    if one.more:
        console.print(f"      and {formatting.counted(one.more, 'more row')}", style="dim")
    for row in one.rows[len(listed) :]:
        has_parts = any(other.numerator_delta or other.denominator_delta for other in listed)
        who = "all other customers together" if has_parts else "all customers together"
        part = parts(row.numerator_delta, row.denominator_delta if of_ratio else None)
        console.print(of_data(f"      {who}{f' {part}' if part else ''}: not listed", "dim"), soft_wrap=True)


def signed_part(part: float) -> str:
    """A part of a sum: whole numbers without decimals."""
    return signed(_exact(part))


def _beneath(one: Caused, form: str) -> str:
    """What changed beneath a value that is shown as before."""
    if formatting.figure(one.old, form) != formatting.figure(one.new, form):
        return ""
    pairs = {
        "numerator": (one.old_numerator, one.new_numerator),
        "denominator": (one.old_denominator, one.new_denominator),
        "n": (one.old_n, one.new_n),
    }
    said = [
        f"{name} {shown_part(old)} → {shown_part(new)}"
        for name, (old, new) in pairs.items()
        if old != new and not (name == "n" and one.old_denominator == one.old_n and one.new_denominator == one.new_n)
    ]
    return f" ({', '.join(said)})" if said else ""


def shown_part(part: float | None) -> str:
    """A numerator, denominator or n."""
    return "–" if part is None else amount(_exact(part))


def _exact(part: float) -> int | Decimal:
    """As few decimals as it has."""
    return int(part) if part == int(part) else Decimal(repr(part))
