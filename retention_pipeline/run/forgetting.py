"""`retention forget`: a person's ids become random ones everywhere in the home, and stay so.

No figure changes: nothing but the id is another one, integer keys included. What is delivered again goes through the
door (ingest/door.py), which knows people by keyed hashes alone. Each step may be repeated, so a run that was ended is
begun again with the same command; who is to be forgotten is noted first, as a hash.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.history.archive import rewrite
from retention_pipeline.history.pending import TABLE as PENDING_ROWS
from retention_pipeline.history.restatement_tables import ROWS as RESTATED_ROWS
from retention_pipeline.ingest.archive import checksum
from retention_pipeline.ingest.door import (
    EMAIL,
    Door,
    Names,
    check_key,
    clean,
    door_of,
    forgotten_file,
    is_telling,
    keyed_hash,
    privacy_key,
    read_forgotten,
    write_forgotten,
)
from retention_pipeline.ingest.ids import CUSTOMER_IDS
from retention_pipeline.ingest.joined import ENDING, parts_of, written
from retention_pipeline.ingest.landing import delivered_files, format_of
from retention_pipeline.ingest.packed import (
    Unpacked,
    base_of,
    checksum_of,
    copy_in,
    in_order,
    is_packed,
    pack,
    remove_left,
)
from retention_pipeline.ingest.rebuild import archived_files
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.publish import generations
from retention_pipeline.publish.compaction import compact
from retention_pipeline.publish.exports import export_tables
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.settings import FileSource, Home, Ids, Settings, Source
from retention_pipeline.warehouse import opened, opened_raw, sql_name, sql_text, tables_in

SHARED_BY = 3  # an address in rows of more other customers is nobody's own: that of a shop, of a colleague
BLOCK = 1 << 22


class NotForgotten(Exception):
    """Nobody could be forgotten, or not everywhere; str() says why and what to do."""


@dataclass
class Forgotten:
    """What was done. people: how many ids and addresses; files: archived and delivered files that were rewritten."""

    people: int
    files: int = 0
    generation: int | None = None
    left: list[str] = field(default_factory=list)


def forget(
    home: Home,
    settings: Settings,
    customers: list[str],
    *,
    now: datetime,
    say: Callable[[str], None] = lambda text: None,
) -> Forgotten:
    """Forget people by their ids. Raises NotForgotten, SettingsError, HomeIsBusy."""
    key = privacy_key(settings)
    check_key(home, key)
    with writer_lock(home):
        if not home.raw_file.exists():
            raise NotForgotten(f"{home.raw_file} is not there, so nobody is known; nothing was changed")
        people = read_forgotten(home)
        ids = _known_ids(home, settings, customers, key, people)
        for one in ids:
            people.setdefault(keyed_hash(key, one), f"forgotten-{secrets.token_hex(8)}")
        pairs = {one: people[keyed_hash(key, one)] for one in ids}
        acts = _acts(home)
        write_forgotten(home, key, people, acts)
        say("raw: looking for addresses")
        _add_addresses(home, key, people, pairs, _addresses_in_raw(home, pairs))
        rewritten: dict[str, tuple[str, Path, Path]] = {}
        remove_left(home)
        copies = set(archived_files(home))
        while True:
            for _, _, half_way in rewritten.values():
                if half_way not in copies:
                    half_way.unlink(missing_ok=True)
            say("archive: rewriting")
            doors = _Doors(home, settings, key, people, Names(pairs))
            rewritten = _rewritten_archive(home, doors)
            new = {one.lower() for one in doors.emails} - pairs.keys()
            if not _add_addresses(home, key, people, pairs, new):
                break
        write_forgotten(home, key, people, acts)
        say("raw: rewriting")
        checksums = {old: new for old, (new, _, _) in rewritten.items()}
        _forget_in_raw(home, settings, Names(pairs), checksums)
        done = Forgotten(len(pairs), len(rewritten))
        say("landing folders: rewriting")
        done.files += _rewrite_landing(home, settings, doors)
        for _, old_path, new_path in rewritten.values():
            if old_path != new_path:
                old_path.unlink(missing_ok=True)
        _remove_put_aside(home)
        if home.current.exists():
            say("published: a new generation without them, the others are deleted")
            done.generation = _forget_in_generation(home, Names(pairs), checksums)
            export_tables(home)
        say("history: rewriting")
        done.files += rewrite(home, lambda connection, table: _forget_in_history(connection, table, Names(pairs)))
        say("records, alerts, Dagster's history")
        _forget_in_texts(home, Names(pairs))
        if home.report.exists() and home.current.exists():
            from retention_pipeline.report.page import write_report

            write_report(home, settings)
        write_forgotten(home, key, people, [*acts, {"at": now.isoformat(timespec="seconds"), "number": len(pairs)}])
        done.left = [str(path) for path in _still_named(home, Names(pairs))]
        return done


def _acts(home: Home) -> list[dict[str, object]]:
    path = forgotten_file(home)
    return list(json.loads(path.read_text(encoding="utf-8")).get("acts", [])) if path.exists() else []


def _known_ids(home: Home, settings: Settings, customers: list[str], key: bytes, people: dict[str, str]) -> list[str]:
    """The ids as raw has them, with those of the same person by aliases. Raises NotForgotten for an unknown one."""
    sources = [settings.read_source(name) for name in settings.sources]
    forms = [source.ids or Ids() for source in sources] or [Ids()]
    with closing(open_raw(home.raw_file)) as connection:  # which brings a file of an earlier version up to date
        found: dict[str, None] = {}
        unknown = []
        for customer in customers:
            texts = {customer.strip(), *(clean(customer, one) for one in forms)} - {""}
            texts |= {f"p{keyed_hash(key, one)[:24]}" for one in texts}
            known = connection.execute(
                "select customer_id from raw.customer_keys where list_contains($1, customer_id)", [sorted(texts)]
            ).fetchall()
            again = [one for one in texts if keyed_hash(key, one) in people]
            if not known and not again:
                unknown.append(customer)
            found |= dict.fromkeys([name for (name,) in known] + again)
        if unknown:
            listed = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else "")
            raise NotForgotten(f"no customer has the id {listed}; nothing was changed")
        while True:
            more = connection.execute(
                """
                select distinct unnest([alias_id, customer_id]) as customer_id
                from (select alias_id, customer_id from raw.customer_aliases
                    union select alias_id, customer_id from raw.customer_aliases_history)
                where list_contains($1, alias_id) or list_contains($1, customer_id)
                """,
                [list(found)],
            ).fetchall()
            new = [name for (name,) in more if name is not None and name not in found]
            new = [name for name in new if not name.startswith("forgotten-")]
            if not new:
                return list(found)
            found |= dict.fromkeys(new)


def _addresses_in_raw(home: Home, pairs: dict[str, str]) -> set[str]:
    """E-mail addresses in the unmapped columns of the people's rows."""
    found: set[str] = set()
    with opened_raw(home) as connection:
        for table, columns in _tables_of_people():
            named = " or ".join(f"list_contains($1, {sql_name(one)})" for one in columns)
            for (text,) in connection.execute(
                f"select distinct _extra from {table} where _extra like '%@%' and ({named})", [list(pairs)]
            ).fetchall():
                found.update(one.lower() for one in EMAIL.findall(text))
    return found


