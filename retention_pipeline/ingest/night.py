"""A night's ingestion: the order of the sources, and what stops a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.file_loader import FileLoader
from retention_pipeline.ingest.ledger import next_load_id
from retention_pipeline.ingest.packed import remove_left
from retention_pipeline.ingest.pull_loader import PullLoader
from retention_pipeline.ingest.result import DatabaseBrokenError, IngestError, IngestResult, LoadResult
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.ingest.source_loader import SourceLoader
from retention_pipeline.ingest.visits import write_visit
from retention_pipeline.settings import DatabaseSource, FileSource, Home, LakeSource, Settings


def ingest(
    home: Home,
    settings: Settings,
    *,
    datasets: list[str] | None = None,
    now: datetime,
    progress: Callable[[str], None] | None = None,
    reload: Sequence[str] = (),
    lake_loader: Callable[..., SourceLoader] | None = None,
) -> IngestResult:
    """Load what is new in the sources into raw.duckdb, which is made where it is missing.

    `datasets` limits the run to these; `reload` names files that are loaded again though their bytes are known; `now`
    (UTC) is the time that is written down; `lake_loader` loads the sources that another engine reads (LakeSource).
    Raises IngestError, after all other loads are done, when more than `max_quarantine_rate` of a load was refused; the
    error's `result` tells of the others. A source that cannot be reached is a load of status `failed` in the result.
    """
    if now.tzinfo is not None:
        now = now.astimezone(UTC).replace(tzinfo=None)
    result = IngestResult()
    scratch = home.warehouse / "raw.scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    remove_left(home)
    connection = open_raw(home.raw_file)
    try:
        for name in settings.sources:
            source = settings.read_source(name)
            dataset = settings.dataset_of(name)
            if datasets is not None and dataset not in datasets:
                continue
            earlier: list[LoadResult] = []
            broken: dict[str, str] = {}
            while True:
                kind: Callable[..., SourceLoader] = FileLoader
                if isinstance(source, LakeSource):
                    assert lake_loader is not None, name
                    kind = lake_loader
                elif isinstance(source, DatabaseSource):
                    kind = PullLoader
                loader = kind(connection, home, settings, name, source, CONTRACTS[dataset], scratch, now, progress)
                loader.broken = broken
                if isinstance(loader, FileLoader):
                    loader.reload = frozenset(reload)
                try:
                    loads = _joined(earlier, loader.run())
                    break
                except DatabaseBrokenError as error:
                    if error.sha256 in broken:
                        raise
                    broken[error.sha256] = str(error)
                    earlier += [load for load in loader.loads if load.status == "loaded"]
                    connection.close()
                    connection = open_raw(home.raw_file)
            write_visit(connection, dataset, name, loads, is_pull=isinstance(source, DatabaseSource), now=now)
            result.loads += loads
            if isinstance(loader, FileLoader) and loader.left:
                result.waiting += loader.left
            elif isinstance(source, FileSource) and not loads:
                result.without_files += source.paths
        result.max_load_id = next_load_id(connection) - 1
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)
    spoiled = [load for load in result.loads if load.status == "too_many_bad"]
    if spoiled:
        lines = [f"{load.dataset}: {load.file_name}: {load.error}" for load in spoiled]
        raise IngestError("too many rows of a load were refused, it was left out\n" + "\n".join(lines), result)
    return result


def _joined(earlier: list[LoadResult], later: list[LoadResult]) -> list[LoadResult]:
    """The loads of a source that was begun again: what had loaded before is known to the second attempt."""
    names = {load.file_name for load in earlier}
    return earlier + [load for load in later if load.status != "already_loaded" or load.file_name not in names]
