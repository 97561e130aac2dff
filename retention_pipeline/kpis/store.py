"""Writing `retention_kpis`: only rows that changed are written; the others keep as_of, computed_at and run_id.

Cells that are the same as those of the last run (tables kpi_cells_<family>) are not computed again: a KPI row is a
function of its cell. Rows of changed cells are computed, compared with what is stored, and only differing rows
replaced; when that is much of the table, the table is written anew, because rows deleted in place leave their room
behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from retention_pipeline.kpis.cells import cells_statement
from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.definitions import write_definitions, write_settings_in_force
from retention_pipeline.kpis.figures import FIGURES, figures_statement
from retention_pipeline.kpis.goals import write_goals
from retention_pipeline.kpis.keys import KEY, same_key
from retention_pipeline.kpis.registry import FAMILIES, KPIS, family_kpis
from retention_pipeline.kpis.rules import Rules, date_literal, text_literal
from retention_pipeline.warehouse import has_table, tables_in

TABLE = "retention_kpis"
ROW_KEY = ("kpi", *KEY)
DOUBLES = ("value", "numerator", "denominator", "ci_low", "ci_high")
RELATIVE_TOLERANCE = "1e-12"
REWRITE_SHARE = 0.2
COLUMNS = {
    "kpi": "varchar",
    "grain": "varchar",
    "period_start": "date",
    "period_end": "date",
    "basis": "varchar",
    "segment_dimension": "varchar",
    "segment_value": "varchar",
    "value": "double",
    "numerator": "double",
    "denominator": "double",
    "n": "bigint",
    "ci_low": "double",
    "ci_high": "double",
    "unit": "varchar",
    "currency": "varchar",
    "is_complete": "boolean",
    "null_reason": "varchar",
    "definition_version": "integer",
    "as_of": "date",
    "computed_at": "timestamp",
    "run_id": "varchar",
}
DESCRIPTION = (
    "One row per KPI, grain, period, basis and value of a segment dimension. A value that cannot be given is NULL with"
    " a null_reason, never 0. What each KPI means: kpi_definitions."
)
COMMENTS = {
    "kpi": "The KPI, as in kpi_definitions",
    "grain": "week, month, quarter or year",
    "period_start": "The first day of the period",
    "period_end": "The day after the last of the period",
    "basis": "Who counts: order (buyers), subscription (subscribers) or any of both; all where it makes no difference",
    "segment_dimension": "What customers are told apart by; all: everybody",
    "segment_value": "Their value of it; all: everybody",
    "value": "The figure; ratios are fractions (0.05 is 5 %)",
    "numerator": "Of ratios, what is divided",
    "denominator": "Of ratios, by what",
    "n": "The number of units behind the denominator",
    "ci_low": "Of shares and scores, the lower end of a 95 % interval",
    "ci_high": "Of shares and scores, the upper end of a 95 % interval",
    "unit": "What the value is counted in",
    "currency": "Of money, the reporting currency",
    "is_complete": "Whether the period had ended on as_of",
    "null_reason": "Why there is no value",
    "definition_version": "The version of the KPI's definition",
    "as_of": "The business day up to which was counted when the row was last written, exclusive",
    "computed_at": "When the row was last written (UTC)",
    "run_id": "The run that last wrote it",
}


@dataclass(frozen=True)
class KpiResult:
    """What a computation did: rows in the table, rows written and removed, months in which a figure changed."""

    rows: int
    changed: int
    removed: int
    changed_months: tuple[date, ...]


def differs(old: str, new: str) -> str:
    """SQL: two rows of the same key do not say the same (doubles to 1e-12 relative)."""
    conditions = []
    for column in FIGURES:
        a, b = f"{old}.{column}", f"{new}.{column}"
        if column in ROW_KEY:
            continue
        if column in DOUBLES:
            same = f"abs({a} - {b}) <= {RELATIVE_TOLERANCE} * greatest(abs({a}), abs({b}))"
            conditions.append(f"({a} is distinct from {b} and not coalesce({same}, false))")
        else:
            conditions.append(f"{a} is distinct from {b}")
    return "\n    or ".join(conditions)


def write_kpis(
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    families: tuple[Family, ...],
    *,
    run_id: str,
    computed_at: datetime,
) -> KpiResult:
    """Bring `retention_kpis`, `kpi_definitions` and what is held against goals (goals.py) up to date with the period
    tables, as one transaction.
    """
    connection.begin()
    try:
        result = written(connection, rules, families, run_id, computed_at)
        comment(connection)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    return result


def comment(connection: duckdb.DuckDBPyConnection) -> None:
    """Say in the table what it holds; writing it anew may have taken the words away."""
    connection.execute(f"comment on table {TABLE} is {text_literal(DESCRIPTION)}")
    for column, words in COMMENTS.items():
        connection.execute(f"comment on column {TABLE}.{column} is {text_literal(words)}")


def written(
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    families: tuple[Family, ...],
    run_id: str,
    computed_at: datetime,
) -> KpiResult:
    """The statements of write_kpis in their order; returns what changed."""
    connection.execute(f"create table if not exists {TABLE} ({', '.join(f'{n} {t}' for n, t in COLUMNS.items())})")
    connection.execute("create or replace temp table changed_periods (grain varchar, period_start date)")
    is_first = not count_rows(connection, TABLE)
    tables = tables_in(connection)
    changed = removed = 0
    for layer in layers(FAMILIES):
        connected = tuple(family for family in layer if family in families)
        for family in connected:
            kept = [name for name, _ in columns_of(connection, kept_cells(family))]
            statement = cells_statement(family, rules, tables, kept, kept_cells(family))
            connection.execute(f"create or replace temp table {new_cells(family)} as {statement}")
        if is_first:
            every_cell = {family: new_cells(family) for family in connected}
            find_rows(connection, every_cell, rules, run_id, computed_at)
            connection.execute(f"insert into {TABLE} by name select * from kpi_rows_changed")
            changed += count_rows(connection, "kpi_rows_changed")
        else:
            find_changed_cells(connection, layer, connected)
            find_changed_rows(connection, rules, connected, run_id, computed_at)
            find_removed_rows(connection, layer)
            changed_here, removed_here = (count_rows(connection, f"kpi_rows_{what}") for what in ("changed", "removed"))
            replace_rows(connection, count_rows(connection, TABLE), changed_here, removed_here)
            connection.execute("insert into changed_periods select grain, period_start from kpi_rows_removed")
            changed, removed = changed + changed_here, removed + removed_here
        connection.execute("insert into changed_periods select distinct grain, period_start from kpi_rows_changed")
    keep_cells(connection, families)
    write_definitions(connection)
    write_settings_in_force(connection, rules.business)
    write_goals(connection, rules)
    return KpiResult(count_rows(connection, TABLE), changed, removed, changed_months(connection))


def layers(families: tuple[Family, ...]) -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    """Families whose figures need no other figures, then those that borrow figures of the first."""
    first = tuple(family for family in families if not family.borrowed_figures)
    return first, tuple(family for family in families if family.borrowed_figures)


def new_cells(family: Family) -> str:
    """The temporary table with this run's cells."""
    return f"new_cells_{family.name}"