def _add_addresses(home: Home, key: bytes, people: dict[str, str], pairs: dict[str, str], found: set[str]) -> bool:
    """Add those addresses that are the people's own; whether there were any."""
    new = {one for one in found - pairs.keys() if not one.startswith("forgotten-")}
    if not new:
        return False
    with opened_raw(home) as connection:
        own = [one for one in sorted(new) if not _is_shared(connection, one, pairs)]
    for one in own:
        people.setdefault(keyed_hash(key, one), f"forgotten-{secrets.token_hex(8)}")
        pairs[one] = people[keyed_hash(key, one)]
    return bool(own)


def _is_shared(connection: duckdb.DuckDBPyConnection, address: str, pairs: dict[str, str]) -> bool:
    others = 0
    for table, columns in _tables_of_people():
        row = connection.execute(
            f"select count(distinct {sql_name(columns[0])}) from {table} where contains(lower(_extra), $1)"
            f" and not list_contains($2, {sql_name(columns[0])})",
            [address, list(pairs)],
        ).fetchone()
        others = max(others, row[0] if row else 0)
    return others > SHARED_BY


def _tables_of_people() -> Iterator[tuple[str, list[str]]]:
    """(table, its columns of customers' ids), histories too."""
    for contract in CONTRACTS.values():
        columns = [name for name in contract.names if name in CUSTOMER_IDS]
        if columns:
            yield f"raw.{contract.dataset}", columns
            yield f"raw.{contract.dataset}_history", columns


