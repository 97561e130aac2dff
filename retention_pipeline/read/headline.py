"""The headline: the last complete month's figures with the customer bridge and the MRR bridge, as data.

`retention kpis`, the end of a run and the assets' metadata show the same one; cli/print_headline.py and `as_markdown`
write it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from math import isnan

import duckdb

from retention_pipeline import formatting
from retention_pipeline.freshness.marks import SIGN, Mark, Marks, footnotes, read_marks
from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.goals import IMPOSSIBLE
from retention_pipeline.kpis.registry import headline_places
from retention_pipeline.read.published import Row, figures_until, last_complete_period
from retention_pipeline.warehouse import has_table

CUSTOMER_BRIDGE = (
    ("", "customers_start", "At the start"),
    ("+", "customers_new", "New"),
    ("+", "customers_reactivated", "Reactivated"),
    ("−", "customers_lost", "Lost"),
    ("=", "customers_end", "At the end"),
)
MRR_BRIDGE = (
    ("", "mrr_start", "At the start"),
    ("+", "mrr_new", "New"),
    ("+", "mrr_reactivation", "Reactivation"),
    ("+", "mrr_expansion", "Expansion"),
    ("−", "mrr_contraction", "Contraction"),
    ("−", "mrr_churn", "Churn"),
    ("±", "mrr_fx", "Exchange rates"),
    ("=", "mrr_end", "At the end"),
)
BASES = ("subscription", "order", "any")
MRR = "mrr"
LIFESPAN, FEWEST_LOST = "customer_lifespan_years", 10  # of ten, the interval is about a third to both sides
STAR = f" \\{SIGN}"  # not the beginning of emphasis


@dataclass(frozen=True)
class Line:
    """One KPI of one basis: `form` is its format, `history` holds its values of the last 13 months, oldest first, None
    where not given; `needs_basis`: the label alone does not say whose figure it is; `mark`: what its data lack.
    """

    section: str
    kpi: str
    basis: str
    label: str
    form: str
    currency: str | None
    history: list[float | None]
    null_reason: str | None
    needs_basis: bool
    mark: Mark | None = None

    @property
    def value(self) -> float | None:
        return self.history[-1]

    @property
    def before(self) -> float | None:
        """The value of the month before."""
        return self.history[-2] if len(self.history) > 1 else None


@dataclass(frozen=True)
class BridgeRow:
    """One step of a bridge: its sign, its name and one value per column (None: not given)."""

    sign: str
    label: str
    values: list[float | None]


@dataclass(frozen=True)
class Headline:
    """What there is to say about one month. Bridges are empty where the data do not give them. `marked`: bases of the
    customer bridge, and 'mrr', whose data lack something; `footnotes`: what the data lack, one line each.
    """

    as_of: date
    grain: str
    period_start: date
    period_end: date
    is_complete: bool
    currency: str | None
    lines: list[Line]
    customer_columns: list[str]
    customer_bridge: list[BridgeRow]
    mrr_bridge: list[BridgeRow]
    marked: frozenset[str] = frozenset()
    footnotes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)

    @property
    def period(self) -> str:
        return formatting.period(self.grain, self.period_start, self.period_end)


def read_headline(connection: duckdb.DuckDBPyConnection, *, as_of: date, grain: str = "month") -> Headline | None:
    """The headline of an open warehouse; None if it has no figures of this grain."""
    period = last_complete_period(connection, grain)
    if period is None:
        return None
    start: date = period["period_start"]
    places = headline_places()
    asked = {kpi.id for kpi, _ in places} | {kpi for bridge in (CUSTOMER_BRIDGE, MRR_BRIDGE) for _, kpi, _ in bridge}
    found = figures_until(connection, grain, start, kpis=sorted(asked))
    months = sorted({row["period_start"] for row in found})
    by_key: dict[tuple[str, str], dict[date, Row]] = {}
    for row in found:
        by_key.setdefault((row["kpi"], row["basis"]), {})[row["period_start"]] = row
    bases = [basis for basis in BASES if start in by_key.get(("customers_end", basis), {})]
    if len(bases) == 2:  # only one kind of data, so `any` says the same again
        bases = bases[:1]
    wanted = [(kpi, bases[0] if basis == "any" and len(bases) == 1 else basis) for kpi, basis in places]
    marks, end = read_marks(connection), period["period_end"]
    lines = [
        _line(kpi, basis, by_key[kpi.id, basis], start, months, marks.of(kpi.id, basis, end))
        for kpi, basis in dict.fromkeys(wanted)
        if start in by_key.get((kpi.id, basis), {})
    ]
    of_bridges = _marks_of_bridges(marks, bases, end)
    return Headline(
        as_of=as_of,
        grain=grain,
        period_start=start,
        period_end=end,
        is_complete=period["is_complete"],
        currency=next((row["currency"] for row in found if row["currency"]), None),
        lines=lines,
        customer_columns=bases,
        customer_bridge=_bridge(CUSTOMER_BRIDGE, bases, by_key, start),
        mrr_bridge=_bridge(MRR_BRIDGE, ["subscription"], by_key, start),
        marked=frozenset(of_bridges),
        cautions=[*_cautions(lines, by_key, start), *_left_out_goals(connection)],
        footnotes=footnotes([*of_bridges.values(), *(line.mark for line in lines if line.mark)]),
    )


def as_markdown(headline: Headline) -> str:
    """The headline as Markdown tables, for the metadata of assets."""
    so_far = "" if headline.is_complete else " so far"
    missing = f", data are missing{STAR}" if headline.footnotes else ""
    parts = [
        f"**{headline.period}{so_far}**, as of {headline.as_of}{missing}",
        "",
        "| KPI | of | value | month before | change |",
        "|---|---|---:|---:|---:|",
    ]
    for line in headline.lines:
        now, before = (formatting.figure(value, line.form, line.currency) for value in (line.value, line.before))
        if line.value is None:
            now = formatting.reason(line.null_reason)
        now += STAR if line.mark else ""
        step = formatting.change(line.value, line.before, line.form)
        parts.append(f"| {line.label} | {formatting.BASES[line.basis]} | {now} | {before} | {step} |")
    if headline.customer_bridge:
        names = " | ".join(
            formatting.BASES[basis] + (STAR if basis in headline.marked else "") for basis in headline.customer_columns
        )
        parts += ["", f"| Customers | {names} |", "|---|" + "---:|" * len(headline.customer_columns)]
        for row in headline.customer_bridge:
            values = " | ".join("–" if value is None else formatting.number(value) for value in row.values)
            parts.append(f"| {row.sign} {row.label} | {values} |")
    if headline.mrr_bridge:
        parts += ["", f"| MRR{STAR if MRR in headline.marked else ''} | amount |", "|---|---:|"]
        for row in headline.mrr_bridge:
            amount = formatting.figure(row.values[0], "money", headline.currency, cents=True)
            parts.append(f"| {row.sign} {row.label} | {amount} |")
    if headline.footnotes:
        parts += ["", *(f"{STAR.strip()} {footnote}  " for footnote in headline.footnotes)]
    return "\n".join(parts)


def goal_lines(connection: duckdb.DuckDBPyConnection) -> list[list[str]]:
    """(goal, value, status) of each row of kpi_attainment, in words; none without goals."""
    if not has_table(connection, "kpi_attainment"):
        return []
    rows = connection.execute(
        """
        select goals.*, coalesce(label, kpi) as label, coalesce(format, 'decimals') as form
        from kpi_attainment as goals left join kpi_definitions using (kpi)
        order by due_on, kpi, grain, basis, segment_dimension, segment_value, start_on
        """
    ).df()
    lines = []
    for goal in rows.to_dict("records"):
        whose = "" if goal["segment_dimension"] == "all" else f", {goal['segment_dimension']} {goal['segment_value']}"
        value = None if isnan(goal["value"]) else goal["value"]
        asked = formatting.figure(goal["target"], goal["form"])
        named = f"{goal['label']}{whose} ({goal['grain']}): {asked} by {formatting.day(goal['due_on'].date())}"
        lines.append(
            [named, formatting.figure(value, goal["form"]), (goal["status"] or "not measured yet").replace("_", " ")]
        )
    return lines


def _marks_of_bridges(marks: Marks, bases: list[str], period_end: date) -> dict[str, Mark]:
    """The marks of the bridges, by basis and 'mrr'."""
    found = {basis: marks.of("customers_end", basis, period_end) for basis in bases}
    found[MRR] = marks.of("mrr_end", "subscription", period_end)
    return {name: mark for name, mark in found.items() if mark is not None}


def _line(
    kpi: Kpi,
    basis: str,
    by_month: dict[date, Row],
    start: date,
    months: list[date],
    mark: Mark | None,
) -> Line:
    row = by_month[start]
    return Line(
        section=kpi.headline.section if kpi.headline else "",
        kpi=kpi.id,
        basis=basis,
        label=kpi.label,
        form=kpi.shown_as,
        currency=row["currency"],
        history=[by_month[month]["value"] if month in by_month else None for month in months],
        null_reason=row["null_reason"],
        needs_basis=len(kpi.family.bases) > 1,
        mark=mark,
    )


def _cautions(lines: list[Line], by_key: dict[tuple[str, str], dict[date, Row]], start: date) -> list[str]:
    """A lifespan is one divided by a rate of loss: of few lost customers it says little, however long it is."""
    found = []
    for line in lines:
        row = by_key[line.kpi, line.basis][start]
        if line.kpi != LIFESPAN or not row["denominator"]:
            continue
        lost = row["denominator"] / 12
        if lost < FEWEST_LOST:
            found.append(
                f"{line.label}, {formatting.BASES[line.basis]}: from {formatting.counted(lost, 'customer')} lost in"
                f" {formatting.counted(row['numerator'], 'customer-month')}, so it may as well be several times shorter"
                " or longer; lifetime values that use it too"
            )
    return found


def _left_out_goals(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Targets and benchmarks that cannot be, of which kpi_attainment and kpi_with_benchmark say nothing."""
    if not has_table(connection, "data_quality"):
        return []
    counts = connection.execute(
        "select dataset, cast(value as bigint) from data_quality where measure = 'impossible' order by dataset"
    ).fetchall()
    return [f"{dataset}: {formatting.counted(rows, 'row')} left out, {IMPOSSIBLE[dataset]}" for dataset, rows in counts]


def _bridge(
    steps: tuple[tuple[str, str, str], ...],
    bases: list[str],
    by_key: dict[tuple[str, str], dict[date, Row]],
    start: date,
) -> list[BridgeRow]:
    """The steps of a bridge with a column per basis; empty if the month has no such figures at all.

    A step that is zero everywhere and whose sign is `±` (exchange rates of a company with one currency) is left out.
    """
    rows = []
    for sign, kpi, label in steps:
        values = [by_key.get((kpi, basis), {}).get(start, {}).get("value") for basis in bases]
        if sign != "±" or any(values):
            rows.append(BridgeRow(sign, label, values))
    return rows if any(value is not None for row in rows for value in row.values) else []
