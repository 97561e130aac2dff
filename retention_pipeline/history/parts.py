"""Which customers moved restated figures, and by how much: their parts of the cells before and now.

Only customers with rows that came, went or were replaced are looked at (and those with money at a new rate), and of
their parts only what differs: for each family and basis one query over all restated periods and both generations. What
is left of a figure's change is of everybody: settings, definitions, a backfill.

run_customers    one row per such customer: datasets and causes of their rows (`signature`), and whether one of the rows
                 counts before the last restated period ends
profile_numbers  profiles of both generations (side, profile_key); those with the same segment values have one number
profile_segments the restated segment values (figures.py) of each number
diffs_<family>   rows of period (figures.py), customer and profile with by how much their part of some measures differs;
                 one from each source of measures, so their sum is what differs

Where only figures of everybody are asked for, everyone has profile 0, whose one segment value is that of everybody.

Figures that are not sums over customers (medians, percentiles, figures of figures) have no parts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import duckdb

from retention_pipeline.history.both_generations import SIDES, Facts, Relations, before_key, true_key
from retention_pipeline.history.causes import FX
from retention_pipeline.history.reported import count
from retention_pipeline.kpis.declaration import Family, Kpi, settings_named
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.read.ctes import union_of
from retention_pipeline.read.members import (
    ALL,
    QUERIES,
    Cells,
    NoMembers,
    Source,
    columns_in,
    in_cells,
    parts_of,
    published_settings,
    sources_of,
)
from retention_pipeline.warehouse import has_table, tables_in

# Of a home in which more customers have money in a currency, a new rate has no parts by customer.
WITH_MONEY_AT_MOST = 20_000
FEW_CELLS = 40  # to compare facts with each costs the more the more they are; to sort them does not
# As macros/days.sql writes it, and where a column of a fact stands before it.
AS_OF = re.compile(r"cast\('[\d-]+' /\* as_of \*/ as date\)")
AS_OF_OF_FACT = re.compile(rf"((?:\b\w+\.)?)\b(\w+) (<=?) ({AS_OF.pattern})")


@dataclass(frozen=True)
class Diffs:
    """A table diffs_<family> and what it holds: the KPIs whose parts are sums of its columns, with the expressions.

    of_several: columns to which several sources add, what may cancel out.
    """

    table: str
    columns: tuple[str, ...]
    parts: dict[str, dict[str, str]]
    of_several: frozenset[str] = frozenset()

    @property
    def differs(self) -> str:
        """SQL over rows of one period, customer and profile: whether the customer's part differs."""
        of_one = " or ".join(f"{name} <> 0" for name in self.columns if name not in self.of_several)
        some = [f"bool_or({of_one})"] if of_one else []
        return " or ".join([*some, *(f"sum({name}) <> 0" for name in sorted(self.of_several))])


def find_diffs(connection: duckdb.DuckDBPyConnection, *, of_everybody: bool = False) -> list[Diffs]:
    """The tables of the figures of `restated` that have parts (of_everybody: of those of everybody alone), once the
    night's customers are found; `published` is the generation before.
    """
    if not (has_table(connection, QUERIES) and has_table(connection, QUERIES, database="published")):
        return []
    settings = published_settings(connection)
    connection.execute(f"""
        create or replace temp view asked_figures as
        from restated{f" where segment_dimension = '{ALL}'" if of_everybody else ""}""")
    if of_everybody:
        connection.execute("""
            create or replace temp table profile_segments as
            select distinct cast(0 as bigint) as profile, segment_dimension, segment from asked_figures""")
    else:
        find_profiles(connection)
    facts = Facts(connection, with_profiles=not of_everybody)
    found = []
    for has_horizon, kpis in _families(connection):
        parts = {kpi.id: _rendered(parts_of(kpi), settings) for kpi in kpis}
        columns = tuple(sorted(set().union(*(columns_in(text) for of in parts.values() for text in of.values()))))
        table = f"diffs_{kpis[0].family.name}{'_later' if has_horizon else ''}"
        try:
            of_several = _fill(connection, table, kpis, columns, facts, is_early=not has_horizon)
        except NoMembers:
            continue
        found.append(Diffs(table, columns, parts, of_several))
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


