"""The tables in which people are named: raw, the published generation, the archived history. Other ids take their
place, and all else stays as it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing

import duckdb

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.history.archive import rewrite
from retention_pipeline.ingest.door import Names
from retention_pipeline.ingest.ids import CUSTOMER_IDS
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.publish import generations
from retention_pipeline.publish.compaction import compact
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import opened, sql_name, sql_text


def tables_of_people() -> Iterator[tuple[str, list[str]]]:
    """(table, its columns of customers' ids), histories too."""
    for contract in CONTRACTS.values():
        columns = [name for name in contract.names if name in CUSTOMER_IDS]
        if columns:
            yield f"raw.{contract.dataset}", columns
            yield f"raw.{contract.dataset}_history", columns


def forget_in_raw(home: Home, settings: Settings, names: Names, checksums: dict[str, str]) -> None:
    """Other ids in all tables, and the file written anew: what was deleted would still stand in its free blocks."""
    kept = [one for one in settings.segments or () if re.fullmatch(r"\w+", one)]
    objects = ", ".join(f"{sql_text(one)}: json_extract_string(_extra, {sql_text('$.' + one)})" for one in kept)
    emptied = f"to_json({{{objects}}})" if kept else "null"
    made = home.warehouse / "raw.forgetting.duckdb"
    with closing(open_raw(home.raw_file)) as connection:
        connection.execute("begin transaction")
        _pairs_table(connection, names, checksums)
        for table, columns in tables_of_people():
            named = " or ".join(f"{sql_name(one)} in (select id from forgotten_ids)" for one in columns)
            connection.execute(f"update {table} set _extra = {emptied} where _extra is not null and ({named})")
            for column in columns:
                _exchange(connection, table, column)
        _exchange(connection, "raw.customer_keys", "customer_id")
        for table in ("ledger", "deliveries", "quarantine"):
            _exchange_checksums(connection, f"raw.{table}")
        _empty_quarantine(connection, names)
        _replace_words(connection, "raw_store", "raw", names)
        connection.execute("commit")
        connection.execute("checkpoint raw_store")
        made.unlink(missing_ok=True)
        connection.execute(f"attach {sql_text(str(made))} as made")
        connection.execute("copy from database raw_store to made")
        connection.execute("checkpoint made")
        connection.execute("detach made")
    os.replace(made, home.raw_file)
    home.raw_file.with_name(f"{home.raw_file.name}.wal").unlink(missing_ok=True)


def _pairs_table(connection: duckdb.DuckDBPyConnection, names: Names, checksums: dict[str, str]) -> None:
    connection.execute("create or replace temp table forgotten_ids (id varchar, name varchar)")
    connection.executemany("insert into forgotten_ids values ($1, $2)", [list(one) for one in names.pairs.items()])
    connection.execute("create or replace temp table forgotten_files (old_sha varchar, new_sha varchar)")
    if checksums:
        connection.executemany("insert into forgotten_files values ($1, $2)", [list(one) for one in checksums.items()])


def _exchange(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    name = sql_name(column)
    connection.execute(
        f"update {table} set {name} = forgotten_ids.name from forgotten_ids where {name} = forgotten_ids.id"
    )


def _exchange_checksums(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    connection.execute(f"update {table} set sha256 = new_sha from forgotten_files where sha256 = old_sha")


def _empty_quarantine(connection: duckdb.DuckDBPyConnection, names: Names) -> None:
    """Of refused rows that name somebody only the reason stays."""
    rows = connection.execute(
        "select rowid, raw, coalesce(key, '') from raw.quarantine where raw is not null"
    ).fetchall()
    wanted = {one.lower() for one in names.pairs}
    hit = []
    for row, raw, key in rows:
        text = f"{bytes(raw).decode('utf-8', 'replace')} {key}"
        words = set(re.split(r"[,;|\t\s\"'=:{}\[\]]+", text.lower()))
        if words & wanted or names.in_text(text) != text:
            hit.append(row)
    if hit:
        connection.execute("update raw.quarantine set raw = ''::blob, key = null where list_contains($1, rowid)", [hit])


def _replace_words(connection: duckdb.DuckDBPyConnection, database: str, schema: str, names: Names) -> None:
    """Identifiers that mean the person wherever they stand, in every text of the tables."""
    if names.pattern is None:
        return
    pattern = "(?i)" + "|".join(re.escape(one) for one in names.lowered)
    for table, column in connection.execute(
        """
        select columns.table_name, columns.column_name
        from duckdb_columns() as columns join duckdb_tables() as tables using (database_name, schema_name, table_name)
        where columns.database_name = $1 and columns.schema_name = $2 and columns.data_type = 'VARCHAR'
        """,
        [database, schema],
    ).fetchall():
        place, name = f"{sql_name(database)}.{sql_name(schema)}.{sql_name(table)}", sql_name(column)
        texts = connection.execute(
            f"select distinct {name} from {place} where regexp_matches({name}, $1)", [pattern]
        ).fetchall()
        for (before,) in texts:
            after = names.in_text(before)
            if after != before:
                connection.execute(f"update {place} set {name} = $1 where {name} = $2", [after, before])


def forget_in_generation(home: Home, names: Names, checksums: dict[str, str]) -> int:
    """The published generation with other ids, as the next one; all others are deleted."""
    number = generations.next_number(home)
    generations.discard(home)
    generations.check_space(home)
    generations.copy_file(home.current.resolve(), home.next_file)
    home.next_file.chmod(0o600)
    with opened(home.next_file) as connection:
        connection.execute("begin transaction")
        forget_in_tables(connection, names, checksums)
        connection.execute("update pipeline_state set generation = $1", [number])
        connection.execute("commit")
        connection.execute("checkpoint")
    generations.settle(home)
    if not compact(home):
        generations.discard(home)
        raise generations.NotEnoughSpace(
            f"{home.published}: not enough space to rewrite the published file. It stays as it is. Free some space,"
            " then give the same command again"
        )
    generations.publish(home, number, keep=1)
    for one in generations.generations(home):
        if not one.is_current:
            one.path.unlink()
    return number


def forget_in_tables(connection: duckdb.DuckDBPyConnection, names: Names, checksums: dict[str, str]) -> None:
    """Other ids in the published tables of the open database, in columns of ids, in keys of rows and, where they can
    mean nothing else, in all texts; and the checksums of the copies that were written anew.
    """
    ((database,),) = connection.execute("select current_database()").fetchall()
    _pairs_table(connection, names, checksums)
    columns = connection.execute(
        """
        select columns.table_name, columns.column_name
        from duckdb_columns() as columns join duckdb_tables() as tables using (database_name, schema_name, table_name)
        where columns.database_name = $1 and columns.schema_name = 'main' and columns.data_type = 'VARCHAR'
        """,
        [database],
    ).fetchall()
    for table, column in columns:
        if column.endswith("customer_id") or column in ("alias_id", "referred_by"):
            _exchange(connection, sql_name(table), column)
        elif column == "sha256":
            _exchange_checksums(connection, sql_name(table))
        elif column == "row_key" and (table, "dataset") in columns:
            _exchange_in_keys(connection, sql_name(table))
    _replace_words(connection, database, "main", names)


def _exchange_in_keys(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Other ids in the keys of those datasets whose key has one; a key is its values with blanks between."""
    datasets = [name for name, contract in CONTRACTS.items() if set(contract.key) & set(CUSTOMER_IDS)]
    connection.execute(
        f"""
        update {table} set row_key = array_to_string(
            list_transform(string_split(row_key, ' '), lambda part: coalesce(names.named[part], part)), ' '
        )
        from (select map(list(id), list(name)) as named from forgotten_ids) as names
        where list_contains($1, dataset) and list_has_any(string_split(row_key, ' '), map_keys(names.named))
        """,
        [datasets],
    )


def forget_in_history(home: Home, names: Names, checksums: dict[str, str]) -> int:
    """The archived history, which names the customers behind restated figures and the files that were loaded; how many
    files were rewritten.
    """
    return rewrite(home, lambda connection, _: forget_in_tables(connection, names, checksums))
