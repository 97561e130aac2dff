"""What a row of `retention_kpis` must look like, and the rules that hold between rows.

Three layers: the pandera contract on rows of the last run that wrote any; ranges and rules within a row, in SQL on
every row; identities between KPIs (identities.py) and agreement with the cells of the period tables, in SQL on every
row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import duckdb

from retention_pipeline.kpis.cells import relation_of
from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.identities import TOLERANCE, Identity
from retention_pipeline.kpis.keys import KEY
from retention_pipeline.kpis.registry import BY_ID, FAMILIES, IDENTITIES, KPIS, family_kpis
from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.kpis.store import ROW_KEY, TABLE
from retention_pipeline.kpis.violation import Violation
from retention_pipeline.warehouse import tables_in

EXAMPLES = 5
CONTRACT_ROWS = 500_000
NAMED, COLUMN = re.compile(r"(value|numerator)\((\w+)\)"), r"\1_\2"
SHOWN = f"{', '.join(ROW_KEY)}, value, numerator, denominator, n, null_reason"


def validate_kpis(connection: duckdb.DuckDBPyConnection, settings: Any) -> list[Violation]:
    """Every rule about KPI rows that does not hold; empty = all hold. `settings` is the typed Settings of the home."""
    money = text_literal(settings.business.reporting_currency)
    found = [*broken_rows(connection, row_rules(money)), *broken_identities(connection)]
    found.append(rows_without_cells(connection))
    return [violation for violation in found if violation.cells] + contract_violations(connection)


def row_rules(money: str) -> list[tuple[str, str]]:
    """Sentences about one row, each with the SQL condition of a row that breaks it."""
    withheld = "null_reason in ('left_truncated', 'immature')"
    has_interval = "value is not null and (interval_kind = 'wilson' or (interval_kind = 'nps' and n >= 2))"
    return [
        (
            "every value lies in the valid range of its KPI",
            f"not isfinite(value) or value < valid_min - {TOLERANCE} or value > valid_max + {TOLERANCE}",
        ),
        ("a value is NULL with a reason, or there without one", "(value is null) <> (null_reason is not null)"),
        (
            "a ratio keeps numerator, denominator and n unless it is left-truncated or immature",
            f"is_ratio and (({withheld}) is true) <> (numerator is null and denominator is null and n is null)",
        ),
        (
            "counts, sums and percentiles have no numerator and no denominator",
            "not is_ratio and coalesce(numerator, denominator) is not null",
        ),
        (
            "a share's numerator counts a subset of its denominator",
            "interval_kind = 'wilson' and (numerator < 0 or numerator > denominator)",
        ),
        (
            "an interval contains its value",
            f"{has_interval} and not coalesce("
            f"ci_low <= value + {TOLERANCE} and value <= ci_high + {TOLERANCE} "
            f"and ci_low >= valid_min and ci_high <= valid_max, false)",
        ),
        (
            "only shares and scores have an interval",
            f"not ({has_interval}) and coalesce(ci_low, ci_high) is not null",
        ),
        (
            "the unit is the KPI's, and money is in the reporting currency",
            f"unit <> kpi_unit or (currency is not null) <> (unit = 'money') or currency <> {money}",
        ),
    ]


def broken_rows(connection: duckdb.DuckDBPyConnection, rules: list[tuple[str, str]]) -> list[Violation]:
    """For each sentence about a row the rows for which its condition is true, all counted in one pass."""
    known = ", ".join(
        f"({text_literal(kpi.id)}, {text_literal(kpi.unit)}, {number(kpi.valid_range[0])}, "
        f"{number(kpi.valid_range[1])}, "
        f"{str(kpi.is_ratio).lower()}, {text_literal(kpi.interval)})"
        for kpi in KPIS
    )
    relation = (
        f"{TABLE} as kpis inner join (values {known}) as known (known_kpi, kpi_unit, valid_min, valid_max, "
        f"is_ratio, interval_kind) "
        "on kpis.kpi = known_kpi"
    )
    counts = counts_where(connection, [broken for _, broken in rules], relation)
    return [
        with_examples(connection, sentence, cells, f"select {SHOWN} from {relation} where {broken}")
        for (sentence, broken), cells in zip(rules, counts, strict=True)
    ]


def number(limit: float | None) -> str:
    """SQL: a limit of a range; none = NULL, which nothing exceeds."""
    return "cast(null as double)" if limit is None else f"{limit!r}e0"


def broken_identities(connection: duckdb.DuckDBPyConnection) -> list[Violation]:
    """For each identity between KPIs the cells in which it does not hold, counted in one pass for those of a family."""
    present = {kpi for (kpi,) in connection.execute(f"select distinct kpi from {TABLE}").fetchall()}
    of_families: dict[str, list[Identity]] = {}
    for identity in IDENTITIES:
        kpis = [kpi for _, kpi in NAMED.findall(identity.condition)]
        if present.intersection(kpis):
            of_families.setdefault(BY_ID[kpis[0]].family.name, []).append(identity)
    found = []
    for identities in of_families.values():
        broken = [f"not ({NAMED.sub(COLUMN, identity.condition)})" for identity in identities]
        counts = counts_where(connection, broken, f"({figures_named(identities)})")
        found += [
            with_examples(
                connection, identity.sentence, cells, f"select * from ({figures_named([identity])}) where {condition}"
            )
            for identity, condition, cells in zip(identities, broken, counts, strict=True)
        ]
    return found


def figures_named(identities: Sequence[Identity]) -> str:
    """SQL: one row per cell with the figures that these identities name, NULL where there is none."""
    named = dict.fromkeys(figure for identity in identities for figure in NAMED.findall(identity.condition))
    columns = (
        f"max({what}) filter (where kpi = {text_literal(kpi)}) as {NAMED.sub(COLUMN, f'{what}({kpi})')}"
        for what, kpi in named
    )
    kpis = ", ".join(dict.fromkeys(text_literal(kpi) for _, kpi in named))
    return f"select {', '.join(KEY)}, {', '.join(columns)} from {TABLE} where kpi in ({kpis}) group by {', '.join(KEY)}"


def rows_without_cells(connection: duckdb.DuckDBPyConnection) -> Violation:
    """The cells of the period tables whose KPI rows are missing, too many or of a cell that is not there.

    First each KPI's rows and cells are compared as a whole, by their number and the sum of a hash of their keys; the
    cells themselves are compared for KPIs that differ.
    """
    sentence = "the rows of retention_kpis are the cells of the period tables"
    whole = f"count(*) as cells, sum(hash({', '.join(KEY)})) as mark"
    present = tables_in(connection)
    of_families = [cells_of(family) for family in FAMILIES if family.period_table in present] or [
        f"select {', '.join(ROW_KEY)} from {TABLE} where false"
    ]
    cells = " union all ".join(f"select kpi, {whole} from ({one}) group by kpi" for one in of_families)
    different = connection.execute(f"""
        select coalesce(actual.kpi, expected.kpi)
        from ({cells}) as expected
        full join (select kpi, {whole} from {TABLE} group by kpi) as actual on actual.kpi = expected.kpi
        where actual.cells is distinct from expected.cells or actual.mark is distinct from expected.mark""").fetchall()
    if not different:
        return Violation(sentence, 0)
    chosen = f"where kpi in ({', '.join(text_literal(kpi) for (kpi,) in different)})"
    expected = " union all ".join(f"select *, 1 as expected, 0 as found from ({one})" for one in of_families)
    statement = f"""
        select {", ".join(ROW_KEY)}, sum(expected) as cells_in_period_table, sum(found) as rows_in_{TABLE}
        from (from ({expected}) {chosen} union all select {", ".join(ROW_KEY)}, 0, 1 from {TABLE} {chosen})
        group by {", ".join(ROW_KEY)} having sum(expected) <> sum(found)"""
    (broken,) = counts_where(connection, ["true"], f"({statement})")
    return with_examples(connection, sentence, broken, statement)


def cells_of(family: Family) -> str:
    """SQL: one row per KPI of the family and cell that it must have a row for (columns ROW_KEY)."""
    by_rows: dict[str, list[str]] = {}
    for kpi in family_kpis(family):
        by_rows.setdefault(kpi.rows or "true", []).append(f"({text_literal(kpi.id)})")
    return " union all ".join(
        f"select kpi, {', '.join(KEY)} from {relation_of(family)} as cells "
        f"cross join (values {', '.join(ids)}) as ids (kpi) where {rows}"
        for rows, ids in by_rows.items()
    )


def counts_where(connection: duckdb.DuckDBPyConnection, conditions: list[str], relation: str) -> tuple[int, ...]:
    """For each condition the rows of a relation for which it is true."""
    counts = ", ".join(f"count(*) filter (where {condition})" for condition in conditions)
    found: tuple[int, ...] = connection.execute(f"select {counts} from {relation}").fetchall()[0]
    return found


def with_examples(connection: duckdb.DuckDBPyConnection, sentence: str, cells: int, statement: str) -> Violation:
    """A rule that so many cells break, with the first few of those that a statement selects."""
    if not cells:
        return Violation(sentence, 0)
    cursor = connection.execute(f"select * from ({statement}) order by all limit {EXAMPLES}")
    names = [column[0] for column in cursor.description or []]
    return Violation(sentence, cells, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()])


def contract_violations(connection: duckdb.DuckDBPyConnection) -> list[Violation]:
    """The pandera contract on the rows that the last run wrote; of more than CONTRACT_ROWS, every so many-th."""
    from retention_pipeline.kpis.row_model import as_typed, failures

    last = f"from {TABLE} where computed_at = (select max(computed_at) from {TABLE})"
    rows = connection.execute(f"select count(*) {last}").fetchall()[0][0]
    step = -(-rows // CONTRACT_ROWS) or 1
    return failures(as_typed(connection.sql(f"select * {last} and rowid % {step} = 0")), EXAMPLES)