def by_segment(rows: str) -> str:
    """SQL: rows with profile and other_profile, each with the restated segments (figures.py) for which it counts."""
    return f"""
        select rows.* exclude (profile, other_profile), own.segment
        from {rows} as rows
        inner join profile_segments as own on rows.profile = own.profile
        left join profile_segments as other
            on rows.other_profile = other.profile and own.segment_dimension = other.segment_dimension
        where own.segment is distinct from other.segment"""


def sums(columns: tuple[str, ...]) -> str:
    """SQL: the sums of columns of diffs."""
    return ", ".join(f"coalesce(sum({name}), 0) as {name}" for name in columns)


def _rendered(parts: dict[str, str], settings: dict[str, str | None]) -> dict[str, str]:
    return {
        name: text.format(**{one: settings[one] for one in settings_named((text,))}) for name, text in parts.items()
    }


def find_customers(connection: duckdb.DuckDBPyConnection) -> int:
    """run_customers; returns how many have rows that count before the last restated period ends."""
    connection.execute("""
        create or replace temp table run_customers as
        select customer_key, array_to_string(list_sort(list(said)), ',') as signature,
            coalesce(bool_or(is_early), false) as is_early
        from (
            select customer_key, dataset || ' ' || cause as said,
                bool_or(first_day is null or first_day < last_end) as is_early
            from run_rows, (select max(period_end) as last_end from restated)
            group by customer_key, dataset, cause
        )
        group by customer_key""")
    if connection.execute(f"select 1 from kpi_causes where cause = '{FX}' limit 1").fetchall():
        _add_those_with_money(connection)
    return count(connection, "(from run_customers where is_early)")


