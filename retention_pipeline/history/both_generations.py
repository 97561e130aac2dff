"""Facts of a night's customers in both generations, in one table each, so that one query is answered for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from retention_pipeline.history.causes import DEFINITION, FX, SETTINGS
from retention_pipeline.kpis.rules import date_literal
from retention_pipeline.read.members import PROFILES
from retention_pipeline.warehouse import tables_in

SIDES = {"before": "published", "now": None}
# Facts each row of which has parts of its own, whatever the other rows are (members_of_parts, order_members), and the
# day that a row of a customer is known by: one that is in both generations adds nothing to what differs.
OF_ROWS_ALONE = {"int_purchase_days": "purchase_date"}


class Facts:
    """The facts of the customers of run_customers, those of both generations in one table each, copied when they are
    first asked for. Of the generation before, the customers have other keys (`before_key`), so that one query is
    answered for both.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settled: date) -> None:
        self.connection, self.settled = connection, settled
        # Schemas of a night, with the rows of all customers whom it touched.
        self.touched = {
            side: tables_in(connection, schema=schema)
            for side, schema in (("before", "touched_before"), ("now", "touched"))
        }
        self.names = {side: self._of_customers(database) for side, database in SIDES.items()}
        self.copied: set[str] = set()
        self.answers: dict[str, list[Any]] = {}
        self.sums: dict[str, str] = {}
        causes = {one for (one,) in connection.execute("select distinct cause from kpi_causes").fetchall()}
        # Tables of no customer that say the same of a complete period in both generations.
        self.alike = set()
        if not causes & {SETTINGS, DEFINITION}:
            self.alike |= {"int_calendar"} | (set() if FX in causes else {"int_fx_rates"})

    def _of_customers(self, database: str | None) -> set[str]:
        found = self.connection.execute(
            "select distinct table_name from duckdb_columns() where column_name = 'customer_key' "
            "and schema_name = 'main' and database_name = coalesce(?, current_database())",
            [database],
        ).fetchall()
        return {name for (name,) in found}

    def copy(self, name: str, *, is_early: bool) -> str:
        """The name of the table with the rows of both generations; is_early: of customers with rows that are."""
        table = f"of_{'early_' if is_early else ''}customers_{name}"
        if table not in self.copied:
            chosen = f"select customer_key from run_customers{' where is_early' if is_early else ''}"
            sides = {
                side: f"select * from {self._relation(side, name)} where customer_key in ({chosen})"
                for side in SIDES
                if name in self.names[side]
            }
            if "before" in sides:
                sides["before"] = (
                    f"select * replace ({before_key('customer_key')} as customer_key) from ({sides['before']})"
                )
            self.connection.execute(
                f"create or replace temp table {table} as {' union all by name '.join(sides.values())}"
            )
            self.copied.add(table)
        return table

    def changed(self, name: str, *, is_early: bool) -> str:
        """The name of such a table for a query that asks the same of both generations: of OF_ROWS_ALONE without rows
        that are in both, of customers who have the same profiles in both (of all customers they cost more than they
        save).
        """
        copied = self.copy(name, is_early=is_early)
        in_both = self.names["before"] & self.names["now"]
        if not is_early or name not in OF_ROWS_ALONE or not {name, PROFILES} <= in_both:
            return copied
        table, day = f"changed_{copied}", OF_ROWS_ALONE[name]
        if table in self.copied:
            return table
        described = self.connection.execute(f"describe {copied}").fetchall()
        said = [column for column, *_ in described if column not in ("customer_key", day)]
        days = " or ".join(
            f"{column} >= {date_literal(self.settled)}" for column, kind, *_ in described if kind == "DATE"
        )
        self.connection.execute(f"""
            create or replace temp table {table} as
            with alike as (
                select now.customer_key, now.{day} from {copied} as now
                inner join {copied} as before
                    on now.customer_key = {before_key("before.customer_key")} and now.{day} = before.{day}
                where now.customer_key >= 0
                    and {" and ".join(f"now.{column} is not distinct from before.{column}" for column in said)}
                    and now.customer_key not in ({self._moved(is_early)})
            )
            from {copied} as rows
            where {days}
                or ({true_key("customer_key")}, {day}) not in (select (customer_key, {day}) from alike)""")
        self.copied.add(table)
        return table

    def _moved(self, is_early: bool) -> str:
        """SQL: the customers whose profiles of periods differ between the generations."""
        spans = self.copy(PROFILES, is_early=is_early)
        sign = "case when spans.customer_key < 0 then -1 else 1 end"
        key = f"case when spans.customer_key < 0 then {before_key('spans.profile_key')} else spans.profile_key end"
        return f"""
            select {true_key("spans.customer_key")} as customer_key
            from {spans} as spans left join profile_numbers as numbers on {key} = numbers.profile_key
            where rule in ('any', 'period')
            group by {true_key("spans.customer_key")}, rule, grain, from_period, to_period, numbers.profile
            having sum({sign}) <> 0"""

    def added_up(self, rows: str, measures: tuple[str, ...]) -> str:
        """The name of the table with what differs of rows (SQL) by period, customer and profiles; it is asked once."""
        if rows not in self.sums:
            self.sums[rows] = f"added_up_{len(self.sums)}"
            cell = "period_start, customer_key, profile, other_profile"
            self.connection.execute(f"""
                create or replace temp table {self.sums[rows]} as
                select {cell}, {", ".join(f"sum({name}) as {name}" for name in measures)} from ({rows})
                group by {cell} having {" or ".join(f"sum({name}) <> 0" for name in measures)}""")
        return self.sums[rows]

    def _relation(self, side: str, name: str) -> str:
        if name in self.touched[side]:
            return f"{'touched_before' if side == 'before' else 'touched'}.{name}"
        database = SIDES[side]
        return f"{database}.main.{name}" if database else f"main.{name}"


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
        if name not in self:
            raise KeyError(name)
        if self.side is None:
            return self.facts.changed(name, is_early=self.is_early)
        table = self.facts.copy(name, is_early=self.is_early)
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
