"""dbt's parsed project, made once per state of `dbt_project/` and shared by Dagster's definitions and the build.

Parsing takes seconds and its result depends only on the project's files (settings reach the models as vars when they
run), so it is kept in a folder named after their fingerprint and never written twice. Nothing is run here.
"""

import hashlib
import json
import os
import pickle
import shutil
import stat
import tempfile
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
PARSED_FILES = ("manifest.json", "manifest.pickle")  # as Dagster reads it, and as dbt does
KEPT_STATES = 8
# Parsing opens none of them, but the database's name, that of the file, becomes part of every relation.
FILES = {
    "RETENTION_WAREHOUSE_FILE": "next.duckdb",
    "RETENTION_RAW_FILE": "raw.duckdb",
    "RETENTION_PREVIOUS_FILE": "empty.duckdb",
}


class ManifestError(Exception):
    """The dbt project does not parse; the text is dbt's."""


def project_fingerprint(project: Path = PROJECT) -> str:
    """16 hex digits over dbt's version and every file of the project that parsing reads."""
    digest = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')} {FILES} {PARSED_FILES}".encode())
    for path in sorted(project.rglob("*")):
        inside = path.relative_to(project)
        if path.suffix in {".sql", ".yml", ".csv"} and inside.parts[0] not in {"target", "logs", "dbt_packages"}:
            digest.update(f"\n{inside.as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def parsed_project(project: Path = PROJECT) -> Path:
    """The folder with PARSED_FILES of the project as it stands; parses if need be."""
    fingerprint = project_fingerprint(project)
    stores = _stores(project)
    for store in stores:
        parsed = [store / fingerprint, *(store / fingerprint / name for name in PARSED_FILES)]
        if all(is_trusted(path) for path in parsed):
            return store / fingerprint
    store, building = _writable_folder(stores)
    try:
        _parse(project, building)
        _pickle_manifest(building)
        for path in building.iterdir():
            if path.name not in PARSED_FILES:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        building.chmod(0o755)
        try:
            building.rename(store / fingerprint)
        except OSError:  # another process was faster; both parsed the same files
            shutil.rmtree(building)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _forget_old_states(store)
    return store / fingerprint


def manifest_json(project: Path = PROJECT) -> dict[str, Any]:
    """dbt's manifest as Dagster reads it: nodes, sources, tests and what depends on what."""
    return _read_manifest_json(parsed_project(project) / "manifest.json")


def manifest_object(project: Path = PROJECT) -> Any:
    """A fresh `dbt.contracts.graph.manifest.Manifest` for `dbtRunner(manifest=…)`, which then parses nothing.

    Values of vars given to the run reach the SQL of models and tests; what a var decides while parsing (`enabled`,
    arguments of tests in YAML) keeps the default of `dbt_project.yml`.
    """
    from dbt.contracts.graph.manifest import Manifest

    manifest = Manifest()
    vars(manifest).update(pickle.loads((parsed_project(project) / "manifest.pickle").read_bytes()))
    return manifest


@lru_cache(maxsize=2)
def _read_manifest_json(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def _stores(project: Path) -> list[Path]:
    """Beside the project; for an installation that may not be written to, the user's cache, else a temporary folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [
        project / "target" / "parsed",
        cache / "retention-pipeline" / "parsed",
        Path(tempfile.gettempdir()) / f"retention-pipeline-{os.getuid()}" / "parsed",
    ]


def is_trusted(path: Path) -> bool:
    """Whether a file or folder is there and belongs to the user, or to root, who installed it: what it says is run."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(status.st_mode) and status.st_uid in (os.getuid(), 0)


def _writable_folder(stores: list[Path]) -> tuple[Path, Path]:
    for store in stores:
        try:
            store.mkdir(parents=True, exist_ok=True)
            if not (is_trusted(store) and is_trusted(store.parent)):
                continue  # somebody else made it, and could change what is put there
            return store, Path(tempfile.mkdtemp(prefix=".parsing-", dir=store))
        except OSError:
            continue
    raise ManifestError(f"Nowhere to keep the parsed dbt project: none of {', '.join(map(str, stores))} is writable")


def _forget_old_states(store: Path) -> None:
    for folder in sorted(store.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime)[:-KEPT_STATES]:
        shutil.rmtree(folder, ignore_errors=True)


def _pickle_manifest(folder: Path) -> None:
    """Keep what a manifest holds, but its lock: it is read in a fifth of the time that dbt's own format takes."""
    from dbt.contracts.graph.manifest import Manifest

    manifest = Manifest.from_msgpack((folder / "partial_parse.msgpack").read_bytes())
    held = {name: value for name, value in vars(manifest).items() if name != "_lock"}
    (folder / "manifest.pickle").write_bytes(pickle.dumps(held, protocol=5))


def _parse(project: Path, target: Path) -> None:
    """`dbt parse` in this process."""
    from dbt.cli.main import dbtRunner

    arguments = ["--quiet", "--no-use-colors", "parse", "--no-partial-parse"]
    folders = {"project-dir": project, "profiles-dir": project, "target-path": target, "log-path": target / "logs"}
    for name, path in folders.items():
        arguments += [f"--{name}", str(path)]
    before = {name: os.environ.get(name) for name in FILES}
    os.environ.update(FILES)
    try:
        result = dbtRunner().invoke(arguments)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
    if not result.success:
        raise ManifestError(f"The dbt project in {project} does not parse: {result.exception or result.result}")
