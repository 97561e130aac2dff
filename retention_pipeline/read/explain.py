"""Why a figure is what it is: its definition in this company's words, what was divided, who is behind it, and what made
it differ from the period before.

`explain` gives an Explanation, all of it data; cli/print_explain.py writes it. What it lists adds up: the parts of the
customers to numerator and denominator, the steps of a Change to the difference. A Change is between any two answers to
the same question (`compared`): here this period and the one before; another generation would be another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb

from retention_pipeline import formatting
from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.definitions import factor, in_words
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.decomposition import DimensionEffect, effects_by_dimension
from retention_pipeline.read.facts import FACTS, kinds_behind
from retention_pipeline.read.members import (
    ALL,
    NOBODY,
    Cell,
    columns_in,
    is_cell,
    parts_of,
    parts_query,
    published_settings,
    values_of,
    with_ids,
)
from retention_pipeline.read.named_periods import named_period
from retention_pipeline.read.published import PENDING, Row, UnknownName, did_you_mean, marked_figures, rows_of
from retention_pipeline.warehouse import has_table, tables_in

LARGEST = 5  # customers shown of each part
FEW_ROWS = 1_000  # as DuckDB estimates those of cells, by their days
NOW, BEFORE = "explained_now", "explained_before"
Amount = int | Decimal


class Member(NamedTuple):
    """A customer with their parts of the figure, by part, and the facts that put them there."""

    customer_id: str
    parts: dict[str, Amount]
    facts: list[str]


@dataclass(frozen=True)
class Part:
    """`numerator`, `denominator` or `value` as a sum over customers; `values` of what is not a sum: how many each has.

    `total` is what the members add up to, `published` what the figure's row says (None where it is not given).
    """

    name: str
    expression: str
    total: Amount
    published: float | None
    customers: int
    largest: list[Member]


@dataclass(frozen=True)
class Step:
    """Some customers of a change: how many, what they add to it, and who add the most, (customer_id, amount) each."""

    customers: int
    amount: Amount
    largest: list[tuple[str, Amount]]


@dataclass(frozen=True)
class PartChange:
    """What customers who entered a part, left it or have another share in it add to its change."""

    name: str
    before: Amount
    now: Amount
    entered: Step
    left: Step
    changed: Step


@dataclass(frozen=True)
class Change:
    """The step from another answer to this one."""

    against: str
    period_start: date
    period_end: date
    value_before: float | None
    parts: list[PartChange]
    dimensions: list[DimensionEffect] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """A figure, and what stands behind it. `row` is the row of retention_kpis with its marks; `members` are all
    customers behind it where they were asked for, `members_as_json` the same as texts of JSON; `notes` say what cannot
    be explained, and why.
    """

    kpi: str
    label: str
    definition: str
    settings: dict[str, str | None]
    factor: str | None
    row: Row
    parts: list[Part]
    changes: list[Change]
    members: list[Member] | None
    notes: list[str]
    members_as_json: list[str] | None = None


def explain(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    period: str,
    *,
    grain: str | None = None,
    segment: str | None = None,
    basis: str | None = None,
    everybody: bool = False,
    as_json: bool = False,
) -> Explanation:
    """Explain one figure of an open generation; everybody: with all its customers, as_json: these as `members_as_json`,
    of which no objects are made. Raises UnknownName for what it does not have, with what it has.
    """
    kpi, named, row = asked_figure(connection, name, period, grain=grain, segment=segment, basis=basis)
    cell = cell_of(row)
    texts = parts_of(kpi) or values_of(kpi)
    notes = notes_on(kpi, row, texts)
    keep_members(connection, kpi, texts, cell, NOW, ids=True)
    facts = facts_behind(connection, kpi, texts, cell)
    computed = pending_row(connection, row)
    if computed is not None:
        now, was = (formatting.figure(one["value"], kpi.shown_as, row["currency"]) for one in (computed, row))
        notes.append(
            f"Since {computed['held_since']:%Y-%m-%d} a change of this closed period is held back "
            f"({computed['causes'] or 'unknown cause'}): computed is {now} instead of {was}, "
            "and the customers are those of what is computed. "
            f"To publish it: retention restate --period {row['period_start']:%Y-%m-%d} --grain {row['grain']}"
        )
    parts = [part_of(connection, name, text, texts, computed or row, facts) for name, text in texts.items()]
    notes += [
        f"The members' {part.name} is {part.total}, the published one {part.published}: report this"
        for part in parts
        if part.published is not None and not is_close(part.published, part.total)
    ]
    changes = []  # the step from what was known on another day would be one more, against that generation's members
    if named["previous_start"] is not None:
        before = Cell(cell.grain, named["previous_start"], cell.basis, cell.segment_dimension, cell.segment_value)
        changes = [compared(connection, kpi, texts, cell, before, "the period before")]
    members = listed_members(connection, texts, facts, None) if everybody and not as_json else None
    lines = members_as_json(connection, texts, facts) if everybody and as_json else None
    settings = published_settings(connection)
    return Explanation(
        kpi.id,
        kpi.label,
        filled_in(kpi.definition, settings),
        {setting: settings.get(setting) for setting in kpi.settings},
        factor(kpi),
        row,
        parts,
        changes,
        members,
        notes,
        lines,
    )


def asked_figure(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    period: str,
    *,
    grain: str | None,
    segment: str | None,
    basis: str | None,
) -> tuple[Kpi, Row, Row]:
    """(KPI, the period's row, the figure's row). Without a basis: `any` where the KPI has it, else its only one."""
    if name not in BY_ID:
        raise UnknownName(f"There is no KPI {name!r}{did_you_mean(name, BY_ID)} All of them: retention kpis --list")
    kpi = BY_ID[name]
    named = named_period(connection, period, grain)
    dimension, _, value = (segment or f"{ALL}={ALL}").partition("=")
    if segment and not value:
        raise UnknownName("One segment value is explained at a time: --segment country=NL")
    place = f"kpi = {text_literal(name)} and grain = {text_literal(named['grain'])}"
    bases = [
        row["basis"]
        for row in rows_of(connection, f"select distinct basis from retention_kpis where {place} order by 1")
    ]
    if not bases:
        raise UnknownName(f"{name} has no figures of grain {named['grain']}")
    if basis is not None and basis not in bases:
        raise UnknownName(f"{name} has no basis {basis!r}; it has {', '.join(bases)}")
    chosen = basis or ("any" if "any" in bases else bases[0])
    cell = Cell(named["grain"], named["period_start"], chosen, dimension, value)
    found = rows_of(
        connection, f"select * from {marked_figures(connection)} where kpi = {text_literal(name)} and {is_cell(cell)}"
    )
    if not found:
        raise UnknownName(f"{name} has no figure of {dimension} {value}, basis {chosen}, for {period}")
    return kpi, named, found[0]


def pending_row(connection: duckdb.DuckDBPyConnection, row: Row) -> Row | None:
    """The row as it is computed, where its change is held back (closed_periods: hold)."""
    if not has_table(connection, PENDING):
        return None
    place = f"kpi = {text_literal(row['kpi'])} and {is_cell(cell_of(row))}"
    found = rows_of(connection, f"select * from {PENDING} where {place}")
    return found[0] if found else None


def cell_of(row: Row) -> Cell:
    """The cell of a row of retention_kpis."""
    return Cell(*(row[name] for name in ("grain", "period_start", "basis", "segment_dimension", "segment_value")))


def filled_in(sentence: str, settings: dict[str, str | None]) -> str:
    """A definition with the values of the settings that it names: `the 28 days before the close`."""

    def value(match: re.Match[str]) -> str:
        name = match[0]
        known = settings.get(name)
        if known is None:
            return name
        is_number = re.fullmatch(r"[\d.]+", known) is not None
        if is_number and name.endswith("_days"):
            has_unit = re.match(r" (days|x|purchase)\b", sentence[match.end() :]) is not None
            return known if has_unit else f"{known} days"
        return known if is_number and name == "min_n" else f"{name} ({known})"

    return re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", value, sentence)


def notes_on(kpi: Kpi, row: Row, texts: dict[str, str]) -> list[str]:
    """What about this figure cannot be explained by customers, in words."""
    notes = []
    sums = parts_of(kpi)
    named = [figure.kpi for figure in kpi.family.borrowed_figures if figure.columns[0] in " ".join(kpi.expressions)]
    if named:
        notes.append(f"This is made of other figures, which can be explained: {', '.join(named)}.")
        notes += [f"Listed are the customers of n: {kpi.n}."] if texts else []
    elif not sums and texts:
        notes.append("This is not a sum over customers; listed are the customers of its values and how many each has.")
    elif kpi.is_ratio and "denominator" not in sums:
        notes.append("The denominator is not a sum over customers.")
    if row["null_reason"] in ("left_truncated", "immature"):
        notes.append("The figure is not published for this period; its customers are those of the data so far.")
    return notes


def keep_members(
    connection: duckdb.DuckDBPyConnection,
    kpi: Kpi,
    texts: dict[str, str],
    cell: Cell,
    table: str,
    *,
    ids: bool = False,
) -> None:
    """A temporary table of the members of a cell: customer_key, where asked for customer_id, and their parts."""
    if not texts:
        return
    query = parts_query(connection, kpi, texts, cell)
    query = with_ids(query, list(texts)) if ids else query
    # A cell is one row, and its months are six; DuckDB would sort all days or spans to join them with so few.
    connection.execute(f"set nested_loop_join_threshold = {FEW_ROWS}")
    try:
        connection.execute(f"create or replace temp table {table} as {query}")
    finally:
        connection.execute("reset nested_loop_join_threshold")


def part_of(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    text: str,
    texts: dict[str, str],
    row: Row,
    facts: dict[str, str],
) -> Part:
    """One part of the figure, with the customers who have the most of it."""
    total, customers = connection.execute(
        f"select coalesce(sum({name}), 0), count(*) filter (where {name} <> 0) from {NOW}"
    ).fetchall()[0]
    published = row["n"] if name == "values" else row[name]
    return Part(
        name, in_words(text) or text, total, published, customers, listed_members(connection, texts, facts, name)
    )


def listed_members(
    connection: duckdb.DuckDBPyConnection, texts: dict[str, str], facts: dict[str, str], part: str | None
) -> list[Member]:
    """The customers with the most of a part, or all (part None) in that order, with their facts."""
    if not texts:
        return []
    rows = connection.execute(_listed(connection, texts, facts, part)).fetchall()
    return [Member(customer, dict(zip(texts, own, strict=True)), words or []) for customer, words, *own in rows]


def members_as_json(connection: duckdb.DuckDBPyConnection, texts: dict[str, str], facts: dict[str, str]) -> list[str]:
    """All customers in the order of listed_members, each as `as_data` has them, written as JSON."""
    if not texts:
        return []
    # Python writes a decimal as a double, and a count as it is.
    listed = _listed(connection, texts, facts, None)
    kinds = {name: kind for name, kind, *_ in connection.execute(f"describe {listed}").fetchall()}
    parts = ", ".join(
        f"'{name}': cast({name} as double)" if kinds[name].startswith("DECIMAL") else f"'{name}': {name}"
        for name in texts
    )
    said = f"{{'customer_id': customer_id, 'parts': {{{parts}}}, 'facts': coalesce(facts, [])}}"
    return [text for (text,) in connection.execute(f"select to_json({said}) from ({listed})").fetchall()]


def _listed(
    connection: duckdb.DuckDBPyConnection, texts: dict[str, str], facts: dict[str, str], part: str | None
) -> str:
    """SQL: customer_id, facts and parts of these customers, who are put into the temporary table explained_listed."""
    order = ", ".join(f"abs({name}) desc" for name in ((part, *texts) if part else texts))
    chosen = (
        f"where {part} <> 0 order by {order}, customer_id limit {LARGEST}" if part else f"order by {order}, customer_id"
    )
    connection.execute(f"create or replace temp table explained_listed as select * from {NOW} {chosen}")
    with_facts = "select *, cast(null as varchar[]) as facts from explained_listed"
    if facts:
        of_listed = "customer_key in (select customer_key from explained_listed)"
        found = " union all ".join(
            f"select customer_key, day, words from ({query}) where {of_listed}" for query in facts.values()
        )
        with_facts = f"""
            select listed.*, said.facts from explained_listed as listed left join (
                select customer_key, list(words order by day desc, words) as facts from ({found}) group by customer_key
            ) as said on listed.customer_key = said.customer_key"""
    return f"select customer_id, facts, {', '.join(texts)} from ({with_facts}) order by {order}, customer_id"


def facts_behind(connection: duckdb.DuckDBPyConnection, kpi: Kpi, texts: dict[str, str], cell: Cell) -> dict[str, str]:
    """The queries of the facts behind the parts of a KPI, for one cell, by kind."""
    lenders = {name: borrowed.family.name for borrowed in kpi.family.borrowed for name in borrowed.measures}
    lenders |= {"customers_joined": "customers", "customers_joined_6m": "acquisition"}
    columns = set().union(*map(columns_in, texts.values())) if texts else set()
    own = kpi.family.name
    kinds = kinds_behind(
        (name, own if name in kpi.family.measure_names and own != "acquisition" else lenders.get(name, own))
        for name in sorted(columns)
    )
    days = connection.execute(
        """select own.period_start, own.close_date, (select max(close_date) from int_periods),
            (select max(period_start) from int_periods as earlier
                where earlier.grain = own.grain and earlier.period_start < own.period_start),
            cast(date_trunc('month', own.close_date) - to_months(6) as date),
            cast(own.close_date - to_months(12) as date)
        from int_periods as own where grain = ? and period_start = ?""",
        [cell.grain, cell.period_start],
    ).fetchall()[0]
    opening, close, as_of, previous, months, year_ago = days
    mau_days = int(published_settings(connection).get("mau_days") or 28)
    placed = {
        "$opening": date_literal(opening),
        "$close": date_literal(close),
        "$as_of": date_literal(as_of),
        "$previous": date_literal(previous or opening),
        "$months": date_literal(months),
        "$year_ago": date_literal(year_ago),
        "$year": date_literal(close - timedelta(days=365)),
        "$window": date_literal(close - timedelta(days=mau_days)),
        "$week": date_literal(close - timedelta(days=7)),
        "$basis": text_literal("any" if cell.basis == ALL else cell.basis),
    }
    there = tables_in(connection)
    return {
        kind: re.sub(r"\$\w+", lambda match: placed[match[0]], FACTS[kind])
        for kind in kinds
        if there.issuperset(re.findall(r"from (\w+)", FACTS[kind]))
    }


def compared(
    connection: duckdb.DuckDBPyConnection, kpi: Kpi, texts: dict[str, str], now: Cell, before: Cell, against: str
) -> Change:
    """The change from one cell to another of the same KPI; NOW holds the members of `now`."""
    keep_members(connection, kpi, texts, before, BEFORE)
    parts = [part_change(connection, name) for name in texts]
    row = rows_of(
        connection,
        f"select value, period_end from retention_kpis where kpi = {text_literal(kpi.id)} and {is_cell(before)}",
    )
    effects = effects_by_dimension(connection, kpi, now, before, (BEFORE, NOW) if texts else None)
    value, end = (row[0]["value"], row[0]["period_end"]) if row else (None, now.period_start)
    return Change(against, before.period_start, end, value, parts, effects)


def part_change(connection: duckdb.DuckDBPyConnection, name: str) -> PartChange:
    """Who entered a part between BEFORE and NOW, who left it, and who has another share of it."""
    connection.execute(
        f"""
        create or replace temp table explained_steps as
        select
            *,
            now - before as amount,
            case when before = 0 then 'entered' when now = 0 then 'left' else 'changed' end as step
        from (
            select
                coalesce(now.customer_key, before.customer_key) as customer_key,
                coalesce(now.{name}, 0) as now,
                coalesce(before.{name}, 0) as before
            from {NOW} as now full join {BEFORE} as before on now.customer_key = before.customer_key
        )
        where now <> 0 or before <> 0
        """
    )
    before, now = connection.execute(
        "select coalesce(sum(before), 0), coalesce(sum(now), 0) from explained_steps"
    ).fetchall()[0]
    steps = []
    for step in ("entered", "left", "changed"):
        of_step = f"explained_steps as steps where step = '{step}' and amount <> 0"
        count, added = connection.execute(f"select count(*), coalesce(sum(amount), 0) from {of_step}").fetchall()[0]
        largest = connection.execute(
            f"""
            select coalesce(ids.customer_id, {text_literal(NOBODY)}) as customer_id, amount
            from (from {of_step}) as steps left join int_customers as ids on steps.customer_key = ids.customer_key
            order by abs(amount) desc, customer_id limit {LARGEST}
            """
        ).fetchall()
        steps.append(Step(count, added, largest))
    return PartChange(name, before, now, *steps)


def is_close(one: float, other: float | Amount) -> bool:
    """Equal but for the rounding of doubles."""
    return abs(one - float(other)) <= 1e-9 * max(1.0, abs(one))


def as_data(value: Any) -> Any:
    """An explanation as dictionaries and lists, for JSON."""
    if isinstance(value, Member):
        parts = {name: float(part) if isinstance(part, Decimal) else part for name, part in value.parts.items()}
        return {"customer_id": value.customer_id, "parts": parts, "facts": value.facts}
    if isinstance(value, list | tuple):
        return [as_data(one) for one in value]
    if isinstance(value, dict):
        return {name: as_data(one) for name, one in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_data(getattr(value, name)) for name in value.__dataclass_fields__}
    return float(value) if isinstance(value, Decimal) else value