@dataclass
class _Doors:
    """The doors of all sources for people who are being forgotten."""

    home: Home
    settings: Settings
    key: bytes
    people: dict[str, str]
    names: Names
    emails: set[str] = field(default_factory=set)

    def of(self, name: str) -> Door:
        door = door_of(self.home, self.settings, name)
        return Door(
            door.ids,
            self.key,
            columns=door.columns,
            kept=door.kept,
            forgotten=self.people,
            names=self.names,
            emails=self.emails,
        )


def _rewritten_archive(home: Home, doors: _Doors) -> dict[str, tuple[str, Path, Path]]:
    """New copies of the archived files that name somebody, beside the old ones: by the old checksum (new one, old path,
    new path)."""
    sources = _sources_of_copies(home)
    found: dict[str, tuple[str, Path, Path]] = {}
    files = archived_files(home)
    found |= _rewritten_pulls(home, doors, sources, [one for one in files if is_packed(one)])
    for path in (one for one in files if one.suffix != ENDING and not is_packed(one)):
        sha256 = path.name.split(".")[0]
        name = sources.get(sha256) or _first_source(doors.settings, path.parent.name)
        if name is None:
            continue
        made = _through(path, doors.of(name), doors.settings.read_source(name), home)
        if made is not None:
            new = checksum(made)
            target = path.with_name(f"{new}{path.name[len(sha256) :]}")
            os.replace(made, target)
            found[sha256] = (new, path, target)
    for path in (one for one in files if one.suffix == ENDING):
        parts = parts_of(path)
        renamed = {
            relation: [found[one.split(".")[0]][2].name if one.split(".")[0] in found else one for one in names]
            for relation, names in parts.items()
        }
        if renamed != parts:
            target = written(renamed, path.parent)
            found[path.stem] = (target.stem, path, target)
    return found


def _rewritten_pulls(
    home: Home, doors: _Doors, sources: dict[str, str], files: list[Path]
) -> dict[str, tuple[str, Path, Path]]:
    """The same of packed copies, and of those that are the difference from one that is rewritten."""
    found: dict[str, tuple[str, Path, Path]] = {}
    scratch = home.warehouse / "forget.pulls"
    with Unpacked(scratch / "before") as before, Unpacked(scratch / "after") as after:
        for path in in_order(files):
            sha256, base = checksum_of(path), base_of(path)
            name = sources.get(sha256) or _first_source(doors.settings, path.parent.name)
            if name is None:
                continue
            plain = before.plain(path)
            made = _through(plain, doors.of(name), doors.settings.read_source(name), home)
            new = checksum(made) if made else sha256
            new_base = found[base][0] if base in found else base
            if new == sha256 and new_base == base:
                continue
            earlier = copy_in(path.parent, new_base) if new_base else None
            near = (new_base, after.plain(earlier)) if new_base and earlier else None
            found[sha256] = (new, path, pack(made or plain, new, path.parent, near))
            if made:
                made.unlink()
    shutil.rmtree(scratch, ignore_errors=True)
    return found


def _through(path: Path, door: Door, source: Source, home: Home) -> Path | None:
    """A rewritten file in a scratch folder; None where it names nobody, or cannot be read."""
    file_format = format_of(path, source) if isinstance(source, FileSource) else "csv"
    if file_format is None or (
        path.suffix in (".csv", ".txt", ".jsonl", ".json", ".ndjson") and not _names(path, door)
    ):
        return None
    made = door.through(path, file_format, source, home.warehouse / "forget.scratch")
    return made if made != path else None


