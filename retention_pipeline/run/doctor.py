"""`retention doctor`: every part of a home looked at, what is wrong with it, and the one command that helps.

It takes no lock to look, reads every byte, and changes nothing; mending.py does what needs no choice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from retention_pipeline import formatting
from retention_pipeline.alerts import load as load_alerts
from retention_pipeline.history.archive import folder as history_folder
from retention_pipeline.ingest.rebuild import archived_files
from retention_pipeline.publish import generations
from retention_pipeline.publish.exports import export_folder
from retention_pipeline.publish.provenance import mismatch
from retention_pipeline.run.copies import look_at_copies, originals
from retention_pipeline.run.dagster_storage import damaged_storage
from retention_pipeline.run.lock import lock_holder
from retention_pipeline.run.machine import machine_error, user
from retention_pipeline.run.records import record_in
from retention_pipeline.run.rights import closed_in, closed_landing, let_in
from retention_pipeline.run.state import read_state
from retention_pipeline.settings import Home, Settings, SettingsError, load_settings
from retention_pipeline.warehouse import DamagedFile, damage, opened, opened_raw, sql_text

FINE, NOTE, BROKEN = "fine", "note", "broken"
SHOWN_AT_MOST = 20
# What a run leaves when it is killed; the next one removes it.
SCRATCH = ("next.duckdb*", "raw.scratch", "raw.spill", "unpacked-*", "forget.*", "raw.rebuilt.duckdb*", "*.new")


@dataclass(frozen=True)
class Finding:
    """What was seen of a part of the home. note: nobody is hindered by it. cure: the command that helps."""

    part: str
    state: Literal["fine", "note", "broken"]
    text: str
    cure: str | None = None


def examine(home: Home) -> list[Finding]:
    """What is fine and what is not, part by part; at least one finding for each part. Reads every byte of the home's
    databases and archive.
    """
    if not home.root.is_dir():
        what, elsewhere = ("does not exist", "") if not home.root.exists() else ("is not a folder", ".home")
        return [Finding("home", "broken", f"{home.root} {what}", f"retention init {home.root}{elsewhere}")]
    settings, findings = _settings(home)
    holder = lock_holder_of(home)
    for part, look in (
        ("rights", _rights),
        ("space", _space),
        ("raw", _raw),
        ("published", _published),
        ("copies", _copies),
        ("archive", _archive),
        ("history", _history),
        ("runs", _runs),
        ("alerts", _alerts),
        ("dagster", _dagster),
    ):
        findings += _looked(home, part, look)
    if settings is not None:
        findings += _looked(home, "raw and published", lambda place: _belonging(place, settings))
    findings += [_lock(home, holder), *_scratch(home, is_held=holder is not None)]
    return findings


def lock_holder_of(home: Home) -> dict[str, str] | None:
    """Who writes to the home; None also where the lock cannot be read, which `rights` tells."""
    try:
        return lock_holder(home)
    except OSError:
        return None


def _looked(home: Home, part: str, look: Callable[[Home], list[Finding]]) -> list[Finding]:
    """A part's findings; where it cannot even be looked at, why."""
    try:
        return look(home)
    except PermissionError as error:
        return [Finding(part, "note", f"{error.filename or home.root} may not be read: see rights")]
    except (OSError, duckdb.Error) as error:
        told = machine_error(home, error)
        text = str(told) if told else " ".join(str(error).split("\n")[0].split())
        return [Finding(part, "broken", text, None if told else _command(home, "run"))]


def _command(home: Home, verb: str) -> str:
    return f"retention {verb} --home {home.root}"


def _mend(home: Home) -> str:
    return _command(home, "doctor --mend")


def _settings(home: Home) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = load_settings(home)
    except PermissionError as error:
        return None, [Finding("settings", "note", f"{error.filename} may not be read: see rights")]
    except (SettingsError, OSError) as error:
        former = home.settings_copy
        text = " ".join(str(machine_error(home, error) or error).split())
        if former.exists():
            cure = f"cp {former} {home.settings_file}"
        else:
            cure = _command(home, "check") if home.settings_file.exists() else f"retention init {home.root}"
        return None, [Finding("settings", "broken", text, cure)]
    return settings, [Finding("settings", "fine", f"{home.settings_file} is valid")]


