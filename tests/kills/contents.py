"""What a home's tables hold, as one count and one sum of hashes per table, and how two homes differ.

Everything is compared but what a run writes about itself: its id, its time, the number of its generation.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from retention_pipeline.history.check import history_violations
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import sql_text

Contents = dict[str, tuple[int, str]]  # per table the number of rows and the sum of their hashes

# Columns of the run's own, in any table of the warehouse.
OF_THE_RUN = {"run_id", "computed_at", "built_at", "generation", "raw_id", "raw_epoch", "raw_stamp", "loaded_at"}
OF_THE_RUN |= {"fresh_bytes", "fresh_rows", "known_from", "known_to", "published_at"}
# Without when loads and deliveries were: only of facts a moment says something about the data.
DATA_QUALITY = """
select * replace (case when measure like '%_fact' then moment end as moment)
from ({rows}) where measure not in ('last_load', 'last_delivery')
"""
# In a killed night there are more runs than in an undisturbed one, and those that failed are alerts.
ABOUT_RUNS = {"pipeline_runs", "publications", "alerts"}
# Columns of raw that say when something was seen or loaded.
RAW_TIMES = {"_loaded_at", "_superseded_at", "seen_at", "file_stamp", "loaded_at", "finished_at", "visited_at"}
OF_TABLES = {"ledger": {"started_at"}, "watermarks": {"updated_at"}}
# Where a database is asked again after a kill, the pulls that bring nothing have numbers and rows of their own.
LOADS = {"_load_id", "load_id", "applied_load_id", "_superseded_by", "resolved_by", "high"}
ABOUT_PULLS = {"pipeline_loads", "deliveries", "source_visits"}
BROUGHT_SOMETHING = "n_new + n_changed + n_bad > 0"
EXAMPLES = 2


def warehouse_tables(
    connection: duckdb.DuckDBPyConnection, database: str, *, with_pulls: bool = False
) -> dict[str, str]:
    """SQL for the compared rows of each table of a published generation that is open as `database`. `with_pulls`:
    without what tells loads apart, for a database may have been asked more often.
    """
    tables = {}
    for table, columns in _columns(connection, database, "main").items():
        if table in ABOUT_RUNS or (with_pulls and table in ABOUT_PULLS):
            continue
        left_out = OF_THE_RUN | (LOADS if with_pulls else set())
        said = ", ".join(f'"{name}"' for name in columns if name not in left_out)
        tables[table] = f"select {said} from {database}.main.{table}"
        if table == "data_quality":
            tables[table] = DATA_QUALITY.format(rows=tables[table])
    return tables


def raw_tables(connection: duckdb.DuckDBPyConnection, database: str, *, with_pulls: bool = False) -> dict[str, str]:
    """SQL for the compared rows of each table of raw.duckdb that is open as `database`."""
    tables = {}
    for table, columns in _columns(connection, database, "raw").items():
        if table == "epochs" or (with_pulls and table in ABOUT_PULLS):  # epochs: which file it is, not what is in it
            continue
        times = RAW_TIMES | OF_TABLES.get(table, set()) | (LOADS if with_pulls else set())
        said = ", ".join(f'"{name}"' for name in columns if name not in times)
        # A file is seen once more by the run after a kill, and a source asked once more.
        distinct = "distinct " if table in ("deliveries", "source_visits") else ""
        tables[f"raw.{table}"] = f"select {distinct}{said} from {database}.raw.{table}"
        if with_pulls and table == "ledger":
            tables[f"raw.{table}"] += f" where {BROUGHT_SOMETHING}"
    return tables


def _columns(connection: duckdb.DuckDBPyConnection, database: str, schema: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "select table_name, column_name from duckdb_columns() where database_name = $1 and schema_name = $2 "
        "order by table_name, column_index",
        [database, schema],
    ).fetchall():
        found.setdefault(table, []).append(column)
    return found


def hashed(connection: duckdb.DuckDBPyConnection, rows: str) -> tuple[int, str]:
    """The number of rows of a query and the sum of their hashes, in which their order does not matter."""
    counted = connection.execute(f"select count(*), cast(sum(hash(compared)) as varchar) from ({rows}) as compared")
    number, total = counted.fetchone() or (0, None)
    return int(number), str(total)


def published_contents(file: Path, *, with_pulls: bool = False) -> Contents:
    """Of a published generation."""
    with duckdb.connect() as connection:
        connection.execute(f"attach {sql_text(str(file))} as one (read_only)")
        tables = warehouse_tables(connection, "one", with_pulls=with_pulls)
        return {table: hashed(connection, rows) for table, rows in tables.items()}


def differences(one: Home, other: Home, *, without: tuple[str, ...] = (), with_pulls: bool = False) -> list[str]:
    """A line per table, file of the archive or Parquet copy in which two homes differ.

    `without` names the beginnings of tables of the warehouse that are left out.
    """
    found = []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, home in (("one", one), ("other", other)):
            connection.execute(f"attach {sql_text(str(home.current.resolve()))} as {name} (read_only)")
            connection.execute(f"attach {sql_text(str(home.raw_file))} as {name}_raw (read_only)")
        sides = [
            warehouse_tables(connection, name, with_pulls=with_pulls)
            | raw_tables(connection, f"{name}_raw", with_pulls=with_pulls)
            for name in ("one", "other")
        ]
        for table in sorted(sides[0].keys() | sides[1].keys()):
            if table.startswith(without):
                continue
            rows = [side.get(table) for side in sides]
            if rows[0] is None or rows[1] is None:
                found.append(f"{table}: only in one of both")
            elif hashed(connection, rows[0]) != hashed(connection, rows[1]):
                more, fewer = (
                    connection.execute(f"from ({here} except all {there}) limit {EXAMPLES}").fetchall()
                    for here, there in (rows, rows[::-1])
                )
                counts = [hashed(connection, side)[0] for side in (rows[0], rows[1])]
                found.append(f"{table}: {counts[0]:,} and {counts[1]:,} rows; here {more}, there {fewer}")
        found += _parquet_problems(connection, one)
        found += _history_problems(connection, one)
    archives = [
        sorted(
            str(path.relative_to(home.archive)) for path in home.archive.rglob("*.*") if path.parent.name != "history"
        )
        for home in (one, other)
    ]
    if with_pulls:  # one more that brought nothing is kept, too, and pulls are packed on what came before
        archives = [sorted({name.split(".")[0] for name in names}) for names in archives]
        archives[0] = [name for name in archives[0] if name in archives[1]]
    if archives[0] != archives[1]:
        found.append(f"archive: {archives[0]}, {archives[1]}")
    return found


def _history_problems(connection: duckdb.DuckDBPyConnection, home: Home) -> list[str]:
    """A line for what publications and history do not agree in: no publication without its history, none twice."""
    found = []
    listed = connection.execute("select published_at, generation from one.publications order by all").fetchall()
    files = sorted(path.name for path in (home.archive / "history").iterdir())
    if files != [f"{published_at:%Y%m%dT%H%M%S.%f}-g{generation}.parquet" for published_at, generation in listed]:
        found.append(f"archive/history: {files} of {listed}")
    if len({generation for _, generation in listed}) < len(listed):
        found.append(f"publications: a generation stands twice: {listed}")
    current = connection.execute("select generation from one.pipeline_state").fetchall()
    if listed[-1:] and listed[-1][1] != current[0][0]:
        found.append(f"publications: the last one is not that of generation {current[0][0]}")
    connection.execute("use one")
    found += [f"{violation.rule}: {violation.examples}" for violation in history_violations(connection)]
    connection.execute("use memory")
    return found


def _parquet_problems(connection: duckdb.DuckDBPyConnection, home: Home) -> list[str]:
    """A line per Parquet copy that does not hold what the published table holds."""
    found = []
    for file in sorted((home.published / "parquet").iterdir()):
        table = f"one.main.{file.stem}"
        if file.suffix != ".parquet" or file.name.startswith("."):
            found.append(f"{file.name} was left among the Parquet copies")
        elif hashed(connection, f"from {sql_text(str(file))}") != hashed(connection, f"from {table}"):
            found.append(f"{file.name} is not what {file.stem} is")
    return found