def _names(path: Path, door: Door) -> bool:
    """Whether the bytes of a file that is not packed hold anything of the people at all."""
    assert door.names is not None
    wanted = [one.lower() for one in door.names.pairs]
    if not all(one.isascii() for one in wanted):
        return True
    signs = [one.encode() for one in wanted] + [one.encode("utf-16-le") for one in wanted]
    return _contains(path, signs)


def _contains(path: Path, signs: list[bytes]) -> bool:
    overlap = max(len(one) for one in signs)
    before = b""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            looked = (before + block).lower()
            if any(one in looked for one in signs):
                return True
            before = block[-overlap:]
    return False


def _sources_of_copies(home: Home) -> dict[str, str]:
    with opened_raw(home) as connection:
        return dict(connection.execute("select sha256, source from raw.ledger where sha256 is not null").fetchall())


def _first_source(settings: Settings, dataset: str) -> str | None:
    return next((name for name in settings.sources if settings.dataset_of(name) == dataset), None)


def _forget_in_raw(home: Home, settings: Settings, names: Names, checksums: dict[str, str]) -> None:
    """Other ids in all tables, and the file written anew: what was deleted would still stand in its free blocks."""
    kept = [one for one in settings.segments or () if re.fullmatch(r"\w+", one)]
    objects = ", ".join(f"{sql_text(one)}: json_extract_string(_extra, {sql_text('$.' + one)})" for one in kept)
    emptied = f"to_json({{{objects}}})" if kept else "null"
    made = home.warehouse / "raw.forgetting.duckdb"
    with closing(open_raw(home.raw_file)) as connection:
        connection.execute("begin transaction")
        _pairs_table(connection, names, checksums)
        for table, columns in _tables_of_people():
            named = " or ".join(f"{sql_name(one)} in (select id from forgotten_ids)" for one in columns)
            connection.execute(f"update {table} set _extra = {emptied} where _extra is not null and ({named})")
            for column in columns:
                _exchange(connection, table, column)
        _exchange(connection, "raw.customer_keys", "customer_id")
        for table in ("ledger", "deliveries", "quarantine"):
            connection.execute(f"update raw.{table} set sha256 = new_sha from forgotten_files where sha256 = old_sha")
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


def _rewrite_landing(home: Home, settings: Settings, doors: _Doors) -> int:
    """Delivered files that lie in the home; those elsewhere belong to somebody else."""
    number = 0
    for name in settings.sources:
        source = settings.read_source(name)
        if not isinstance(source, FileSource):
            continue
        door = doors.of(name)
        for paths in [source.paths, *source.input_paths.values()]:
            asked = source.model_copy(update={"path": paths, "settle_seconds": 0})
            for file in delivered_files(home, asked):
                is_ours = file.stored is None and file.problem is None and file.path.resolve().is_relative_to(home.root)
                made = _through(file.path, door, source, home) if is_ours else None
                if made is not None:
                    shutil.copymode(file.path, made)
                    os.replace(made, file.path.resolve())
                    number += 1
    shutil.rmtree(home.warehouse / "forget.scratch", ignore_errors=True)
    return number