def kept_cells(family: Family) -> str:
    """The table with the cells from which the rows of `retention_kpis` were computed."""
    return f"kpi_cells_{family.name}"


def count_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Rows of a relation."""
    number: int = connection.execute(f"select count(*) from {relation}").fetchall()[0][0]
    return number


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, Any]]:
    """Names and types of the columns of a table of the warehouse or of this connection; empty if there is none."""
    if not has_table(connection, relation):
        return []
    table = connection.table(relation)
    return list(zip(table.columns, table.types, strict=True))


def find_changed_cells(
    connection: duckdb.DuckDBPyConnection, layer: tuple[Family, ...], connected: tuple[Family, ...]
) -> None:
    """changed_cells_<family>: this run's cells that are not as kept; gone_cells: keys of cells that are no more."""
    connection.execute(
        "create or replace temp table gone_cells (family varchar, grain varchar, period_start date, basis varchar, "
        "segment_dimension varchar, segment_value varchar)"
    )
    for family in layer:
        old, new = kept_cells(family), new_cells(family)
        old_columns = columns_of(connection, old)
        if family not in connected:
            if old_columns:
                connection.execute(f"insert into gone_cells select '{family.name}', {', '.join(KEY)} from {old}")
            continue
        same_shape = old_columns == columns_of(connection, new)
        unchanged = f" except select * from {old}" if same_shape else ""
        connection.execute(
            f"create or replace temp table changed_cells_{family.name} as select * from {new}{unchanged}"
        )
        if old_columns:
            connection.execute(
                f"insert into gone_cells select '{family.name}', {', '.join(KEY)} from {old} as old "
                f"anti join {new} as new on {same_key('old', 'new')}"
            )


def find_rows(
    connection: duckdb.DuckDBPyConnection, cells: dict[Family, str], rules: Rules, run_id: str, computed_at: datetime
) -> None:
    """kpi_rows_changed: the rows of these cells, with the run that writes them."""
    rows = stamp(figures_statement(cells, rules), rules, run_id, computed_at)
    connection.execute(f"create or replace temp table kpi_rows_changed as {rows}")


