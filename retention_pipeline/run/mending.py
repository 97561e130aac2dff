"""`retention doctor --mend`: what needs no choice and loses nothing that anybody needs. It sets a lost link, copies
archived files again from the landing folder, and puts damaged files aside that the next run makes anew.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from retention_pipeline.alerts import load as load_alerts
from retention_pipeline.history.archive import folder as history_folder
from retention_pipeline.history.archive import write_missing
from retention_pipeline.ingest.kept_copies import note_as_lost
from retention_pipeline.ingest.packed import is_packed
from retention_pipeline.publish.exports import export_folder, export_tables
from retention_pipeline.publish.recovery import recover
from retention_pipeline.run.copies import look_at_copies, originals
from retention_pipeline.run.dagster_storage import damaged_storage, put_aside
from retention_pipeline.run.doctor import no_records, unreadable_parquet
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile


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
        tables = [path for path, _ in unreadable_parquet(export_folder(home))]
        wrong = [*(path for path, _ in unreadable_parquet(history_folder(home))), *tables, *no_records(home)]
        try:
            load_alerts(home)
        except DamagedFile:
            wrong.append(home.incidents_file)
        if damaged_storage(home.dagster, thorough=True):
            wrong.append(home.dagster)
        done += [f"{path} was put aside as {put_aside(path, moment).name}" for path in wrong]
        if home.current.exists():
            try:
                done += [f"{path} was written again" for path in write_missing(home)]
                if tables:
                    export_tables(home)
                    done.append(f"the copies in {export_folder(home)} were made again")
            except duckdb.Error:
                pass  # what is published is damaged, for which `restore` helps
    return done


def _mend_archive(home: Home, moment: str, *, without_missing: bool) -> list[str]:
    copies = look_at_copies(home)
    folders = {sha256: one.folder for sha256, one in copies.missing.items()}
    folders |= {sha256: path.parent for sha256, path in copies.damaged.items()}
    delivered = originals(home) if folders else {}
    done, gone = [], set()
    for sha256, folder in folders.items():
        damaged, original = copies.damaged.get(sha256), delivered.get(sha256)
        if original is not None:
            ending = "".join(original.suffixes[-2:] if original.suffix == ".gz" else original.suffixes[-1:])
            target = damaged if damaged and not is_packed(damaged) else folder / f"{sha256}{ending}"
            _copy(original, target)
            if damaged and damaged != target:
                damaged.unlink()
            done.append(f"{target} was copied again from {original}")
        elif without_missing:
            gone.add(sha256)
            if damaged is not None:
                aside = home.root / "lost+found" / f"{damaged.name}.damaged-{moment}"
                aside.parent.mkdir(exist_ok=True)
                os.replace(damaged, aside)
                done.append(f"{damaged} was put aside as {aside}")
            done.append(f"the copy {sha256} is noted as lost; a rebuild would leave its load out")
    if gone:
        note_as_lost(home, gone)
    return done


def _copy(original: Path, target: Path) -> None:
    """Put a copy in place whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}")
    shutil.copyfile(original, unfinished)
    os.replace(unfinished, target)
