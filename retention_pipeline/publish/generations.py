"""Generations of the warehouse: the working file next.duckdb, the published files and the link current.duckdb.

Nothing ever writes to a published file. What becomes of a run is decided by one rename, that of the link; before it
the last good generation is current, whatever happened, and after it the new one is.
"""

import errno
import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retention_pipeline import formatting
from retention_pipeline.settings import Home, without_others
from retention_pipeline.testing import stop_for_test
from retention_pipeline.warehouse import attach, create_database, drop_named, opened, sql_text, tables_in

# Tables that are not a function of raw and as_of: they go from generation to generation, also through a full refresh.
CARRIED_TABLES = (
    "retention_kpis",
    "retention_kpi_history",
    "publications",
    "pending_restatements",
    "pending_restatement_rows",
    "kpi_definition_history",
    "restatements",
    "restatement_rows",
    "rfm_cut_points",
)
NOTE_OF_RESTORE = ".restored"  # in published/: the highest generation that `restore` went back behind
CARRIED_PREFIX = "kpi_cells_"  # the cells from which retention_kpis was computed, one table per family
_FICLONE = 0x40049409  # Linux: let two files share their blocks until one of them changes
_GENERATION = re.compile(r"g(\d+)\.duckdb")
_IN_HISTORY = re.compile(r"-g(\d+)\.parquet$")
_SPARE_BYTES = 64 * 1024 * 1024
_COPIED_AT_ONCE = 8 * 1024 * 1024


class NotEnoughSpace(Exception):
    """The disk is too full to build a generation; str() says how much is needed."""


@dataclass(frozen=True)
class Generation:
    """A published file."""

    number: int
    path: Path
    is_current: bool
    bytes: int


def generations(home: Home) -> list[Generation]:
    """The kept generations, oldest first."""
    current = current_number(home)
    found = []
    for path in home.published.glob("g*.duckdb") if home.published.exists() else ():
        match = _GENERATION.fullmatch(path.name)
        if match:
            number = int(match.group(1))
            found.append(Generation(number, path, number == current, path.stat().st_size))
    return sorted(found, key=lambda generation: generation.number)


def current_number(home: Home) -> int | None:
    """The generation that current.duckdb points to, None before the first one."""
    if not home.current.exists():
        return None
    match = _GENERATION.fullmatch(home.current.resolve().name)
    return int(match.group(1)) if match else None


def next_number(home: Home) -> int:
    """The number of the generation that is built now: one above every number that was ever published and is known, be
    it only from the history's file in the archive.
    """
    kept = [generation.number for generation in generations(home)]
    archived = [_IN_HISTORY.search(path.name) for path in (home.archive / "history").glob("*.parquet")]
    return max([*kept, *(int(found[1]) for found in archived if found)], default=0) + 1


def sweep(home: Home) -> list[Path]:
    """Remove what a killed run left: the working file, temporary links and files, a generation that never became
    current.

    A generation above the current one is an orphan unless `restore` went back behind it (it leaves a note of the
    highest). Where no link says which one is current, none is.
    """
    orphans = [path for path in home.warehouse.glob("next.duckdb*") if home.warehouse.exists()]
    if home.published.exists():
        orphans += [path for path in home.published.iterdir() if path.name.startswith(".")]
        current = current_number(home)
        if current is not None:
            highest = max(current, restored_from(home))
            orphans += [generation.path for generation in generations(home) if generation.number > highest]
        orphans = [path for path in orphans if path.name != NOTE_OF_RESTORE]
    for path in orphans:
        _remove(path)
    return orphans


def check_space(home: Home) -> None:
    """Raise NotEnoughSpace unless a second copy of the generation, what the build rewrites and some spare room fit."""
    base = home.current if home.current.exists() else home.raw_file
    size = base.stat().st_size if base.exists() else 0
    needed = 2 * size + _SPARE_BYTES
    free = shutil.disk_usage(home.warehouse).free
    if free < needed:
        raise NotEnoughSpace(
            f"{home.warehouse}: not enough space: {formatting.size(free)} are free, building a generation needs"
            f" {formatting.size(needed)} (twice the published file, and some to spare). What is published stays as it"
            " is. Free some space or lower publish.keep_generations, then:"
            f" retention run --home {home.root}"
        )