def _rights(home: Home) -> list[Finding]:
    """Folders and files that a run writes to, or reads."""
    made = [home.warehouse, home.archive, home.published, home.runs, home.alerts, home.dagster, home.report]
    for folder in made:
        if os.access(home.root, os.X_OK) and folder.exists() and not folder.is_dir():
            return [Finding("rights", "broken", f"{folder} is not a folder", f"mv {folder} {folder}.aside")]
    name = user()
    found = [
        Finding("rights", "broken", f"{path}: user {name} may not read and write it", let_in(path))
        for path in dict.fromkeys([*closed_in(home, made), *closed_landing(home)])
    ]
    if found:
        return found
    wide = [path for path in (*made, home.raw_file) if path.exists() and path.stat().st_mode & 0o007]
    if wide:
        listed = ", ".join(path.name for path in wide)
        text = f"everybody on this machine may read {listed} (made by an earlier version, or changed)"
        found.append(Finding("rights", "note", text, f"chmod -R o-rwx {' '.join(map(str, wide))}"))
    return found or [Finding("rights", "fine", f"user {name} may read and write everything")]


def _space(home: Home) -> list[Finding]:
    try:
        generations.check_space(home)
    except generations.NotEnoughSpace as error:
        return [Finding("space", "broken", str(error), f"du -xh {home.root} | sort -h | tail")]
    except FileNotFoundError:
        pass  # nothing has run yet
    free = shutil.disk_usage(home.root).free
    return [Finding("space", "fine", f"{formatting.size(free)} are free")]


def _raw(home: Home) -> list[Finding]:
    if not home.raw_file.exists():
        has_loads = bool(archived_files(home)) or bool(generations.generations(home))
        if has_loads:
            return [Finding("raw", "broken", f"{home.raw_file} is gone", _command(home, "rebuild"))]
        return [Finding("raw", "fine", "nothing was loaded yet")]
    if reason := damage(home.raw_file):
        return [Finding("raw", "broken", f"{home.raw_file} is damaged: {reason}", _command(home, "rebuild"))]
    with opened_raw(home) as connection:
        [(loads,)] = connection.execute("select count(*) from raw.ledger where status = 'loaded'").fetchall()
    return [Finding("raw", "fine", f"{home.raw_file} can be read to its last row; {formatting.counted(loads, 'load')}")]


def _published(home: Home) -> list[Finding]:
    kept = generations.generations(home)
    if not kept and not os.path.lexists(home.current):
        return [Finding("published", "fine", "nothing was published yet")]
    wrong = {one.number: reason for one in kept if (reason := damage(one.path))}
    readable = [one for one in kept if one.number not in wrong]
    anew = _command(home, "run --full-refresh")
    back = _command(home, "restore") if readable else anew
    found = []
    if not home.current.exists():
        why = "points to nothing" if home.current.is_symlink() else "is gone"
        found.append(Finding("published", "broken", f"{home.current} {why}", _mend(home) if readable else anew))
    for one in kept:
        if one.number not in wrong:
            continue
        text = f"{one.path} is damaged: {wrong[one.number]}"
        if one.is_current:
            found.append(Finding("published", "broken", text, back))
        else:
            found.append(Finding("published", "note", f"{text}; no figure depends on it", f"rm -f {one.path}"))
    is_copy = home.current.exists() and generations.current_number(home) is None
    if is_copy and (reason := damage(home.current.resolve())):
        found.append(Finding("published", "broken", f"{home.current} is damaged: {reason}", back))
    numbers = ", ".join(str(one.number) for one in readable)
    return found or [Finding("published", "fine", f"generations {numbers} can be read to their last row")]


def _belonging(home: Home, settings: Settings) -> list[Finding]:
    part = "raw and published"
    try:
        state = read_state(home.current) if home.current.exists() and home.raw_file.exists() else None
        apart = mismatch(home, settings, home.current, state.raw_identity) if state else None
    except (duckdb.Error, DamagedFile):
        return []  # told above
    if apart is None:
        return [Finding(part, "fine", "belong together")]
    verb = "rebuild" if apart.lost else "run"
    return [Finding(part, "broken", apart.reason, _command(home, verb))]


