"""Members: the customers behind a figure, each with their part of it.

Every generation holds, in `int_member_queries`, queries per family of KPIs over its own facts: texts for some periods
and a basis, made from the very SQL that makes the sums. Here the cell is put in, and what KPIs borrow from other
families or from the months behind is added. Nothing is stored; the parts of all members add up to
the cell of the period table, measure by measure, and to numerator and denominator of each KPI that counts or sums.

    with open_published(home) as connection:
        cell = Cell("month", date(2026, 3, 1), "any", "country", "NL")
        members(connection, "customers", cell)            # customer_key, customer_id and every measure of the family
        members(connection, "customer_churn_rate", cell)  # customer_key, customer_id, numerator, denominator
        members(connection, "customers_lost", cell)       # customer_key, customer_id, value

`database` names another attached generation: `members(connection, kpi, cell, database="next")`; each generation answers
by its own definitions and settings. Facts without a customer are one row, customer_key 0, customer_id NOBODY. KPIs that
do not add up over customers (medians, days, figures of figures) raise NoMembers; `parts_of` says what does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

import duckdb

from retention_pipeline.kpis.declaration import Family, Kpi, settings_named
from retention_pipeline.kpis.inputs import MONTHS_BEHIND
from retention_pipeline.kpis.look_backs import OWN_BASIS
from retention_pipeline.kpis.registry import BY_ID, FAMILIES
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.ctes import without_unused

QUERIES, PROFILES = "int_member_queries", "int_profile_spans"
CELLS = "__cells__"  # the placeholder for a relation of grain and period_start
NOBODY = "(unattributed)"
ALL = "all"
TOO_OLD = "This generation was made by an earlier version, whose members are asked otherwise; the next run makes them"
# Costs belong to nobody; who joined is asked of the customers.
COSTS = ("acquisition_cost", "acquisition_cost_6m")
JOINED = {"customers_joined": False, "customers_joined_6m": True}  # whether over six months
# Columns, times a number or a setting, added and subtracted: what is a sum over customers if the columns are.
TERM = r"(?:(?:\d+|\{\w+\}) \* )?[a-z]\w*"
LINEAR = re.compile(rf"{TERM}(?: [+-] {TERM})*")


@dataclass(frozen=True)
class Cell:
    """One row of a period table."""

    grain: str
    period_start: date
    basis: str
    segment_dimension: str = ALL
    segment_value: str = ALL


@dataclass(frozen=True)
class Cells:
    """Rows of a period table in some periods of a basis, of all segment values. `periods`: a relation (SQL) of grain
    and period_start, each once. `relations`: what stands for tables that are not to be read where they are (name →
    SQL), say those of some customers only. `texts`: what the generations said before, for those who ask more than once.
    """

    basis: str
    periods: str
    relations: Mapping[str, str] = field(default_factory=dict)
    texts: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: Cell) -> Cells:
        """Those of one period."""
        named = f"{text_literal(cell.grain)} as grain, {date_literal(cell.period_start)} as period_start"
        return cls(cell.basis, f"(select {named})")

    def relation(self, name: str, database: str | None) -> str:
        """What is read for a table."""
        return self.relations.get(name, f"{of_main(database)}{name}")


class Source(NamedTuple):
    """A query of customer_key, grain, period_start, profile_key, other_profile_key and measures. `taken`: the columns
    of a family's cells that it gives (name → measure). `behind`: its periods are months, which count for the cells
    that a query says (months_behind); empty: its periods are those of the cells.
    """

    query: str
    taken: dict[str, str]
    behind: str = ""


class NoMembers(Exception):
    """A figure has no members, or not in this generation; the text says why."""


def members(
    connection: duckdb.DuckDBPyConnection, what: str, cell: Cell, *, database: str | None = None
) -> duckdb.DuckDBPyRelation:
    """The members of a cell, for a family or a KPI: customer_key, customer_id and their parts, in no order.

    Of a family the parts are its measures (those that add up); of a ratio `numerator` and `denominator`, of a count or
    sum `value`. A part of a ratio that is not a sum over customers (days in the period) is not among them.
    """
    family = next((one for one in FAMILIES if one.name == what), None)
    if family is not None:
        rows, columns = measures_query(connection, family, additive(family), cell, database), list(additive(family))
    elif what in BY_ID:
        rows, columns = kpi_query(connection, BY_ID[what], cell, database)
    else:
        raise NoMembers(f"There is no KPI or family {what!r}")
    return connection.sql(with_ids(rows, columns, database))


def with_ids(rows: str, columns: Collection[str], database: str | None = None) -> str:
    """SQL: rows of customer_key and parts with the customer's id."""
    return f"""select
    parts.customer_key,
    coalesce(customers.customer_id, {text_literal(NOBODY)}) as customer_id,
    {", ".join(f"parts.{column}" for column in columns)}
from ({rows}) as parts
left join {of_main(database)}int_customers as customers on parts.customer_key = customers.customer_key"""


