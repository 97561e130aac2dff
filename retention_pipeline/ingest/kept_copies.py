"""How long copies stay in the archive (`keep.archive`), and which an operator or that setting has given up."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path

from retention_pipeline.ingest.joined import ENDING, parts_of
from retention_pipeline.ingest.packed import checksum_of, without
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import opened_raw


def lost_file(home: Home) -> Path:
    """The checksums of copies that are gone for good, one a line: an operator said so, or they were older than
    `keep.archive`."""
    return home.archive / "lost.txt"


def known_as_lost(home: Home) -> set[str]:
    """What stands in lost_file."""
    try:
        return set(lost_file(home).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return set()


def note_as_lost(home: Home, checksums: set[str]) -> None:
    home.archive.mkdir(exist_ok=True)
    listed = sorted(checksums | known_as_lost(home))
    lost_file(home).write_text("".join(f"{one}\n" for one in listed), encoding="utf-8")


def remove_old_copies(home: Home, settings: Settings, now: datetime) -> int:
    """Remove the copies of loads that are older than `keep.archive`, all but the last load's of each source; returns
    how many. They are noted first, so that nobody looks for them. now: naive UTC."""
    if settings.keep.archive is None or not home.raw_file.exists():
        return 0
    with opened_raw(home) as connection:
        rows = connection.execute(
            """
            select dataset, sha256 from raw.ledger where sha256 is not null and status = 'loaded'
            group by all
            having max(finished_at) < $1 and max(load_id) not in (
                select max(load_id) from raw.ledger where status = 'loaded' group by dataset, source
            )
            """,
            [now - settings.keep.archive],
        ).fetchall()
    lost = known_as_lost(home)
    leaving: dict[str, set[str]] = defaultdict(set)
    for dataset, sha256 in rows:
        if sha256 not in lost:
            leaving[dataset].add(sha256)
    if leaving:
        note_as_lost(home, set().union(*leaving.values()))
    for dataset, found in leaving.items():
        folder = home.archive / dataset
        without(folder, found | _unused_parts(folder, found), home.warehouse / "raw.scratch" / "packing")
    return sum(len(found) for found in leaving.values())


def _unused_parts(folder: Path, leaving: set[str]) -> set[str]:
    """Parts of joined deliveries that leave, and that none of those that stay has."""
    gone: set[str] = set()
    needed: set[str] = set()
    for path in folder.glob(f"*{ENDING}"):
        parts = {checksum_of(folder / name) for names in parts_of(path).values() for name in names}
        (gone if checksum_of(path) in leaving else needed).update(parts)
    return gone - needed