def _copies(home: Home) -> list[Finding]:
    """The Parquet copies of tables: the next run makes those anew that are missing or cannot be read."""
    folder = export_folder(home)
    found = [
        Finding("copies", "broken", f"{path} cannot be read", _mend(home)) for path, _ in unreadable_parquet(folder)
    ]
    if not found and home.current.exists() and not any(folder.glob("*.parquet")):
        return [Finding("copies", "note", f"{folder} has no Parquet copies", _command(home, "run"))]
    return found or [Finding("copies", "fine", "all Parquet copies can be read")]


def unreadable_parquet(folder: Path) -> list[tuple[Path, str]]:
    """The Parquet files of a folder that cannot be read to their last row, and why."""
    found = []
    for path in sorted(folder.glob("*.parquet")):
        try:
            with opened(Path(":memory:")) as connection:
                connection.execute(f"select bit_xor(hash(copied)) from read_parquet({sql_text(str(path))}) as copied")
                connection.fetchall()
        except duckdb.Error as error:
            found.append((path, " ".join(str(error).split("\n")[0].split())))
    return found


def _archive(home: Home) -> list[Finding]:
    """Every copy has the bytes that its name says, and each load that raw's ledger knows has its copy."""
    copies = look_at_copies(home)
    wrong = {sha256: f"{path} does not have the hash that its name says" for sha256, path in copies.damaged.items()}
    wrong |= {
        sha256: f"{one.told} is missing" for sha256, one in copies.missing.items() if sha256 not in copies.damaged
    }
    found = []
    delivered = originals(home) if wrong else {}
    for sha256, what in wrong.items():
        if sha256 in delivered:
            found.append(Finding("archive", "broken", f"{what}; {delivered[sha256]} has them", _mend(home)))
        else:
            text = f"{what}. Nothing needs it while raw.duckdb is whole, and a backup may have it"
            found.append(Finding("archive", "broken", text, _command(home, "doctor --mend --without-missing")))
    number = formatting.counted(len(copies.files), "archived file")
    return found or [Finding("archive", "fine", f"{number}, each with the bytes of its name")]


def _history(home: Home) -> list[Finding]:
    folder = history_folder(home)
    found = [
        Finding("history", "broken", f"{path} cannot be read: {reason}", _mend(home))
        for path, reason in unreadable_parquet(folder)
    ]
    number = formatting.counted(len(list(folder.glob("*.parquet"))), "file")
    return found or [Finding("history", "fine", f"{number} of the archived history can be read")]


def _runs(home: Home) -> list[Finding]:
    found = [
        Finding("runs", "broken", f"{path} is no longer a record of a run", _mend(home)) for path in no_records(home)
    ]
    number = len(list(home.runs.glob("*.json")))
    return found or [Finding("runs", "fine", f"{formatting.counted(number, 'record')} of runs can be read")]


def no_records(home: Home) -> list[Path]:
    """Files among the records of runs that hold none."""
    return [path for path in sorted(home.runs.glob("*.json")) if record_in(path) is None]


def _alerts(home: Home) -> list[Finding]:
    try:
        number = len(load_alerts(home))
    except DamagedFile as error:
        return [Finding("alerts", "broken", str(error), _mend(home))]
    return [Finding("alerts", "fine", f"{formatting.counted(number, 'alert')} on record")]


def _dagster(home: Home) -> list[Finding]:
    if not home.dagster.exists():
        return [Finding("dagster", "fine", "there is no history of runs yet")]
    found = [
        Finding("dagster", "broken", f"{path}: {reason}; no figure depends on it", _mend(home))
        for path, reason in damaged_storage(home.dagster, thorough=True)
    ]
    return found or [Finding("dagster", "fine", "the history of runs can be read")]


def _lock(home: Home, holder: dict[str, str] | None) -> Finding:
    if holder is None:
        return Finding("lock", "fine", "nobody writes")
    said = f"process {holder.get('pid', '?')} on {holder.get('host', '?')} since {holder.get('since', '?')}"
    return Finding("lock", "note", f"{said} writes ({holder.get('command', '?')}); some of the above may be its work")


def _scratch(home: Home, *, is_held: bool) -> list[Finding]:
    left = [path for pattern in SCRATCH for path in home.warehouse.glob(pattern)] if home.warehouse.exists() else []
    if is_held or not left:
        return [Finding("scratch", "fine", "nothing is left of runs that were ended")]
    listed = ", ".join(path.name for path in sorted(left))
    text = f"left of a run that was ended: {listed}; the next run removes it"
    return [Finding("scratch", "note", text, _command(home, "run"))]
