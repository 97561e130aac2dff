"""A warehouse, its raw tables and the generation before it as databases in memory, and the product's materializations.

The materializations are written again here, in a few lines each: what they have to do is the definition, and the test
of the models must not depend on the macros that do it in production (three histories go through the command for those).
"""

from __future__ import annotations

import re
from datetime import date

import duckdb

from nights.compiled_models import CompiledModels, Model
from retention_pipeline.warehouse import LEFT_OUT

HERE, BEFORE = '"next"."main".', "previous.main."
TOUCHED = "(select customer_key from main.night_touched)"


class Warehouse:
    """One warehouse over the raw tables in database raw_store of `connection`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, models: CompiledModels) -> None:
        connection.execute(f"set disabled_optimizers = '{LEFT_OUT}'")
        self.connection = connection
        self.models = models

    def full_refresh(self, as_of: date) -> None:
        """Build database next from nothing."""
        self._fresh("next")
        self.connection.execute("attach if not exists ':memory:' as previous")
        for model in self.models.full:
            sql = model.text(as_of, None, -1)
            self.create(model, sql)

    def night(self, as_of: date, previous_as_of: date, applied_load: int) -> None:
        """Keep database next as `previous` and bring a copy of it up to date."""
        self._fresh("previous")
        self.connection.execute("copy from database next to previous")
        for model in self.models.night:
            sql = model.text(as_of, previous_as_of, applied_load)
            if model.materialized == "by_customer":
                self._exchange_customers(model.name, sql)
            elif model.materialized == "merged":
                self._replace_rows(model, sql)
            elif model.materialized == "contributions":
                self._exchange_contributions(model, sql, as_of, previous_as_of)
            else:
                self.create(model, sql)

    def _fresh(self, name: str) -> None:
        self.connection.execute("use memory")
        self.connection.execute(f"detach database if exists {name}")
        self.connection.execute(f"attach ':memory:' as {name}")
        self.connection.execute("use next")

    def create(self, model: Model, sql: str) -> None:
        """A model's table from nothing."""
        execute = self.connection.execute
        execute(f"drop table if exists {model.name}")
        if model.materialized not in ("by_grain", "contributions"):
            execute(f"create table {model.name} as {sql}")
            return
        for number, text in enumerate(model.by_grain(sql)):
            exists = number > 0
            execute(f"insert into {model.name} by name {text}" if exists else f"create table {model.name} as {text}")
        if model.materialized == "contributions":
            some = " or ".join(f"{measure} <> 0" for measure in self._measures(model))
            execute(f"delete from {model.name} where not ({some})")

    def _exchange_customers(self, table: str, sql: str) -> None:
        execute = self.connection.execute
        execute("create schema if not exists changed")
        for schema, rows in [("touched_before", table), ("touched", f"({sql})")]:
            execute(f"create schema if not exists {schema}")
            execute(f"create or replace table {schema}.{table} as select * from {rows} where customer_key in {TOUCHED}")
        rows, rows_before = f"select * from touched.{table}", f"select * from touched_before.{table}"
        execute(
            f"create or replace table changed.{table} as select customer_key from ({rows} except all {rows_before}) "
            f"union select customer_key from ({rows_before} except all {rows})"
        )
        execute(f"delete from {table} where customer_key in {TOUCHED}")
        execute(f"insert into {table} by name from touched.{table}")

    def _replace_rows(self, model: Model, sql: str) -> None:
        execute = self.connection.execute
        table, before, tonight = model.name, f"differing_before.{model.name}", f"differing.{model.name}"
        for schema in ("differing", "differing_before"):
            execute(f"create schema if not exists {schema}")
        kept_until = f", {model.kept_until} as kept_until" if model.kept_until else ""
        counts_alike = re.findall(r"\S.* as counts_alike$", sql, re.MULTILINE)
        execute(
            f"create or replace table {before} as select {', '.join(['*', *counts_alike])} from ("
            f"select rows_before.*{kept_until} from {table} as rows_before join"
            f" {model.replaced_from} as changes on rows_before.customer_key = changes.customer_key"
            f" where {model.replaces})"
        )
        execute(f"create or replace table {tonight} as {sql}")
        columns = [column[0] for column in execute(f"select * from {table} limit 0").description]
        listed = ", ".join(columns)
        execute(f"create temp table kept as from {table} except all select {listed} from {before}")
        execute(f"delete from {table}")
        execute(f"insert into {table} by name from kept")
        execute(f"insert into {table} by name select {listed} from {tonight}")
        execute("drop table kept")
        # Of rows that take the place of the same ones no sum may depend.
        equal = " and ".join(f"one.{column} is not distinct from other.{column}" for column in columns)
        for one, other, name in [(before, tonight, "unlike_before"), (tonight, before, "unlike_tonight")]:
            unlike = f"from {one} as one where not exists (from {other} as other where {equal})"
            execute(f"create temp table {name} as {unlike}")
        for one, name in [(before, "unlike_before"), (tonight, "unlike_tonight")]:
            execute(f"create or replace table {one} as from {name}")
            execute(f"drop table {name}")

    def _exchange_contributions(self, model: Model, sql: str, as_of: date, previous_as_of: date) -> None:
        execute = self.connection.execute
        keys, measures = ", ".join(model.flow_keys), self._measures(model)
        types = dict(
            execute(f"select column_name, data_type from duckdb_columns() where table_name = '{model.name}'").fetchall()
        )
        sums = ", ".join(f"cast(sum({measure}) as {types[measure]}) as {measure}" for measure in measures)
        minus = ", ".join(f"-{measure} as {measure}" for measure in measures)
        plus = ", ".join(measures)
        some = " or ".join(f"sum({measure}) <> 0" for measure in measures)
        due = ", ".join(f"'{fact}'" for fact in ("int_fx_rates", *model.facts_behind))
        customers = (
            " union ".join(f"select customer_key from changed.{fact}" for fact in model.facts)
            + f" union select customer_key from night_due where fact in ({due})"
        )
        if model.sums_rows:
            # Of everybody, so that a row which is wrongly left out is the model's fault.
            execute("create schema if not exists whole")
            had_rows = "select customer_key from previous.main.int_first_facts where first_event_date is not null"
            execute(
                f"create or replace table whole.{model.name} as from ({customers}) where customer_key in ({had_rows})"
            )
            customers = " union ".join(f"select customer_key from {g}.main.int_customers" for g in ("next", "previous"))
        execute(f"create or replace table changed.{model.name} as {customers}")
        parts = [f"select {keys}, {plus} from {model.name}"]
        for text in model.by_grain(sql):
            before = (
                text.replace(HERE, BEFORE)
                .replace('"next"."touched".', '"next"."touched_before".')
                .replace('"next"."differing".', '"next"."differing_before".')
                .replace(f"cast('{as_of}' /* as_of */ as date)", f"cast('{previous_as_of}' /* as_of */ as date)")
            )
            parts += [f"select {keys}, {plus} from ({text})", f"select {keys}, {minus} from ({before})"]
        execute(
            f"create temp table exchanged as select {keys}, {sums} from ({' union all '.join(parts)}) "
            f"group by {keys} having {some}"
        )
        execute(f"delete from {model.name}")
        execute(f"insert into {model.name} by name from exchanged")
        execute("drop table exchanged")

    def _measures(self, model: Model) -> list[str]:
        columns = self.connection.execute(f"select * from {model.name} limit 0").description
        return [column[0] for column in columns if column[0] not in model.flow_keys]