def additive(family: Family) -> tuple[str, ...]:
    """The measures of a family that are sums over customers."""
    return tuple(measure.name for measure in family.measures if measure.is_sum)


def parts_of(kpi: Kpi) -> dict[str, str]:
    """`numerator` and `denominator`, or `value`, of a KPI as far as they are sums over customers, with their
    expressions over the cell's columns.
    """
    named = {"value": kpi.value, "numerator": kpi.numerator, "denominator": kpi.denominator}
    return {part: text for part, text in named.items() if text and are_sums(kpi, text)}


def are_sums(kpi: Kpi, expression: str) -> bool:
    """Whether an expression over the cell's columns is a sum over customers."""
    sums = {*additive(kpi.family)}
    sums |= {name for borrowed in kpi.family.borrowed for name in borrowed.measures}
    sums |= {name for months in kpi.family.trailing for name in months.columns}
    return LINEAR.fullmatch(expression) is not None and columns_in(expression) <= sums


def columns_in(expression: str) -> set[str]:
    """The columns of the cell that an expression names."""
    return set(re.findall(r"[a-z]\w*", re.sub(r"\{\w+\}", "", expression)))


def values_of(kpi: Kpi) -> dict[str, str]:
    """`values` of a KPI that is not a sum, say a median: how many a customer has; empty where they have no owner."""
    return {"values": kpi.n} if kpi.n and not parts_of(kpi) and are_sums(kpi, kpi.n) else {}


def kpi_query(
    connection: duckdb.DuckDBPyConnection, kpi: Kpi, cell: Cell, database: str | None = None
) -> tuple[str, list[str]]:
    """SQL: customer_key and the parts of a KPI, and the parts' names. Raises NoMembers where none adds up."""
    parts = parts_of(kpi)
    if not parts:
        raise NoMembers(f"{kpi.id} is not a sum over customers")
    return parts_query(connection, kpi, parts, cell, database), list(parts)


def parts_query(
    connection: duckdb.DuckDBPyConnection, kpi: Kpi, parts: dict[str, str], cell: Cell, database: str | None = None
) -> str:
    """SQL: customer_key and parts, each given by its expression over the cell's columns."""
    columns = set().union(*map(columns_in, parts.values()))
    settings = published_settings(connection, database)
    rendered = {
        part: text.format(**{name: settings[name] for name in settings_named((text,))}) for part, text in parts.items()
    }
    listed = ", ".join(f"{text} as {part}" for part, text in rendered.items())
    some = " or ".join(f"{part} <> 0" for part in parts)
    rows = measures_query(connection, kpi.family, sorted(columns), cell, database)
    return f"select * from (select customer_key, {listed} from ({rows})) where {some}"


