"""DuckDB files: how they are opened, attached and asked what is in them. No table of the project is named here."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import duckdb

from retention_pipeline.settings import Home, memory_limit

# The oldest format that holds everything in the warehouse, so that older clients can read it.
STORAGE_VERSION = "v1.0.0"
# In DuckDB 2.0.0 and 2.0.1 a sum over an outer join is taken for 0 in every comparison, where statistics say that a
# condition leaves nothing of the other side. No query of ours is slower without them.
LEFT_OUT = "statistics_propagation"
# What DuckDB says of a file that was cut off, overwritten or flipped; every block carries a checksum.
SIGNS_OF_DAMAGE = (
    "Corrupt database file",
    "Could not read enough bytes",
    "not a valid DuckDB database file",
    "database has been invalidated",
    "Serialization Error",
    "INTERNAL Error",
)


class DamagedFile(Exception):
    """A DuckDB file of a home cannot be read; str() names it and the command that helps."""


_connections: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()
_adding = threading.RLock()  # a signal's handler may come while its own thread adds one


def connect(path: Path | str = ":memory:", **options: Any) -> duckdb.DuckDBPyConnection:
    """`duckdb.connect` for a connection whose query `interrupt_queries` ends, without the optimizer that is wrong."""
    config = {"disabled_optimizers": LEFT_OUT, **options.pop("config", {})}
    connection = duckdb.connect(str(path), config=config, **options)
    with _adding:
        _connections.add(connection)
    return connection


def interrupt_queries() -> None:
    """End what this process's connections compute, in all threads of DuckDB. A signal alone ends only the part that the
    main thread computes: the query would go on for as long as another thread is at it.
    """
    with _adding:
        connections = list(_connections)
    for connection in connections:
        with suppress(duckdb.ConnectionException):  # it is closed
            connection.interrupt()


# In-memory databases of this process that nobody uses: to attach a file to one takes a tenth of the time that DuckDB
# needs to make one, and a small run opens files some forty times.
_idle: list[duckdb.DuckDBPyConnection] = []
IDLE_AT_MOST = 3


def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


# A child would have the database without its threads.
os.register_at_fork(before=_close_idle)


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC that is closed in every case, and the file with it; `path` must exist unless it may be
    written, or is `:memory:`. Its database has the name that DuckDB gives it, that of the file up to the first dot.
    """
    in_memory = str(path) == ":memory:"
    with _attaching(Path(".tmp" if in_memory else f"{path}.tmp")) as connection:
        name = "scratch" if in_memory else path.name.split(".")[0]
        name = f"{name}_db" if name in ("", "main", "memory", "system", "temp") else name
        connection.execute(f"attach {sql_text(str(path))} as {sql_name(name)}{' (read_only)' if read_only else ''}")
        connection.execute(f"use {sql_name(name)}")
        yield connection


