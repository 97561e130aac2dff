"""Facts of a night's customers in both generations, in one table each, so that one query is answered for both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from retention_pipeline.history.causes import DEFINITION, FX, SETTINGS
from retention_pipeline.read.members import PROFILES

SIDES = {"before": "published", "now": None}
MAIN = {"before": "published.main", "now": "main"}  # schemas of each side, as Facts.columns names them
TOUCHED = {"before": "touched_before", "now": "touched"}  # those of a night, with rows of all customers whom it touched
DIFFERING = {"before": "differing_before", "now": "differing"}  # with the rows that a night replaced in merged facts
LATE = "late"  # with all rows, as they were, of customers of whom a complete period has changed ones
LATE_CUSTOMERS = "select customer_key from main.night_event_days where is_late"
PERIODS = "int_periods"


class Facts:
    """The facts of the customers of run_customers, those of both generations in one relation each, made when they are
    first asked for. Of the generation before, the customers have other keys (`before_key`); profiles have the numbers
    of profile_numbers, which both generations share. with_profiles: else nobody has one.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, with_profiles: bool = True) -> None:
        self.connection = connection
        self.with_profiles = with_profiles
        self.columns = self._columns()
        self.names = {
            side: {name for name, columns in self.columns[schema].items() if "customer_key" in columns}
            for side, schema in MAIN.items()
        }
        self.relations: set[str] = set()
        self.texts: dict[str, list[Any]] = {}
        causes = {one for (one,) in connection.execute("select distinct cause from kpi_causes").fetchall()}
        # Tables of no customer that say the same of a complete period in both generations.
        self.alike = set()
        if not causes & {SETTINGS, DEFINITION}:
            self.alike |= {"int_calendar"} | (set() if FX in causes else {"int_fx_rates"})

    def _columns(self) -> dict[str, dict[str, dict[str, str]]]:
        """Schema → table → column → type; the generation before is `published.main`."""
        found: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        rows = self.connection.execute("""
            select schema_name, table_name, column_name, data_type from duckdb_columns()
            where database_name = current_database()
            union all
            select 'published.main', table_name, column_name, data_type from duckdb_columns()
            where database_name = 'published' and schema_name = 'main'""").fetchall()
        for schema, table, column, data_type in rows:
            found[schema][table][column] = data_type
        return found

    def counts_of(self, table: str) -> set[str]:
        """The columns of a table of this generation that are whole numbers."""
        return {name for name, data_type in self.columns["main"][table].items() if data_type == "BIGINT"}

    def named(self, name: str, *, is_early: bool) -> str:
        """The name of the relation with the rows of both generations; is_early: of customers with rows that are. Their
        rows are few of many, and are looked for once; the others' are read where they stand.
        """
        relation = f"of_{'early_' if is_early else ''}customers_{name}"
        if relation not in self.relations:
            if is_early and name in self.columns[DIFFERING["now"]]:
                rows = self._rows_of_merged(name)
            else:
                sides = [self._rows(side, name, is_early) for side in SIDES if name in self.names[side]]
                rows = " union all by name ".join(sides)
            kind = "table" if is_early else "view"
            self.connection.execute(f"create or replace temp {kind} {relation} as {rows}")
            self.relations.add(relation)
        return relation

    def periods(self) -> str:
        """The name of the table with the periods of either generation."""
        if PERIODS not in self.relations:
            self.connection.execute("""
                create or replace temp table periods_of_both as
                select grain, period_start, max(close_date) as close_date
                from (from main.int_periods union all from published.main.int_periods) group by all""")
            self.relations.add(PERIODS)
        return "periods_of_both"

    def _rows(self, side: str, name: str, is_early: bool) -> str:
        """SQL: a fact's rows of one generation, as they stand in the table of both."""
        source = f"{MAIN[side]}.{name}"
        if name in self.columns[TOUCHED[side]]:
            source = f"{TOUCHED[side]}.{name}"
        replaced = [f"{before_key('facts.customer_key')} as customer_key"] if side == "before" else []
        joins = ""
        for key in self._profiles_in(side) if name == PROFILES else ():
            joins += f" inner join profile_numbers as of_{key} on of_{key}.side = '{side}'"
            joins += f" and facts.{key} = of_{key}.profile_key"
            replaced.append(f"of_{key}.profile as {key}")
        columns = f"facts.* replace ({', '.join(replaced)})" if replaced else "facts.*"
        chosen = f"select customer_key from run_customers{' where is_early' if is_early else ''}"
        return f"select {columns} from {source} as facts{joins} where facts.customer_key in ({chosen})"

    def _rows_of_merged(self, name: str) -> str:
        """SQL: the rows of both generations of a fact of which a night replaced some, looked for in one of them."""
        early = "select customer_key from run_customers where is_early"
        of_early = f"customer_key in ({early})"
        columns = ", ".join(self.columns[MAIN["now"]][name])  # without those that the night adds for itself
        gone, came = (f"(select {columns} from {schema}.{name} where {of_early})" for schema in DIFFERING.values())
        before = f"from {MAIN['before']}.{name} where {of_early}"
        if name in self.columns[LATE]:  # only where others are early, too, all rows are looked through
            others = f"({early} and customer_key not in ({LATE_CUSTOMERS}))"
            before = f"from {LATE}.{name} where {of_early} union all by name"
            before += f" from {MAIN['before']}.{name} where customer_key in {others}"
        return f"""
            with rows_before as materialized ({before})
            select * replace ({before_key("customer_key")} as customer_key) from rows_before
            union all by name (from rows_before except all from {gone})
            union all by name from {came}"""

    def _profiles_in(self, side: str) -> list[str]:
        """The columns with keys of profiles: that of a span, and the one before it."""
        return [name for name in self.columns[MAIN[side]][PROFILES] if name.startswith("profile_")]


def before_key(key: str) -> str:
    """SQL: the key of a customer of the generation before, from the true one and back."""
    return f"-1 - {key}"


def true_key(key: str) -> str:
    """SQL: the key of a customer of either generation, where both are in one table."""
    return f"case when {key} < 0 then {before_key(key)} else {key} end"


@dataclass(frozen=True)
class Relations(Mapping[str, str]):
    """What is read in place of each fact: fact → SQL; side: of one generation, None: of both."""

    facts: Facts
    side: str | None
    is_early: bool

    def __getitem__(self, name: str) -> str:
        if name == PERIODS and self.side is None:
            return self.facts.periods()
        if name not in self:
            raise KeyError(name)
        if name == PROFILES and not self.facts.with_profiles:
            return f"(select * from main.{PROFILES} where false)"
        table = self.facts.named(name, is_early=self.is_early)
        if self.side is None:
            return table
        if self.side == "now":
            return f"(select * from {table} where customer_key >= 0)"
        own = before_key("customer_key")
        return f"(select * replace ({own} as customer_key) from {table} where customer_key < 0)"

    def __contains__(self, name: object) -> bool:
        return name in self.facts.names["now"] or (self.side != "now" and name in self.facts.names["before"])

    def __iter__(self) -> Iterator[str]:
        return iter(self.facts.names["now"] | self.facts.names["before"])

    def __len__(self) -> int:
        return len(self.facts.names["now"] | self.facts.names["before"])