def begin(home: Home, *, full_refresh: bool, by_same_code: bool = False) -> Path:
    """Make `next.duckdb`: a copy of the published generation; for a full refresh a file with the carried tables only,
    which is a copy without the others where the code that is here made what is published, else a new file.

    Sweeps orphans and checks for space first. Returns the path.
    """
    home.warehouse.mkdir(parents=True, exist_ok=True)
    home.published.mkdir(parents=True, exist_ok=True)
    sweep(home)
    check_space(home)
    stop_for_test("begin")
    if home.current.exists() and (by_same_code or not full_refresh):
        copy_file(home.current.resolve(), home.next_file)
        home.next_file.chmod(without_others(0o644))
        if full_refresh:
            _drop_all_but_carried(home.next_file)
    else:
        create_database(home.next_file)
        if home.current.exists():
            _carry(home.current.resolve(), home.next_file)
    stop_for_test("copy")
    return home.next_file


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, sharing blocks where the file system can (reflink), else inside the kernel (sendfile).

    Raises OSError with the target's name, where there turns out to be too little space.
    """
    with open(source, "rb") as reading, open(target, "wb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
            return
        except OSError as error:
            if error.errno not in {
                errno.EOPNOTSUPP,
                errno.EXDEV,
                errno.EINVAL,
                errno.ENOTTY,
                errno.ENOSYS,
                errno.EPERM,
            }:
                raise
        offset, size = 0, os.fstat(reading.fileno()).st_size
        try:
            while offset < size:
                offset += os.sendfile(writing.fileno(), reading.fileno(), offset, min(size - offset, _COPIED_AT_ONCE))
                stop_for_test("copying")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error  # sendfile names no file


def publish(home: Home, number: int, *, keep: int) -> Path:
    """Turn the audited `next.duckdb` into generation `number` and make it current; returns the published path.

    Only schema main is published; other schemas hold views over raw, which no reader can open. In this order, so that a
    kill in between leaves either the old or the new generation current and complete: checkpoint, fsync, rename, swap
    the link, prune.
    """
    settle(home)
    fsync(home.next_file)
    stop_for_test("checkpoint")
    home.next_file.chmod(without_others(0o444))
    path = home.published / f"g{number}.duckdb"
    os.rename(home.next_file, path)
    fsync(home.published)
    stop_for_test("rename")
    point_current_at(home, path)
    (home.published / NOTE_OF_RESTORE).unlink(missing_ok=True)
    stop_for_test("link")
    prune(home, keep)
    return path


def settle(home: Home) -> None:
    """Drop what is not published from `next.duckdb`, and write it out."""
    with opened(home.next_file) as connection:
        _drop_unpublished_schemas(connection)
        connection.execute("checkpoint")


def point_current_at(home: Home, path: Path) -> None:
    """Swap the link current.duckdb in one step; connections to the file it pointed to go on reading that file."""
    link = home.published / ".current"
    link.unlink(missing_ok=True)
    link.symlink_to(path.name)
    os.rename(link, home.current)
    fsync(home.published)


def prune(home: Home, keep: int) -> list[Path]:
    """Remove the oldest generations until `keep` are left, never the current one."""
    old = [generation.path for generation in generations(home)[:-keep] if not generation.is_current]
    for path in old:
        _remove(path)
    return old


def discard(home: Home) -> None:
    """Delete the working file: what a failed run built."""
    for path in home.warehouse.glob("next.duckdb*"):
        _remove(path)


def restored_from(home: Home) -> int:
    """The highest generation that `restore` went back behind, 0 if it did not."""
    note = home.published / NOTE_OF_RESTORE
    text = note.read_text(errors="replace").strip() if note.exists() else ""
    return int(text) if text.isdigit() else 0


def _carry(previous: Path, target: Path) -> None:
    with opened(target) as connection:
        attach(connection, previous, "previous")
        for table in sorted(filter(_is_carried, tables_in(connection, database="previous"))):
            definition = connection.execute(
                f"select sql from duckdb_tables() where database_name = 'previous' and table_name = {sql_text(table)}"
            ).fetchone()
            if definition:
                connection.execute(definition[0])
                connection.execute(f"insert into {table} by name select * from previous.{table}")


def _drop_all_but_carried(file: Path) -> None:
    """A tenth of what it costs to write the carried rows into a new file; the freed blocks are used again."""
    with opened(file) as connection:
        connection.begin()
        drop_named(connection, lambda name: not _is_carried(name))
        connection.commit()
        connection.execute("checkpoint")


def _is_carried(table: str) -> bool:
    return table in CARRIED_TABLES or table.startswith(CARRIED_PREFIX)


def _drop_unpublished_schemas(connection: duckdb.DuckDBPyConnection) -> None:
    schemas = connection.execute(
        "select schema_name from duckdb_schemas() "
        "where database_name = current_database() and not internal and schema_name <> 'main'"
    ).fetchall()
    for (schema,) in schemas:
        connection.execute(f'drop schema "{schema}" cascade')


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Make a file or a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
