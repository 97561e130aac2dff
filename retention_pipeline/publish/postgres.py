"""The published KPI and period tables in a PostgreSQL schema, for Metabase, Power BI, Looker and others.

All tables of a publication change in one transaction: readers see the whole of one generation, and never wait. Tables
are not replaced but filled anew, so what somebody added to them stays: grants, comments, indexes, views. A failure is
reported and made good by the next run; it never withdraws a generation.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from retention_pipeline.publish.exports import content_mark, exported_tables
from retention_pipeline.settings import Home, PostgresTarget, Settings, SettingsError
from retention_pipeline.warehouse import opened, sql_text

MARKS = "published_tables"
CONNECT_SECONDS = 20
# What most questions filter by; made with the table, and left alone if somebody drops it.
INDEXES = {
    "retention_kpis": ("kpi", "grain", "period_start", "basis", "segment_dimension", "segment_value"),
    "cohort_retention": ("basis", "grain", "cohort_start", "segment_dimension", "segment_value", "age"),
}
TYPES = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(39)",
    "UBIGINT": "numeric(20)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}


def publish_to_postgres(home: Home, settings: Settings) -> list[str]:
    """Bring the schema up to date with the current generation; returns in words what could not be done."""
    target = settings.publish.postgres
    if target is None:
        return []
    try:
        dsn = target.dsn.read()
        conninfo_to_dict(dsn)
    except SettingsError as error:
        return [f"publish.postgres: {error}"]
    except psycopg.Error:  # its words repeat what it cannot read
        return [f"publish.postgres: the variable {target.dsn.env} does not hold a valid connection string"]
    try:
        with (
            opened(home.current, read_only=True) as warehouse,
            psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as database,
        ):
            publish_tables(warehouse, database, target)
    except (psycopg.Error, duckdb.Error, OSError) as error:
        return [f"publish.postgres: {_without_connection(error)}"]
    return []


def publish_tables(warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection, target: PostgresTarget) -> int:
    """Fill the tables whose content differs, as one transaction; returns how many."""
    schema = sql.Identifier(target.schema_name)
    with database.transaction():
        database.execute(sql.SQL("create schema if not exists {}").format(schema))
        marks = sql.Identifier(target.schema_name, MARKS)
        database.execute(
            sql.SQL(
                "create table if not exists {}"
                " (table_name text primary key, content_mark text, published_at timestamptz)"
            ).format(marks)
        )
        database.execute(
            sql.SQL("lock table {} in share row exclusive mode").format(marks)
        )  # one publication at a time
        known: dict[str, str] = dict(
            database.execute(sql.SQL("select table_name, content_mark from {}").format(marks)).fetchall()
        )
        written = 0
        for table in exported_tables(warehouse):
            mark = content_mark(warehouse, table)
            columns = _columns(warehouse, table)
            is_new = _shape(warehouse, database, target.schema_name, table, columns)
            if is_new or known.get(table) != mark:
                _fill(warehouse, database, target.schema_name, table, list(columns))
                database.execute(
                    sql.SQL(
                        "insert into {} values (%s, %s, now()) on conflict (table_name)"
                        " do update set content_mark = excluded.content_mark, published_at = excluded.published_at"
                    ).format(marks),
                    (table, mark),
                )
                written += 1
    return written


def _columns(warehouse: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Column → PostgreSQL's type of it."""
    described = warehouse.execute(f"select column_name, column_type from (describe {table})").fetchall()
    return {name: TYPES.get(kind) or (f"numeric{kind[7:]}" if kind.startswith("DECIMAL") else "text")
            for name, kind in described}  # fmt: skip


def _shape(
    warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection, schema: str, table: str, columns: dict[str, str]
) -> bool:
    """Make the table, or add and change its columns so that they are these; whether rows have to be written anew."""
    there: dict[str, str] = dict(
        database.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            (f'"{schema}"."{table}"',),
        ).fetchall()
    )
    name = sql.Identifier(schema, table)
    if not there:
        definitions = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind)) for column, kind in columns.items()
        )
        database.execute(sql.SQL("create table {} ({})").format(name, definitions))
        if table in INDEXES and set(INDEXES[table]) <= set(columns):
            keys = sql.SQL(", ").join(map(sql.Identifier, INDEXES[table]))
            database.execute(sql.SQL("create index on {} ({})").format(name, keys))
        _comment(warehouse, database, schema, table)
        return True
    changes = [sql.SQL("drop column {}").format(sql.Identifier(column)) for column in there if column not in columns]
    for column, kind in columns.items():
        if column not in there:
            changes.append(sql.SQL("add column {} {}").format(sql.Identifier(column), sql.SQL(kind)))
        elif _plain(there[column]) != _plain(kind):
            changes.append(
                sql.SQL("alter column {0} type {1} using cast(cast({0} as text) as {1})").format(
                    sql.Identifier(column), sql.SQL(kind)
                )
            )
    if changes:
        database.execute(sql.SQL("delete from {}").format(name))
        database.execute(sql.SQL("alter table {} {}").format(name, sql.SQL(", ").join(changes)))
    return bool(changes)


def _comment(warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection, schema: str, table: str) -> None:
    """The comments of a table and its columns, as the warehouse has them of the table or view."""
    there = "schema_name = 'main' and database_name = current_database() and comment is not null"
    relations = f"""select comment from duckdb_tables() where table_name = $name and {there}
        union all select comment from duckdb_views() where view_name = $name and {there}"""
    columns = f"select column_name, comment from duckdb_columns() where table_name = $name and {there}"
    for (words,) in warehouse.execute(relations, {"name": table}).fetchall():
        database.execute(sql.SQL("comment on table {} is {}").format(sql.Identifier(schema, table), sql.Literal(words)))
    for column, words in warehouse.execute(columns, {"name": table}).fetchall():
        database.execute(
            sql.SQL("comment on column {} is {}").format(sql.Identifier(schema, table, column), sql.Literal(words))
        )


def _plain(kind: str) -> str:
    """A type's name as PostgreSQL and TYPES both write it."""
    return kind.replace(" without time zone", "").replace("timestamp with time zone", "timestamptz").replace(",0)", ")")


def _fill(
    warehouse: duckdb.DuckDBPyConnection, database: psycopg.Connection, schema: str, table: str, columns: list[str]
) -> None:
    name = sql.Identifier(schema, table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    database.execute(sql.SQL("delete from {}").format(name))
    quoted = ", ".join(f'"{column}"' for column in columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        warehouse.execute(
            f"copy (select {quoted} from {table}) to {sql_text(str(path))}"
            " (format csv, header false, nullstr '\\N', force_quote *)"
        )
        statement = sql.SQL("copy {} ({}) from stdin (format csv, null '\\N')").format(name, names)
        with database.cursor().copy(statement) as copy, path.open("rb") as rows:
            while block := rows.read(1 << 20):
                copy.write(block)


def _without_connection(error: Exception) -> str:
    """What went wrong, in one line. psycopg's messages name host and user, never the password."""
    return " ".join(str(error).split()) or type(error).__name__
