"""What stored sums depend on besides the rows: settings and models. A changed fingerprint means a full refresh."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from retention_pipeline.settings import Settings, figure_settings
from retention_pipeline.transform.arguments import resolved_segments

MODEL_FOLDERS = ("models", "macros", "seeds")


def settings_fingerprint(settings: Settings, datasets: Iterable[str]) -> str:
    """16 hex digits over everything in the settings that moves figures, with the connected datasets and dimensions."""
    connected = sorted(datasets)
    moving = {
        "settings": figure_settings(settings),
        "datasets": connected,
        "segments": resolved_segments(settings.segments, connected),
    }
    return _digest(json.dumps(moving, sort_keys=True, default=str).encode())


def code_fingerprint(project_dir: Path) -> str:
    """16 hex digits over dbt's models, macros and seeds: whatever decides what a stored sum means (not tests, not
    KPIs).
    """
    return _digest(*_files(project_dir, *(f"{folder}/**/*" for folder in MODEL_FOLDERS), "dbt_project.yml"))


def _files(folder: Path, *patterns: str) -> list[bytes]:
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return [
        f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes()
        for path in paths
        if path.suffix in {".sql", ".yml", ".csv", ".py"}
    ]


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]
