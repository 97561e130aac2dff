"""`retention doctor`: every part of a home looked at, what is wrong with it, and the one command that helps.

It takes no lock to look, reads every byte, and changes nothing. `mend` does what needs no choice and loses nothing that
anybody needs: it sets a lost link, copies archived files again from the landing folder, puts damaged files aside that
the next run makes anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb
import yaml

from retention_pipeline import formatting
from retention_pipeline.alerts import load as load_alerts
from retention_pipeline.history.archive import folder as history_folder
from retention_pipeline.ingest.archive import checksum, is_whole
from retention_pipeline.ingest.joined import ENDING, parts_of
from retention_pipeline.ingest.landing import delivered_files
from retention_pipeline.ingest.rebuild import archived_files
from retention_pipeline.publish import generations
from retention_pipeline.publish.exports import export_folder
from retention_pipeline.publish.provenance import mismatch
from retention_pipeline.publish.recovery import recover
from retention_pipeline.run.lock import lock_file, lock_holder, writer_lock
from retention_pipeline.run.machine import machine_error, user
from retention_pipeline.run.state import read_state
from retention_pipeline.settings import FileSource, Home, Settings, SettingsError, load_settings
from retention_pipeline.warehouse import DamagedFile, damage, opened, opened_raw, sql_text

FINE, NOTE, BROKEN = "fine", "note", "broken"
SHOWN_AT_MOST = 20
# What a run leaves when it is killed; the next one removes it.
SCRATCH = ("next.duckdb*", "raw.scratch", "raw.spill", "raw.rebuilt.duckdb*", "*.new")


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
    except (SettingsError, OSError) as error:
        former = home.settings_copy
        text = " ".join(str(machine_error(home, error) or error).split())
        cure = f"cp {former} {home.settings_file}" if former.exists() else _command(home, "check")
        return None, [Finding("settings", "broken", text, cure)]
    return settings, [Finding("settings", "fine", f"{home.settings_file} is valid")]


def _rights(home: Home) -> list[Finding]:
    """Folders and files that a run writes to, or reads."""
    closed = []
    made = [home.warehouse, home.archive, home.published, home.runs, home.alerts, home.dagster, home.report]
    for folder in [home.root, *made, *_folders_below(home.archive), *_folders_below(home.dagster)]:
        if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            closed.append(folder)
        elif folder.exists() and not folder.is_dir():
            return [Finding("rights", "broken", f"{folder} is no folder", f"mv {folder} {folder}.aside")]
    for file in (home.settings_file, home.raw_file, lock_file(home)):
        if file.exists() and not os.access(file, os.R_OK | (0 if file == home.settings_file else os.W_OK)):
            closed.append(file)
    name = user()
    found = [
        Finding("rights", "broken", f"{path}: user {name} may not read and write it", f"chown -R {name} {path}")
        for path in dict.fromkeys(closed)
    ]
    wide = [path for path in (*made, home.raw_file) if path.exists() and path.stat().st_mode & 0o007]
    if wide:
        listed = ", ".join(path.name for path in wide)
        text = f"everybody on this machine may read {listed} (made by an earlier version, or changed)"
        found.append(Finding("rights", "note", text, f"chmod -R o-rwx {' '.join(map(str, wide))}"))
    return found or [Finding("rights", "fine", f"user {name} may read and write everything")]


def _folders_below(folder: Path) -> Iterator[Path]:
    for parent, names, _ in os.walk(folder):
        yield from (Path(parent) / name for name in names)


def _space(home: Home) -> list[Finding]:
    try:
        generations.check_space(home)
    except generations.NotEnoughSpace as error:
        return [Finding("space", "broken", str(error), f"du -xh {home.root} | sort -h | tail")]
    except FileNotFoundError:
        pass  # nothing has run yet
    free = shutil.disk_usage(home.root).free
    return [Finding("space", "fine", f"{free / 1e9:.1f} GB are free")]


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
    wrong = [path for path in sorted(folder.glob("*.parquet")) if _parquet_problem(path)] if folder.exists() else []
    found = [Finding("copies", "broken", f"{path} cannot be read", _mend(home)) for path in wrong]
    if not found and home.current.exists() and not any(folder.glob("*.parquet")):
        return [Finding("copies", "note", f"{folder} has no Parquet copies", _command(home, "run"))]
    return found or [Finding("copies", "fine", "all Parquet copies can be read")]


def _parquet_problem(path: Path) -> str | None:
    try:
        with opened(Path(":memory:")) as connection:
            connection.execute(f"select bit_xor(hash(copied)) from read_parquet({sql_text(str(path))}) as copied")
            connection.fetchall()
    except duckdb.Error as error:
        return " ".join(str(error).split("\n")[0].split())
    return None


def _archive(home: Home) -> list[Finding]:
    """Every copy has the bytes that its name says, and each load that raw's ledger knows has its copy."""
    originals: dict[str, Path] | None = None
    files = archived_files(home)
    wrong = {path.name.split(".")[0]: path for path in files if not is_whole(path)}
    there = {path.name.split(".")[0] for path in files}
    missing = {
        sha256: home.archive / dataset / f"{sha256}: gone, {name}"
        for sha256, dataset, name in _archived_loads(home)
        if sha256 not in there
    }
    for path in files:
        if path.suffix == ENDING and path.name.split(".")[0] not in wrong:
            parts = [path.parent / name for names in parts_of(path).values() for name in names]
            missing |= {part.name.split(".")[0]: part for part in parts if not part.exists()}
    found = []
    for sha256, path in (wrong | missing).items():
        if originals is None:
            originals = _originals(home)
        what = f"{path} does not have the bytes of its name" if sha256 in wrong else f"{path} is missing"
        if sha256 in originals:
            found.append(Finding("archive", "broken", f"{what}; {originals[sha256]} has them", _mend(home)))
        else:
            text = f"{what}. Nothing needs it while raw.duckdb is whole, and a backup may have it"
            found.append(Finding("archive", "broken", text, _command(home, "doctor --mend --without-missing")))
    number = formatting.counted(len(files), "archived file")
    return found or [Finding("archive", "fine", f"{number}, each with the bytes of its name")]