def measures_query(
    connection: duckdb.DuckDBPyConnection,
    family: Family,
    columns: Collection[str],
    cell: Cell,
    database: str | None = None,
) -> str:
    """SQL: customer_key and the given columns of the family's cells; rows of customers in any of them."""
    cells = Cells.of(cell)
    if cell.segment_dimension == ALL:
        # Who had which segment value when does not matter, and is as many rows as there are customers.
        cells = replace(cells, relations={PROFILES: f"(select * from {of_main(database)}{PROFILES} where false)"})
    of_customers = sources_of(connection, family, set(columns), cells, database, must_have=True)
    sources = [(in_segment(in_cells(one.query, one.behind), cell, database), one.taken) for one in of_customers]
    if family.name == "acquisition" and (costs := set(columns) & {*COSTS}):
        # Costs are a line of nobody, as the period table has them.
        query = f"select 0 as customer_key, * from {of_main(database)}period_acquisition where {is_cell(cell)}"
        sources.append((query, {name: name for name in costs}))
    selects = [
        f"select customer_key, {', '.join(f'{taken[name]} as {name}' if name in taken else 'null' for name in columns)}"
        f" from ({query})"
        for query, taken in sources or [("select 0 as customer_key where false", dict[str, str]())]
    ]
    sums = ", ".join(f"coalesce(sum({name}), 0) as {name}" for name in columns)
    names = ", ".join(("customer_key", *columns))
    return (
        f"select customer_key, {sums} from ({' union all '.join(selects)}) as sources ({names}) group by customer_key"
    )


def in_segment(query: str, cell: Cell, database: str | None) -> str:
    """SQL: the rows of a source that count for the cell's segment value."""
    if cell.segment_dimension == ALL:
        return f"select * from ({query}) where other_profile_key is null"
    chosen = (
        f"select profile_key from {of_main(database)}int_profile_values "
        f"where segment_dimension = {text_literal(cell.segment_dimension)} "
        f"and segment_value = {text_literal(cell.segment_value)}"
    )
    return (
        f"select * from ({query}) where profile_key in ({chosen}) "
        f"and (other_profile_key is null or other_profile_key not in ({chosen}))"
    )


def sources_of(
    connection: duckdb.DuckDBPyConnection,
    family: Family,
    columns: set[str],
    cells: Cells,
    database: str | None,
    *,
    must_have: bool = False,
) -> list[Source]:
    """What gives the columns of the family's cells; without costs, which no customer has. must_have: raise NoMembers
    where the generation has none of the family.
    """
    found: list[Source] = []
    own = columns & {*additive(family)}
    if family.name == "acquisition":
        of_any = replace(cells, basis="any")
        for name in own & set(JOINED):
            wanted = {name: "customers_joined"}
            if JOINED[name]:
                found += of_months_behind(connection, "customers", of_any, wanted, MONTHS_BEHIND, database)
            else:
                found += cell_queries(connection, "customers", wanted, of_any, database)
    elif own:
        wanted = {name: name for name in own}
        found += cell_queries(connection, family.name, wanted, cells, database, must_have=must_have)
    for borrowed in family.borrowed:
        if taken := columns & {*borrowed.measures}:
            of_lender = replace(cells, basis=borrowed.basis)
            wanted = {name: name for name in taken}
            found += cell_queries(connection, borrowed.family.name, wanted, of_lender, database)
    for trailing in family.trailing:
        given = {f"{trailing.name}_{name}": name for name in trailing.measures}
        of_first = {f"{trailing.name}_first_{name}": name for name in trailing.of_first}
        basis = cells.basis if trailing.basis == OWN_BASIS else trailing.basis
        source = (trailing.family or family).name
        for months, names in ((MONTHS_BEHIND, given), (1, of_first)):
            if taken := columns & set(names):
                wanted = {name: names[name] for name in taken}
                found += of_months_behind(connection, source, replace(cells, basis=basis), wanted, months, database)
    return found


