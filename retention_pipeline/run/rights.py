"""What this process may not read or write of a home and its landing folders, and the command that lets it in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from retention_pipeline.ingest.landing import closed_paths
from retention_pipeline.run.machine import user
from retention_pipeline.settings import FileSource, Home, SettingsError, load_settings


def closed_in(home: Home, made: Iterable[Path]) -> Iterator[Path]:
    """Of the home and the folders that runs make in it, what may not be read, or not be written though a run writes to
    it; nothing of what is in a closed folder.
    """
    if not os.access(home.root, os.R_OK | os.W_OK | os.X_OK):
        yield home.root
        return
    if home.settings_file.exists() and not os.access(home.settings_file, os.R_OK):
        yield home.settings_file
    folders = [path for path in made if path.exists()]
    while folders:
        folder = folders.pop(0)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield folder
            continue
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink():
                folders.append(path)
            elif path.exists() and not os.access(path, os.R_OK | (os.W_OK if _is_changed(path) else 0)):
                yield path


def _is_changed(path: Path) -> bool:
    """Whether a run writes to a file in place; all others are made anew under their name."""
    return path.name in ("raw.duckdb", "writer.lock") or path.suffix == ".db"


def closed_landing(home: Home) -> Iterator[Path]:
    """What sources of files name and may not be read; nothing where the settings cannot be read, which is told."""
    try:
        settings = load_settings(home)
    except (SettingsError, OSError):
        return
    for name in settings.sources:
        source = settings.read_source(name)
        if isinstance(source, FileSource):
            yield from closed_paths(home, source)


def let_in(path: Path) -> str:
    """The command by which a path may be read and written: its owner may change its mode, root its owner."""
    is_own = path.lstat().st_uid == os.geteuid()
    return f"chmod -R u+rwX {path}" if is_own else f"chown -R {user()} {path}"