def _archived_loads(home: Home) -> list[tuple[str, str, str]]:
    """(checksum, dataset, name) of the loads whose copies a rebuild would need."""
    if not home.raw_file.exists():
        return []
    try:
        with opened_raw(home) as connection:
            left_out = _left_out(home)
            rows = connection.execute(
                "select distinct on (sha256) sha256, dataset, file_name from raw.ledger"
                " where status = 'loaded' and sha256 is not null order by sha256, load_id"
            ).fetchall()
        return [row for row in rows if row[0] not in left_out]
    except duckdb.Error:
        return []


def _left_out(home: Home) -> set[str]:
    """Checksums of copies that an operator knows to be lost."""
    try:
        return set((home.archive / "lost.txt").read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return set()


def _originals(home: Home) -> dict[str, Path]:
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


def _history(home: Home) -> list[Finding]:
    folder = history_folder(home)
    files = sorted(folder.glob("*.parquet")) if folder.exists() else []
    found = [
        Finding("history", "broken", f"{path} cannot be read: {reason}", _mend(home))
        for path in files
        if (reason := _parquet_problem(path))
    ]
    number = formatting.counted(len(files), "file")
    return found or [Finding("history", "fine", f"{number} of the archived history can be read")]


def _runs(home: Home) -> list[Finding]:
    files = sorted(home.runs.glob("*.json")) if home.runs.exists() else []
    wrong = [path for path in files if not _is_record(path)]
    found = [Finding("runs", "broken", f"{path} is no record of a run any more", _mend(home)) for path in wrong]
    return found or [Finding("runs", "fine", f"{formatting.counted(len(files), 'record')} of runs can be read")]


def _is_record(path: Path) -> bool:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(record, dict) and {"run_id", "started_at", "as_of"} <= record.keys()


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


def damaged_storage(folder: Path, *, thorough: bool = False) -> list[tuple[Path, str]]:
    """The files of Dagster's storage that are damaged, and how. Not thorough: without the event logs of single runs,
    which nothing but the web page reads.
    """
    found = []
    for name in ("dagster.yaml", "workspace.yaml"):
        path = folder / name
        if path.exists() and (reason := _yaml_problem(path)):
            found.append((path, reason))
    needed = (folder / name for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"))
    for path in sorted(folder.rglob("*.db") if thorough else needed):
        if path.exists() and (reason := _sqlite_problem(path)):
            found.append((path, reason))
    return found


def _yaml_problem(path: Path) -> str | None:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"is no YAML any more: {' '.join(str(error).split())[:200]}"
    return None if isinstance(content, dict) else "is empty or no YAML any more"


def _sqlite_problem(path: Path) -> str | None:
    if path.stat().st_size == 0:
        return "is empty"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            [answer] = connection.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if "locked" in str(error) or "unable to open" in str(error):
            return None  # somebody writes, or rights, which are told apart
        return f"is damaged: {error}"
    return None if answer == "ok" else f"is damaged: {' '.join(str(answer).split())[:200]}"


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


def mend(home: Home, *, without_missing: bool = False, now: datetime | None = None) -> list[str]:
    """Do what needs no choice, and say what was done, a line each. `without_missing`: note copies of loads that are
    lost for good as such, and put damaged ones aside. Raises HomeIsBusy.
    """
    moment = f"{now or datetime.now(UTC):%Y%m%dT%H%M%S}"
    done = []
    with writer_lock(home):
        if recovered := recover(home):
            done.append(recovered)
        done += _mend_archive(home, moment, without_missing=without_missing)
        wrong = [path for path in history_folder(home).glob("*.parquet") if _parquet_problem(path)]
        wrong += [path for path in export_folder(home).glob("*.parquet") if _parquet_problem(path)]
        wrong += [path for path in home.runs.glob("*.json") if not _is_record(path)]
        try:
            load_alerts(home)
        except DamagedFile:
            wrong.append(home.incidents_file)
        for path in wrong:
            done.append(f"{path} was put aside as {_aside(path, moment).name}")
        if damaged_storage(home.dagster, thorough=True):
            done.append(f"{home.dagster} was put aside as {put_storage_aside(home, moment).name}")
        if home.current.exists():
            from retention_pipeline.history.archive import write_missing
            from retention_pipeline.publish.exports import export_tables

            try:
                done += [f"{path} was written again" for path in write_missing(home)]
                if any(path.parent == export_folder(home) for path in wrong):
                    export_tables(home)
                    done.append(f"the copies in {export_folder(home)} were made again")
            except duckdb.Error:
                pass  # what is published is damaged, for which `restore` helps
    return done


def put_storage_aside(home: Home, moment: str) -> Path:
    """Dagster's folder gets another name; the next run makes a new one."""
    return _aside(home.dagster, moment)


def _aside(path: Path, moment: str) -> Path:
    target = path.with_name(f"{path.name}.damaged-{moment}")
    os.rename(path, target)
    return target


def _mend_archive(home: Home, moment: str, *, without_missing: bool) -> list[str]:
    files = archived_files(home)
    there = {path.name.split(".")[0] for path in files}
    wrong = {path.name.split(".")[0]: path for path in files if not is_whole(path)}
    lost = {sha256: home.archive / dataset for sha256, dataset, _ in _archived_loads(home) if sha256 not in there}
    for path in files:
        if path.suffix == ENDING and path.name.split(".")[0] not in wrong:
            names = [name for names in parts_of(path).values() for name in names]
            lost |= {name.split(".")[0]: path.parent for name in names if not (path.parent / name).exists()}
    if not wrong and not lost:
        return []
    originals, done, gone = _originals(home), [], set()
    for sha256, folder in [*((sha, path.parent) for sha, path in wrong.items()), *lost.items()]:
        original = originals.get(sha256)
        if original is not None:
            ending = "".join(original.suffixes[-2:] if original.suffix == ".gz" else original.suffixes[-1:])
            target = wrong.get(sha256) or folder / f"{sha256}{ending}"
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}")
            shutil.copyfile(original, unfinished)
            os.replace(unfinished, target)
            done.append(f"{target} was copied again from {original}")
        elif without_missing:
            gone.add(sha256)
            if sha256 in wrong:
                aside = home.root / "lost+found" / f"{wrong[sha256].name}.damaged-{moment}"
                aside.parent.mkdir(exist_ok=True)
                os.replace(wrong[sha256], aside)
                done.append(f"{wrong[sha256]} was put aside as {aside}")
            done.append(f"the copy {sha256} is noted as lost; a rebuild would leave its load out")
    if gone:
        home.archive.mkdir(exist_ok=True)
        note = home.archive / "lost.txt"
        note.write_text("".join(f"{one}\n" for one in sorted(gone | _left_out(home))), encoding="utf-8")
    return done