def _add_those_with_money(connection: duckdb.DuckDBPyConnection) -> None:
    """Customers with money in a currency of which a rate came, unless they are too many."""
    raw = tables_in(connection, database="raw_store", schema="raw")
    owners = " union all ".join(
        f"select coalesce(_customer_key, 0) as customer_key from raw_{dataset} where currency in (from new_rates)"
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


def find_profiles(connection: duckdb.DuckDBPyConnection) -> None:
    """profile_numbers and profile_segments. Profile 0 is that of customers without one, in both generations."""
    sides = """
        select 'before' as side, * from published.main.int_profile_values
        union all select 'now', * from main.int_profile_values"""
    connection.execute(f"""
        create or replace temp table profile_numbers as
        select side, profile_key,
            case when bool_or(profile_key = 0) over (partition by said) then 0
                else dense_rank() over (order by said) end as profile
        from (
            select side, profile_key, list(segment_dimension || '=' || segment_value order by segment_dimension) as said
            from ({sides}) where segment_dimension in (select segment_dimension from restated)
            group by side, profile_key
        )""")
    connection.execute(f"""
        create or replace temp table profile_segments as
        select distinct numbers.profile, segments.segment_dimension, segments.segment
        from profile_numbers as numbers
        inner join ({sides}) as said using (side, profile_key)
        inner join restated_segments as segments using (segment_dimension, segment_value)""")


def _families(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[bool, list[Kpi]]]:
    """The restated KPIs that have parts, by family; those with a horizon apart: rows of after the period move them."""
    rows = connection.execute(
        "select kpi, coalesce(max(horizon_days) > 0, false) "
        "from (select distinct kpi from asked_figures) left join kpi_causes using (kpi) group by kpi order by kpi"
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
) -> frozenset[str]:
    """Make the table; returns the columns to which several sources add."""
    family, listed = kpis[0].family, ", ".join(text_literal(kpi.id) for kpi in kpis)
    connection.execute(f"""
        create or replace temp table asked_periods as
        select distinct period, grain, basis, period_start from asked_figures where kpi in ({listed})""")
    counts = facts.counts_of(family.period_table)
    typed = ", ".join(f"{name} {'bigint' if name in counts else 'decimal(38, 6)'}" for name in columns)
    connection.execute(
        f"create or replace temp table {table} "
        f"(period integer, customer_key bigint, profile bigint default 0, other_profile bigint, {typed})"
    )
    of_several = set[str]()
    for basis, number in connection.execute(
        "select basis, count(*) from asked_periods group by basis order by basis"
    ).fetchall():
        of_basis = f"basis = {text_literal(basis)}"
        cells = Cells(basis, f"(select grain, period_start from asked_periods where {of_basis})", texts=facts.texts)
        asked = _asked(connection, family, columns, facts, cells, is_early=is_early)
        if asked:
            with _few_cells(connection, number):
                connection.execute(f"""
                    insert into {table} by name
                    select periods.period, rows.* exclude (grain, period_start) from ({_rows(asked, facts)}) as rows
                    inner join asked_periods as periods on rows.grain = periods.grain
                        and rows.period_start = periods.period_start and periods.{of_basis}""")
        given = Counter(name for one in asked for name in one.source.taken)
        of_several |= {name for name, sources in given.items() if sources > 1}
    return frozenset(of_several)


@contextmanager
def _few_cells(connection: duckdb.DuckDBPyConnection, number: int) -> Iterator[None]:
    """Facts are compared with each of so many cells, if these are few: that costs less than to sort the facts, as
    DuckDB does, which cannot know that the cells are few.
    """
    if number <= FEW_CELLS:
        connection.execute(f"set nested_loop_join_threshold = {2**62}")
    yield
    connection.execute("reset nested_loop_join_threshold")


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
            if of_both is not None and read_before <= facts.alike:
                shared[number] = _Asked(now._replace(query=_of_nobody_in_both(of_both)), None)
    found = list(shared.values())
    if len(shared) < len(asked["now"]):
        for side in SIDES:
            of_side = enumerate(sources(side, of_both=False))
            found += [_Asked(source, side) for number, source in of_side if number not in shared]
    return found


def _rows(asked: list[_Asked], facts: Facts) -> str:
    """SQL: grain, period_start, customer_key, profile, other_profile (where there are profiles) and by how much columns
    differ, from each source of any.
    """
    profiles = ("profile", "other_profile") if facts.with_profiles else ()
    return union_of((one.source.query, partial(_differing, asked=one, profiles=profiles)) for one in asked)


def _differing(query: str, asked: _Asked, profiles: tuple[str, ...]) -> str:
    """SQL: by how much the columns of a source (its query) differ. What is of months is added up by month before it is
    by cell.
    """
    is_before = {None: "customer_key < 0", "before": "true", "now": "false"}[asked.side]
    taken = asked.source.taken
    measures = {name: name for name in taken.values()} if asked.source.behind else taken
    differences = {name: f"sum(case when {is_before} then -{text} else {text} end)" for name, text in measures.items()}
    keys = [f"{true_key('customer_key')} as customer_key", *(f"{name}_key as {name}" for name in profiles)]
    rows = _added_up(query, differences, ", ".join(("grain", "period_start", *keys)))
    if not asked.source.behind:
        return rows
    sums = {name: f"sum({measure})" for name, measure in taken.items()}
    keys = ["grain", "period_start", "customer_key", *profiles]
    return _added_up(in_cells(rows, asked.source.behind), sums, ", ".join(keys))


def _added_up(rows: str, columns: dict[str, str], key: str) -> str:
    """SQL: sums of rows (name → SQL) by a key, where one is not zero."""
    return f"""
        select {key}, {", ".join(f"{text} as {name}" for name, text in columns.items())}
        from ({rows}) group by all having {" or ".join(f"{text} <> 0" for text in columns.values())}"""


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
