"""The files of a home in which people are named: archived and delivered ones, records, logs, Dagster's. They are
rewritten without them, and searched in the end.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from retention_pipeline.ingest.archive import checksum
from retention_pipeline.ingest.door import Door, Names, door_of, is_telling
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
)
from retention_pipeline.ingest.rebuild import archived_files
from retention_pipeline.ingest.through_the_door import through
from retention_pipeline.settings import FileSource, Home, Settings, Source
from retention_pipeline.warehouse import opened, opened_raw, sql_name, sql_text

BLOCK = 1 << 22


@dataclass
class Doors:
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


def rewritten_archive(home: Home, doors: Doors) -> dict[str, tuple[str, Path, Path]]:
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
    home: Home, doors: Doors, sources: dict[str, str], files: list[Path]
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
    made = through(door, path, file_format, source, home.warehouse / "forget.scratch")
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


def rewrite_landing(home: Home, settings: Settings, doors: Doors) -> int:
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


def remove_put_aside(home: Home) -> None:
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


def forget_in_texts(home: Home, names: Names) -> None:
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


def still_named(home: Home, names: Names) -> list[Path]:
    """Files of the home whose bytes hold what means the person wherever it stands."""
    signs = [one.encode() for one in names.lowered if is_telling(one)]
    if not signs:
        return []
    files = [path for path in sorted(home.root.rglob("*")) if path.is_file() and not path.is_symlink()]
    found = [path for path in files if _contains(path, signs)]
    for path in (one for one in files if one.suffix == ".parquet" and one not in found):
        with opened(Path(":memory:")) as connection:
            hit = connection.execute(
                f"""
                from read_parquet({sql_text(str(path))}) as copied
                where exists (from unnest($1) as t(sign) where contains(lower(cast(copied as varchar)), sign)) limit 1
                """,
                [[sign.decode() for sign in signs]],
            ).fetchone()
        if hit is not None:
            found.append(path)
    with Unpacked(home.warehouse / "forget.pulls") as unpacked:
        for path in in_order(one for one in archived_files(home) if is_packed(one)):
            if _contains(unpacked.plain(path), signs):
                found.append(path)
    return found
