"""The folder of one environment, and what variables say: where it is, and how much memory DuckDB may use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from retention_pipeline.settings.kinds import SettingsError

OWNER_ONLY, OWNER_AND_GROUP = 0o077, 0o027  # taken from the rights of new files
MEMORY_VARIABLE = "RETENTION_MEMORY_LIMIT"
LARGEST_MEMORY_LIMIT_GB = 8  # 100 million orders need no more; DuckDB spills to disk beyond it


def memory_limit() -> str:
    """What DuckDB may use, as it writes it ('6GB'): RETENTION_MEMORY_LIMIT of the environment, else half of the memory,
    at most LARGEST_MEMORY_LIMIT_GB.
    """
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**31
    return os.environ.get(MEMORY_VARIABLE) or f"{max(1, min(LARGEST_MEMORY_LIMIT_GB, gigabytes))}GB"


def keep_private(*, with_group: bool) -> None:
    """From here on this process makes files for its user alone, with_group: which their group may read."""
    os.umask(OWNER_AND_GROUP if with_group else OWNER_ONLY)


def without_others(mode: int) -> int:
    """A mode without the rights that new files of this process do not give."""
    taken = os.umask(OWNER_ONLY)
    os.umask(taken)
    return mode & ~taken


@dataclass(frozen=True)
class Home:
    """The folder of one environment and the places in it."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "settings.yaml"

    @property
    def settings_copy(self) -> Path:
        """The settings of the last publication, for when settings.yaml is lost."""
        return self.warehouse / "settings.yaml"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def raw_file(self) -> Path:
        return self.warehouse / "raw.duckdb"

    @property
    def next_file(self) -> Path:
        return self.warehouse / "next.duckdb"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def current(self) -> Path:
        return self.published / "current.duckdb"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def alerts(self) -> Path:
        return self.root / "alerts"

    @property
    def incidents_file(self) -> Path:
        return self.alerts / "incidents.json"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"


def resolve_home(home: str | Path | None) -> Home:
    """The environment to work in: the argument, else the variable RETENTION_HOME, else the current folder.

    Raises SettingsError for a path that DuckDB takes for another: it ends at a question mark, and \\ is / to it.
    """
    root = Path(home or os.environ.get("RETENTION_HOME") or ".").expanduser().resolve()
    if found := next((sign for sign in "?\\" if sign in str(root)), None):
        raise SettingsError(f"the home {root} has a {found} in its path, which DuckDB cannot open: choose another")
    return Home(root)