def of_months_behind(
    connection: duckdb.DuckDBPyConnection,
    family: str,
    cells: Cells,
    taken: dict[str, str],
    months: int,
    database: str | None,
) -> list[Source]:
    """The cells of the first `months` of the last six calendar months that ended by each cell's close."""
    behind = months_behind(cells, months, database)
    months_of_cells = f"(select distinct 'month' as grain, month_start as period_start from ({behind}))"
    of_months = replace(cells, periods=months_of_cells)
    return [one._replace(behind=behind) for one in cell_queries(connection, family, taken, of_months, database)]


def months_behind(cells: Cells, months: int, database: str | None) -> str:
    """SQL: grain and period_start of each cell with each of those months (month_start)."""
    periods = cells.relation("int_periods", database)
    return f"""
        select own.grain, own.period_start, months.period_start as month_start
        from {periods} as own
        inner join {cells.periods} as asked on own.grain = asked.grain and own.period_start = asked.period_start
        inner join {periods} as months on months.grain = 'month'
            and months.period_start >= date_trunc('month', own.close_date) - to_months({MONTHS_BEHIND})
            and months.period_start < date_trunc('month', own.close_date) - to_months({MONTHS_BEHIND - months})"""


def in_cells(query: str, behind: str) -> str:
    """SQL: what the query of a source says of months, by the periods of the cells that they are behind."""
    if not behind:
        return query
    return f"""
        select of_month.* exclude (grain, period_start), behind.grain, behind.period_start from ({query}) as of_month
        inner join ({behind}) as behind on of_month.period_start = behind.month_start"""


def cell_queries(
    connection: duckdb.DuckDBPyConnection,
    family: str,
    taken: dict[str, str],
    cells: Cells,
    database: str | None = None,
    *,
    must_have: bool = False,
) -> list[Source]:
    """The queries of a family's parts for some cells, as far as they add to the measures that are taken (name →
    measure). Raises NoMembers where the generation is too old to have them; must_have: also where it has none.
    """
    try:
        asked = f"select family, part, measures, query from {of_main(database)}{QUERIES} order by family, part"
        if asked not in cells.texts:
            cells.texts[asked] = connection.execute(asked).fetchall()
    except duckdb.CatalogException as error:
        raise NoMembers(TOO_OLD) from error
    parts = [part for name, *part in cells.texts[asked] if name == family]
    if any(CELLS not in query for _, _, query in parts):
        raise NoMembers(TOO_OLD)
    if not parts and must_have:
        raise NoMembers(f"No dataset of the family {family} is connected")
    found = []
    for _, measures, query in parts:
        of_part = {name: measure for name, measure in taken.items() if measure in measures.split()}
        if of_part:
            found.append(Source(with_cells(without_unused(query), cells, database), of_part))
    return found


def with_cells(query: str, cells: Cells, database: str | None) -> str:
    """SQL: the text of a part for some cells."""
    placed = {"__basis__": cells.basis, CELLS: cells.periods}
    # All at once, as a value may look like a placeholder.
    return re.sub(
        rf"__main__\.\"?(\w+)\"?|{'|'.join(placed)}",
        lambda match: cells.relation(match[1], database) if match[1] else placed[match[0]],
        query,
    )


def is_cell(cell: Cell) -> str:
    """SQL: the condition that a row of a period table or of retention_kpis is of this cell."""
    return (
        f"grain = {text_literal(cell.grain)} and period_start = {date_literal(cell.period_start)} "
        f"and basis = {text_literal(cell.basis)} and segment_dimension = {text_literal(cell.segment_dimension)} "
        f"and segment_value = {text_literal(cell.segment_value)}"
    )


def of_main(database: str | None) -> str:
    """What stands before a table's name: nothing for the open database."""
    return f"{database}.main." if database else ""


def published_settings(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> dict[str, str | None]:
    """The business settings that the figures of the generation were made with, by name, as text."""
    try:
        return dict(connection.execute(f"select setting, value from {of_main(database)}settings_in_force").fetchall())
    except duckdb.CatalogException as error:
        raise NoMembers(TOO_OLD) from error