@contextmanager
def opened_raw(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection in which `raw.<dataset>` are the tables of raw.duckdb.

    The file is attached as `raw_store`, because opened directly its database would be called raw, like the schema.
    """
    with _attaching(Path(f"{home.raw_file}.tmp")) as connection:
        attach(connection, home.raw_file, "raw_store")
        connection.execute("use raw_store")
        yield connection


@contextmanager
def _attaching(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own to an in-memory database, of which nothing but temporary tables may be made; what it has
    attached is detached afterwards. After an error, or where it was locked or spilled, the database is not used again.
    """
    try:
        instance = _idle.pop()
    except IndexError:
        instance = connect(config={"enable_external_file_cache": "false"})
    connection = instance.cursor()
    with _adding:
        _connections.add(connection)
    went_well = False
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set memory_limit = {sql_text(memory_limit())}")
        connection.execute(f"set temp_directory = {sql_text(str(spill))}")
        yield connection
        went_well = not spill.exists()
    finally:
        connection.close()
        if went_well and len(_idle) < IDLE_AT_MOST and _detached(instance):
            _idle.append(instance)
        else:
            instance.close()


def _detached(instance: duckdb.DuckDBPyConnection) -> bool:
    """Detach all files; whether the database is as it was when it was made."""
    with suppress(duckdb.Error):
        attached = instance.execute(
            "select database_name from duckdb_databases() where not internal and database_name <> 'memory'"
        ).fetchall()
        for (name,) in attached:
            instance.execute(f"detach {sql_name(name)}")
        return instance.execute("select current_setting('lock_configuration')").fetchall() == [(False,)]
    return False


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach an existing database file read-only under a name."""
    connection.execute(f"attach {sql_text(str(path))} as {name} (read_only)")


def create_database(path: Path) -> None:
    """An empty database file in the format STORAGE_VERSION, created atomically: half of one could never be opened."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with connect() as connection:
        connection.execute(f"attach {sql_text(str(unfinished))} as created (storage_version '{STORAGE_VERSION}')")
        connection.execute("detach created")
    os.replace(unfinished, path)


def tables_in(connection: duckdb.DuckDBPyConnection, *, database: str | None = None, schema: str = "main") -> set[str]:
    """Names of the tables and views of a schema; of the open database unless another attached one is named."""
    rows = connection.execute(
        "select table_name from duckdb_tables() where schema_name = $1 "
        "and database_name = coalesce($2, current_database()) "
        "union all select view_name from duckdb_views() where schema_name = $1 "
        "and database_name = coalesce($2, current_database())",
        [schema, database],
    ).fetchall()
    return {name for (name,) in rows}


def drop_named(connection: duckdb.DuckDBPyConnection, is_dropped: Callable[[str], bool]) -> None:
    """Drop the tables and views of schema main of the open database whose names say so."""
    for kind in ("view", "table"):
        found = connection.execute(
            f"select {kind}_name from duckdb_{kind}s() where database_name = current_database() "
            "and schema_name = 'main' and not internal"
        ).fetchall()
        for name in sorted(name for (name,) in found if is_dropped(name)):
            connection.execute(f"drop {kind} {sql_name(name)}")


def has_table(
    connection: duckdb.DuckDBPyConnection, name: str, *, database: str | None = None, schema: str = "main"
) -> bool:
    """Whether a query finds a table or view of this name, of the open database (a temporary one, too) unless another
    attached one is named. Takes a tenth of the time of `tables_in`, which writes down each table.
    """
    names = [*([database] if database else []), schema, name]
    try:
        connection.table(".".join(map(sql_name, names)))
    except duckdb.CatalogException:
        return False
    return True


def sql_text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def looks_damaged(error: BaseException | str) -> bool:
    """Whether an error may come from a damaged file; `damage` finds out whether one is."""
    return any(sign in str(error) for sign in SIGNS_OF_DAMAGE)


def check_rights(path: Path, *, write: bool = False) -> None:
    """Raise PermissionError where this process may not read (and write) a file that is there: DuckDB's own words for it
    look like those for a damaged one.
    """
    if path.exists() and not os.access(path, os.R_OK | (os.W_OK if write else 0)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def damage(path: Path) -> str | None:
    """What is wrong with a database file, None if every row of it can be read. Reads the whole file. Raises
    PermissionError where it may not be read, of which it is none the worse.
    """
    check_rights(path)
    if path.exists() and path.stat().st_size == 0:
        return "it is empty"
    try:
        with _attaching(Path(f"{path}.tmp")) as connection:
            attach(connection, path, "examined")
            tables = connection.execute(
                """
                select schema_name, table_name, list(column_name) from duckdb_columns()
                where database_name = 'examined' and not internal and (schema_name, table_name) in (
                    select (schema_name, table_name) from duckdb_tables() where database_name = 'examined'
                )
                group by all
                """
            ).fetchall()
            for schema, table, columns in tables:
                listed = ", ".join(sql_name(column) for column in columns)
                connection.execute(
                    f"select bit_xor(hash({listed})) from examined.{sql_name(schema)}.{sql_name(table)}"
                ).fetchone()
    except duckdb.Error as error:
        return " ".join(str(error).split("\n")[0].split())
    return None


def sql_name(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