def find_changed_rows(
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    families: tuple[Family, ...],
    run_id: str,
    computed_at: datetime,
) -> None:
    """kpi_rows_changed: rows of changed cells that are not there or say something else."""
    changed = {family: f"changed_cells_{family.name}" for family in families}
    changed = {family: cells for family, cells in changed.items() if count_rows(connection, cells)}
    find_rows(connection, changed, rules, run_id, computed_at)
    connection.execute(f"""
        create or replace temp table kpi_rows_changed as
        select new.* from kpi_rows_changed as new
        left join {TABLE} as old on {same_key("old", "new", ROW_KEY)}
        where old.kpi is null or {differs("old", "new")}""")


def find_removed_rows(connection: duckdb.DuckDBPyConnection, layer: tuple[Family, ...]) -> None:
    """kpi_rows_removed: keys of rows whose cell is gone, or whose KPI is, or no longer has such rows."""
    of_layer = [kpi for family in layer for kpi in family_kpis(family)]
    known = ", ".join(f"({text_literal(kpi.id)}, {text_literal(kpi.family.name)})" for kpi in KPIS)
    by_places: dict[str, list[str]] = {}
    for kpi in of_layer:
        if kpi.places:
            by_places.setdefault(kpi.places, []).append(text_literal(kpi.id))
    outside = [f"(kpi in ({', '.join(kpis)}) and not ({places}))" for places, kpis in by_places.items()]
    # What a condition on measures rules out stands in the cells: a row has no measures.
    outside += [
        f"(kpi = {text_literal(kpi.id)} and ({', '.join(KEY)}) in "
        f"(select ({', '.join(KEY)}) from {new_cells(kpi.family)} where ({kpi.known_where}) is not true))"
        for kpi in of_layer
        if kpi.known_where and has_table(connection, new_cells(kpi.family))
    ]
    connection.execute(f"""
        create or replace temp table kpi_rows_removed as
        select {", ".join(f"old.{name}" for name in ROW_KEY)}
        from (select *, {" or ".join(outside) or "false"} as is_outside from {TABLE}) as old
        left join (values {known}) as known (kpi, family) on old.kpi = known.kpi
        left join gone_cells as gone on known.family = gone.family and {same_key("old", "gone")}
        where known.kpi is null or gone.family is not null or old.is_outside""")


def stamp(statement: str, rules: Rules, run_id: str, computed_at: datetime) -> str:
    """SQL: rows with the run that wrote them."""
    if computed_at.tzinfo is not None:
        computed_at = computed_at.astimezone(UTC).replace(tzinfo=None)
    return (
        f"select *, {date_literal(rules.as_of)} as as_of, timestamp '{computed_at.isoformat(sep=' ')}' as computed_at, "
        f"{text_literal(run_id)} as run_id from ({statement})"
    )


def replace_rows(connection: duckdb.DuckDBPyConnection, before: int, changed: int, removed: int) -> None:
    """Put kpi_rows_changed in place of what stands under their keys, and take kpi_rows_removed out."""
    if changed + removed == 0:
        return
    touched = " union all ".join(
        f"select {', '.join(ROW_KEY)} from {name}" for name in ("kpi_rows_changed", "kpi_rows_removed")
    )
    if changed + removed <= REWRITE_SHARE * before:
        connection.execute(
            f"delete from {TABLE} using ({touched}) as touched where {same_key(TABLE, 'touched', ROW_KEY)}"
        )
        connection.execute(f"insert into {TABLE} by name select * from kpi_rows_changed")
        return
    connection.execute(f"""
        create or replace table {TABLE} as
        select {", ".join(COLUMNS)} from {TABLE} as old
        anti join ({touched}) as touched on {same_key("old", "touched", ROW_KEY)}
        union all
        select {", ".join(COLUMNS)} from kpi_rows_changed""")


def changed_months(connection: duckdb.DuckDBPyConnection) -> tuple[date, ...]:
    """First days of the calendar months whose month figures changed."""
    months = "select distinct period_start from changed_periods where grain = 'month' order by period_start"
    return tuple(row[0] for row in connection.execute(months).fetchall())


def keep_cells(connection: duckdb.DuckDBPyConnection, families: tuple[Family, ...]) -> None:
    """Keep this run's cells for the next run's comparison."""
    for family in FAMILIES:
        if family in families:
            connection.execute(f"create or replace table {kept_cells(family)} as select * from {new_cells(family)}")
        else:
            connection.execute(f"drop table if exists {kept_cells(family)}")
