"""What stored sums depend on besides the rows: settings and models. A changed fingerprint means a full refresh."""

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from retention_pipeline.settings import Settings, figure_settings
from retention_pipeline.transform.arguments import resolved_segments
from retention_pipeline.transform.manifest import project_fingerprint

MODEL_FOLDERS = ("models", "macros", "seeds")
TESTS = Path("macros/tests.sql")  # macros that no model calls
# Keys of dbt's YAML under which nothing stands that changes a model. Everything else counts.
WORDS = frozenset({"description", "docs", "data_tests", "tests", "unit_tests"})
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, where PyYAML has it


def settings_fingerprint(settings: Settings, datasets: Iterable[str]) -> str:
    """16 hex digits over everything in the settings that moves figures."""
    return _digest(json.dumps(moving_settings(settings, datasets), sort_keys=True, default=str).encode())


def moving_settings(settings: Settings, datasets: Iterable[str]) -> dict[str, Any]:
    """What in the settings moves figures, with the connected datasets and dimensions, as JSON-able values."""
    connected = sorted(datasets)
    return {
        "settings": figure_settings(settings),
        "datasets": connected,
        "segments": resolved_segments(settings.segments, connected),
    }


def code_fingerprint(project_dir: Path) -> str:
    """16 hex digits over dbt's models, macros and seeds: whatever decides what a stored sum means. Words about models,
    tests and KPIs do not, nor do comments in Jinja.
    """
    return _code_fingerprint(project_dir, project_fingerprint(project_dir))


@lru_cache(maxsize=4)
def _code_fingerprint(project_dir: Path, state: str) -> str:
    """Made once per process for files in one state: reading 120 YAML files takes half a second."""
    patterns = [f"{folder}/**/*" for folder in MODEL_FOLDERS]
    paths = sorted({path for pattern in (*patterns, "dbt_project.yml") for path in project_dir.glob(pattern)})
    return _digest(
        *(
            f"{path.relative_to(project_dir).as_posix()}\n".encode() + _meaning(path)
            for path in paths
            if path.suffix in {".sql", ".yml", ".csv", ".py"} and path.relative_to(project_dir) != TESTS
        )
    )


def _meaning(path: Path) -> bytes:
    """What of a file decides what is built."""
    if path.suffix == ".sql":
        return re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL).encode()
    if path.suffix == ".yml":
        content = yaml.load(path.read_bytes(), Loader=LOADER)
        return json.dumps(_without_words(content), sort_keys=True, default=str).encode()
    return path.read_bytes()


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_words(one) for key, one in value.items() if key not in WORDS}
    return [_without_words(one) for one in value] if isinstance(value, list) else value


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]