def _remove_put_aside(home: Home) -> None:
    """Former files that were kept for safety."""
    for path in [
        *home.warehouse.glob("raw.replaced.duckdb*"),
        *home.root.rglob("*.damaged-*"),
        home.root / "lost+found",
    ]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _forget_in_generation(home: Home, names: Names, checksums: dict[str, str]) -> int:
    """The published generation with other ids, as the next one; all others are deleted."""
    number = generations.next_number(home)
    generations.discard(home)
    generations.check_space(home)
    generations.copy_file(home.current.resolve(), home.next_file)
    home.next_file.chmod(0o600)
    with opened(home.next_file) as connection:
        connection.execute("begin transaction")
        _pairs_table(connection, names, checksums)
        connection.execute("update pipeline_loads set sha256 = new_sha from forgotten_files where sha256 = old_sha")
        database = connection.execute("select current_database()").fetchone()
        assert database is not None
        for table, column in connection.execute(
            """
            select columns.table_name, columns.column_name
            from duckdb_columns() as columns
                join duckdb_tables() as tables using (database_name, schema_name, table_name)
            where columns.database_name = $1 and columns.schema_name = 'main' and columns.data_type = 'VARCHAR'
                and (columns.column_name like '%customer_id' or columns.column_name in ('alias_id', 'referred_by'))
            """,
            [database[0]],
        ).fetchall():
            _exchange(connection, sql_name(table), column)
        for table in (RESTATED_ROWS, PENDING_ROWS):
            if table in tables_in(connection):
                _exchange_in_keys(connection, table)
        _replace_words(connection, database[0], "main", names)
        connection.execute("update pipeline_state set generation = $1", [number])
        connection.execute("commit")
        connection.execute("checkpoint")
    generations.settle(home)
    if not compact(home):
        generations.discard(home)
        raise NotForgotten(
            "there is not enough space to rewrite the published file; free some and run the same command again"
        )
    generations.publish(home, number, keep=1)
    for one in generations.generations(home):
        if not one.is_current:
            one.path.unlink()
    return number


def _forget_in_history(connection: duckdb.DuckDBPyConnection, table: str, names: Names) -> None:
    """The rows behind restatements, of one publication."""
    _pairs_table(connection, names, {})
    columns = {name for name, *_ in connection.execute(f"describe {table}").fetchall()}
    if {"customer_id", "row_key"} <= columns:
        _exchange(connection, table, "customer_id")
        _exchange_in_keys(connection, table)
    _replace_words(connection, "memory", "main", names)


def _exchange_in_keys(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Ids that are part of a row's key, of the datasets whose keys name customers."""
    datasets = [one.dataset for one in CONTRACTS.values() if set(one.key) & one.customer_columns.keys()]
    words, word = "' ' || row_key || ' '", "' ' || {} || ' '"
    changed = f"replace({words}, {word.format('id')}, {word.format('name')})"
    connection.execute(
        f"update {table} set row_key = {changed}[2:-2] from forgotten_ids "
        f"where list_contains($1, dataset) and contains({words}, {word.format('id')})",
        [datasets],
    )


def _forget_in_texts(home: Home, names: Names) -> None:
    """Records, logs, alerts, and Dagster's tables."""
    if names.pattern is None:
        return
    for folder in (home.runs, home.alerts, home.dagster):
        for path in folder.rglob("*") if folder.exists() else ():
            if path.suffix == ".db" and path.is_file():
                _forget_in_sqlite(path, names)
            elif path.is_file() and not path.name.endswith(("-wal", "-shm")):
                with suppress(UnicodeDecodeError):
                    text = path.read_text(encoding="utf-8")
                    changed = names.in_text(text)
                    if changed != text:
                        path.write_text(changed, encoding="utf-8")


def _forget_in_sqlite(path: Path, names: Names) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("without_them", 1, names.in_text, deterministic=True)
        hit = False
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            for _, column, kind, *_ in connection.execute(f"pragma table_info({sql_name(table)})").fetchall():
                if kind.upper().startswith(("VARCHAR", "TEXT", "CHAR")):
                    name = sql_name(column)
                    done = connection.execute(
                        f"update {sql_name(table)} set {name} = without_them({name})"
                        f" where typeof({name}) = 'text' and without_them({name}) <> {name}"
                    )
                    hit = hit or done.rowcount > 0
        connection.commit()
        if hit:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")


def _still_named(home: Home, names: Names) -> list[Path]:
    """Files of the home whose bytes hold what means the person wherever it stands."""
    signs = [one.encode() for one in names.lowered if is_telling(one)]
    if not signs:
        return []
    files = [path for path in sorted(home.root.rglob("*")) if path.is_file() and not path.is_symlink()]
    found = [path for path in files if _contains(path, signs)]
    with Unpacked(home.warehouse / "forget.pulls") as unpacked:
        for path in in_order(one for one in archived_files(home) if is_packed(one)):
            if _contains(unpacked.plain(path), signs):
                found.append(path)
    return found
