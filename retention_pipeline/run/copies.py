"""The archived copies of what was delivered: which have other bytes than their names say, and which are missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from retention_pipeline.ingest.archive import checksum
from retention_pipeline.ingest.joined import ENDING, parts_of
from retention_pipeline.ingest.kept_copies import known_as_lost
from retention_pipeline.ingest.landing import delivered_files
from retention_pipeline.ingest.packed import Unpacked, in_order
from retention_pipeline.ingest.rebuild import archived_files
from retention_pipeline.settings import FileSource, Home, SettingsError, load_settings
from retention_pipeline.warehouse import opened_raw


@dataclass(frozen=True)
class Missing:
    """A copy that is not there. folder: where it belongs; told: its name in words."""

    folder: Path
    told: str


@dataclass(frozen=True)
class Copies:
    """All archived files, and by checksum those that are damaged and those that raw or a joined delivery needs and that
    are not there.
    """

    files: list[Path]
    damaged: dict[str, Path]
    missing: dict[str, Missing]


def look_at_copies(home: Home) -> Copies:
    """Read every byte of the archive."""
    files = archived_files(home)
    with Unpacked.to_look_at(home) as unpacked:
        damaged = {path.name.split(".")[0]: path for path in in_order(files) if not unpacked.is_whole(path)}
    there = {path.name.split(".")[0] for path in files}
    missing = {
        sha256: Missing(home.archive / dataset, f"{home.archive / dataset / sha256}: gone, {name}")
        for sha256, dataset, name in _archived_loads(home)
        if sha256 not in there
    }
    for path in files:
        if path.suffix == ENDING and path.name.split(".")[0] not in damaged:
            parts = [path.parent / name for names in parts_of(path).values() for name in names]
            missing |= {part.name.split(".")[0]: Missing(path.parent, str(part)) for part in parts if not part.exists()}
    return Copies(files, damaged, missing)


def _archived_loads(home: Home) -> list[tuple[str, str, str]]:
    """(checksum, dataset, name) of the loads whose copies a rebuild would need."""
    if not home.raw_file.exists():
        return []
    try:
        with opened_raw(home) as connection:
            left_out = known_as_lost(home)
            rows = connection.execute(
                "select distinct on (sha256) sha256, dataset, file_name from raw.ledger"
                " where status = 'loaded' and sha256 is not null order by sha256, load_id"
            ).fetchall()
        return [row for row in rows if row[0] not in left_out]
    except duckdb.Error:
        return []


def originals(home: Home) -> dict[str, Path]:
    """The files that still lie in landing folders, by checksum."""
    try:
        settings = load_settings(home)
    except SettingsError:
        return {}
    found = {}
    for source in settings.sources.values():
        if isinstance(source, FileSource):
            for paths in [source.paths, *source.input_paths.values()]:
                for file in delivered_files(home, source.model_copy(update={"path": paths})):
                    if file.problem is None and file.stored is None:
                        found[checksum(file.path)] = file.path
    return found
