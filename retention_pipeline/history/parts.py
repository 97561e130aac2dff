"""Which customers moved restated figures, and by how much: their parts of the cells before and now.

Only customers with rows that came, went or were replaced are looked at (and those with money at a new rate), and of
their parts only what differs: for each family, grain and basis one query over all restated periods and both
generations, and for each family and basis one over the months behind them. What is left of a figure's change is of
everybody: settings, definitions, a backfill.

run_customers    one row per such customer: datasets and causes of their rows (`signature`), and whether one of the rows
                 counts before the last restated period ends
profile_numbers  profiles of both generations that have the same segment values: one number; those of the generation
                 before by their key as `before_key`
diffs_<family>   one row per grain, basis, period, customer and profile whose part of a measure differs: by how much

Figures that are not sums over customers (medians, percentiles, figures of figures) have no parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import NamedTuple

import duckdb

from retention_pipeline.history.both_generations import SIDES, Facts, Relations, before_key, true_key
from retention_pipeline.history.causes import FX
from retention_pipeline.history.reported import count
from retention_pipeline.kpis.declaration import Family, Kpi, settings_named
from retention_pipeline.kpis.inputs import MONTHS_BEHIND
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.read.ctes import union_of
from retention_pipeline.read.members import (
    QUERIES,
    Cells,
    NoMembers,
    Source,
    columns_in,
    in_cells,
    pairs_behind,
    parts_of,
    published_settings,
    sources_of,
)
from retention_pipeline.warehouse import tables_in

CELL = ("grain", "period_start", "basis", "segment_dimension", "segment_value")
# Of a home in which more customers have money in a currency, a new rate has no parts by customer.
WITH_MONEY_AT_MOST = 20_000
# As macros/days.sql writes it, and where a column of a fact stands before it.
AS_OF = re.compile(r"cast\('[\d-]+' /\* as_of \*/ as date\)")
AS_OF_OF_FACT = re.compile(rf"((?:\b\w+\.)?)\b(\w+) (<=?) ({AS_OF.pattern})")


@dataclass(frozen=True)
class Diffs:
    """A table diffs_<family> and what it holds: the KPIs whose parts are sums of its columns, with the expressions."""

    table: str
    columns: tuple[str, ...]
    parts: dict[str, dict[str, str]]


def find_diffs(connection: duckdb.DuckDBPyConnection, settled: date) -> list[Diffs]:
    """The tables of the figures of `restated` that have parts; `published` is the generation before. settled: the
    earlier `as_of` of both.
    """
    _find_customers(connection)
    if QUERIES not in tables_in(connection) & tables_in(connection, database="published"):
        return []
    settings = published_settings(connection)
    _find_profiles(connection)
    facts = Facts(connection, settled)
    found = []
    for has_horizon, kpis in _families(connection):
        parts = {kpi.id: _rendered(parts_of(kpi), settings) for kpi in kpis}
        columns = tuple(sorted(set().union(*(columns_in(text) for of in parts.values() for text in of.values()))))
        table = f"diffs_{kpis[0].family.name}{'_later' if has_horizon else ''}"
        try:
            _fill(connection, table, kpis, columns, facts, is_early=not has_horizon)
        except NoMembers:
            continue
        found.append(Diffs(table, columns, parts))
    return found


def listed_parts(parts: dict[str, str]) -> str:
    """SQL: the numerator (of a count or sum the value) and the denominator of a KPI from columns of diffs."""
    said = []
    for name, text in (
        ("numerator", parts.get("numerator", parts.get("value"))),
        ("denominator", parts.get("denominator")),
    ):
        said.append(f"cast({text or 'null'} as double) as {name}_delta")
    return ", ".join(said)


def added(column: str) -> str:
    """SQL for the sum of parts, which are doubles, as decimals: their order does not matter to the last bit."""
    return f"cast(sum(cast({column} as decimal(38, 12))) as double)"


def by_segment(diffs: str) -> str:
    """SQL: rows of diffs with each segment dimension and value for which they count, of the dimensions restated."""
    return f"""
        select diffs.*, own.segment_dimension, own.segment_value
        from {diffs} as diffs
        inner join profile_segments as own on diffs.profile = own.profile
        left join profile_segments as other
            on diffs.other_profile = other.profile and own.segment_dimension = other.segment_dimension
        where own.segment_value is distinct from other.segment_value"""


def _rendered(parts: dict[str, str], settings: dict[str, str | None]) -> dict[str, str]:
    return {
        name: text.format(**{one: settings[one] for one in settings_named((text,))}) for name, text in parts.items()
    }


def _find_customers(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("""
        create or replace temp table run_customers as
        select customer_key,
            string_agg(distinct dataset || ' ' || cause, ',' order by dataset || ' ' || cause) as signature,
            coalesce(bool_or(first_day is null or first_day < last_end), false) as is_early
        from run_rows, (select max(period_end) as last_end from restated)
        group by customer_key""")
    if connection.execute(f"select 1 from kpi_causes where cause = '{FX}' limit 1").fetchall():
        _add_those_with_money(connection)


def _add_those_with_money(connection: duckdb.DuckDBPyConnection) -> None:
    """Customers with money in a currency of which a rate came, unless they are too many."""
    raw = tables_in(connection, database="raw_store", schema="raw")
    owners = " union all ".join(
        f"select coalesce(_customer_key, 0) as customer_key from raw_store.raw.{dataset} "
        "where currency in (from new_rates)"
        for dataset in ("orders", "subscriptions")
        if dataset in raw
    )
    if not owners:
        return
    connection.execute("""
        create or replace temp table new_rates as
        select distinct split_part(row_key, ' ', 2) from run_rows where dataset = 'fx_rates'""")
    connection.execute(f"""
        create or replace temp table with_money as
        select distinct coalesce(ids.customer_key, owners.customer_key) as customer_key
        from ({owners}) as owners left join main.int_identities as ids on owners.customer_key = ids.alias_key""")
    if count(connection, "with_money") > WITH_MONEY_AT_MOST:
        return
    connection.execute(f"""
        create or replace temp table run_customers as
        select customer_key, string_agg(signature, ',' order by signature) as signature, bool_or(is_early) as is_early
        from (from run_customers union all select customer_key, 'fx_rates {FX}', true from with_money)
        group by customer_key""")


def _find_profiles(connection: duckdb.DuckDBPyConnection) -> None:
    """profile_numbers and profile_segments (profile, segment_dimension, segment_value)."""
    sides = f"""
        select * replace ({before_key("profile_key")} as profile_key) from published.main.int_profile_values
        union all select * from main.int_profile_values"""
    connection.execute(f"""
        create or replace temp table profile_numbers as
        select profile_key, dense_rank() over (order by said) as profile
        from (
            select profile_key, list(segment_dimension || '=' || segment_value order by segment_dimension) as said
            from ({sides}) where segment_dimension in (select segment_dimension from restated)
            group by profile_key
        )""")
    connection.execute(f"""
        create or replace temp table profile_segments as
        select distinct numbers.profile, segments.segment_dimension, segments.segment_value
        from profile_numbers as numbers
        inner join ({sides}) as segments using (profile_key)
        where segments.segment_dimension in (select segment_dimension from restated)""")


def _families(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[bool, list[Kpi]]]:
    """The restated KPIs that have parts, by family; those with a horizon apart: rows of after the period move them."""
    rows = connection.execute(
        "select kpi, coalesce(max(horizon_days) > 0, false) "
        "from (select distinct kpi from restated) left join kpi_causes using (kpi) group by kpi order by kpi"
    ).fetchall()
    found: dict[tuple[str, bool], list[Kpi]] = {}
    for kpi, has_horizon in rows:
        if kpi in BY_ID and parts_of(BY_ID[kpi]):
            found.setdefault((BY_ID[kpi].family.name, has_horizon), []).append(BY_ID[kpi])
    for (_, has_horizon), kpis in found.items():
        yield has_horizon, kpis


def _fill(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    kpis: list[Kpi],
    columns: tuple[str, ...],
    facts: Facts,
    *,
    is_early: bool,
) -> None:
    listed = ", ".join(text_literal(kpi.id) for kpi in kpis)
    asked: dict[tuple[str, str], list[date]] = {}
    for grain, basis, start in connection.execute(
        f"select distinct grain, basis, period_start from restated where kpi in ({listed}) order by all"
    ).fetchall():
        asked.setdefault((grain, basis), []).append(start)
    typed = ", ".join(f"{name} decimal(38, 6)" for name in columns)
    connection.execute(
        f"create or replace temp table {table} (grain varchar, basis varchar, period_start date, "
        f"customer_key bigint, profile bigint, other_profile bigint, {typed})"
    )
    cells_of = {
        (grain, basis): Cells(grain, basis, tuple(starts), answers=facts.answers)
        for (grain, basis), starts in asked.items()
    }
    behind = {month for cells in cells_of.values() for _, month in pairs_behind(connection, cells, MONTHS_BEHIND, None)}
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in columns)
    some = " or ".join(f"sum({name}) <> 0" for name in columns)
    for (grain, basis), cells in cells_of.items():
        of_grain = replace(cells, months=tuple(sorted(behind)))
        asked_of = _asked(connection, kpis[0].family, columns, facts, of_grain, is_early=is_early)
        if not asked_of:
            continue
        connection.execute(f"""
            insert into {table}
            select '{grain}', '{basis}', period_start, customer_key, profile, other_profile, {sums}
            from ({_rows(asked_of, columns, facts)}) as rows
            group by period_start, customer_key, profile, other_profile
            having {some}""")


class _Asked(NamedTuple):
    """What is asked for parts of customers: a source, and the side of its facts; None: it is of both."""

    source: Source
    side: str | None


def _asked(
    connection: duckdb.DuckDBPyConnection,
    family: Family,
    columns: tuple[str, ...],
    facts: Facts,
    cells: Cells,
    *,
    is_early: bool,
) -> list[_Asked]:
    """What gives the columns on both sides, asked once for both generations where they ask the same of tables that are
    alike. Empty where nothing is to be asked.
    """

    def sources(side: str, *, of_both: bool) -> list[Source]:
        relations = Relations(facts, None if of_both else side, is_early)
        return sources_of(connection, family, set(columns), replace(cells, relations=relations), SIDES[side])

    asked = {side: sources(side, of_both=True) for side in SIDES}
    shared = dict[int, _Asked]()
    if len(asked["now"]) == len(asked["before"]):
        for number, (now, before) in enumerate(zip(asked["now"], asked["before"], strict=True)):
            of_both = _as_of_each(now.query, before.query)
            read_before = set(re.findall(r"published\.main\.\"?(\w+)", before.query))
            if of_both is not None and now.behind == before.behind and read_before <= facts.alike:
                shared[number] = _Asked(now._replace(query=_of_nobody_in_both(of_both)), None)
    found = list(shared.values())
    if len(shared) < len(asked["now"]):
        for side in SIDES:
            of_side = enumerate(sources(side, of_both=False))
            found += [_Asked(source, side) for number, source in of_side if number not in shared]
    return found


def _rows(asked: list[_Asked], columns: tuple[str, ...], facts: Facts) -> str:
    """SQL: period_start, customer_key, profile, other_profile and columns, those of before with the opposite sign. What
    is of months is added up once for the cells of all grains.
    """
    own = list[tuple[str, Callable[[str], str]]]()
    selects = list[str]()
    for source, side in asked:
        if source.behind:
            measures = {name: name for name in sorted(set(source.taken.values()))}
            months = facts.added_up(_numbered(_signed(measures, side, source.query)), tuple(measures))
            taken = ", ".join(f"{source.taken.get(name, 'null')} as {name}" for name in columns)
            of_cells = in_cells(f"from {months}", source.behind)
            selects.append(f"select period_start, customer_key, profile, other_profile, {taken} from ({of_cells})")
        else:
            taken_of = {name: source.taken.get(name, "null") for name in columns}
            own.append((source.query, partial(_signed, taken_of, side)))
    return " union all by name ".join([_numbered(union_of(own))] * bool(own) + selects)


def _signed(columns: dict[str, str], side: str | None, query: str) -> str:
    """SQL: rows of a query with columns (name → SQL), those of before with the opposite sign and profiles' keys as
    profile_numbers has them.
    """
    both = {None: "customer_key < 0", "before": "true", "now": "false"}[side]

    def of_before(there: str, here: str) -> str:
        return f"case when {both} then {there} else {here} end"

    profiles = ", ".join(
        f"{of_before(before_key(name), name)} as {name}" for name in ("profile_key", "other_profile_key")
    )
    listed = ", ".join(
        f"{text if text == 'null' else of_before(f'-{text}', text)} as {name}" for name, text in columns.items()
    )
    return f"select period_start, {true_key('customer_key')} as customer_key, {profiles}, {listed} from ({query})"


def _numbered(rows: str) -> str:
    """SQL: such rows with the numbers of their profiles, and without their keys."""
    return f"""
        select rows.* exclude (profile_key, other_profile_key), own.profile, other.profile as other_profile
        from ({rows}) as rows
        inner join profile_numbers as own on rows.profile_key = own.profile_key
        left join profile_numbers as other on rows.other_profile_key = other.profile_key"""


def _as_of_each(now: str, before: str) -> str | None:
    """The query of both generations, in which a day of a fact is compared with the `as_of` of the fact's generation;
    None where they ask something else.
    """
    as_of = next(iter(AS_OF.findall(before)), "")
    if AS_OF.sub("", now) != AS_OF.sub("", before.replace("published.main.", "")):
        return None
    query = AS_OF_OF_FACT.sub(rf"\1\2 \3 case when \1customer_key < 0 then {as_of} else \4 end", now)
    return query if len(AS_OF.findall(now)) == len(AS_OF_OF_FACT.findall(now)) else None


def _of_nobody_in_both(query: str) -> str:
    """The query, with the facts of nobody (customer 0) known by their keys of both generations."""
    nobody = f"(0, {before_key('0')})"
    query = re.sub(r"customer_key = 0\b", f"customer_key in {nobody}", query)
    return re.sub(r"customer_key <> 0\b", f"customer_key not in {nobody}", query)
