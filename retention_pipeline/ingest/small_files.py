"""Many small CSV files onto the stage in one go.

Staging a file on its own costs about ten milliseconds however small it is. Files with the same header whose lines are
sound are read by one query instead. What is not right about one of them at the first look is left to `stage_file`,
which finds out what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.archive import ArchivedFile
from retention_pipeline.ingest.checks import stage_query
from retention_pipeline.ingest.file_columns import FileColumn
from retention_pipeline.ingest.mapping import map_columns
from retention_pipeline.ingest.prepared import needs_preparing
from retention_pipeline.ingest.readers import csv_relation, read_header
from retention_pipeline.ingest.schema import BROKEN
from retention_pipeline.ingest.staging import Staged
from retention_pipeline.settings import FileSource, RowHash

SMALL = 1024 * 1024


@dataclass
class SmallFiles:
    """Files that wait to be staged together: load id and file, all with the header `names`."""

    names: list[str] | None = None
    files: list[tuple[int, ArchivedFile]] = field(default_factory=list)

    def takes(self, file: ArchivedFile, source: FileSource) -> bool:
        """Whether a file can be staged together with those that are waiting. Raises UnusableFileError."""
        counts = file.counts
        if (
            source.has_query
            or needs_preparing(file, source)
            or file.format != "csv"
            or file.size > SMALL
            or any(isinstance(m, RowHash) for m in source.columns.values())
            or source.refund_of is not None
            or "refund_of" in source.columns
        ):
            return False
        header = read_header(file, source.separator)
        names = header.names
        if header.repeated:
            return False
        if counts.nul_bytes or counts.is_mixed or counts.lines_with_open_quote or counts.stray_quotes or len(names) < 2:
            return False
        return self.names is None or names == self.names

    def add(self, load_id: int, file: ArchivedFile, source: FileSource) -> None:
        self.names = read_header(file, source.separator).names
        self.files.append((load_id, file))


def stage_small_files(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    source: FileSource,
    group: SmallFiles,
    *,
    business_timezone: str,
    scratch: Path,
) -> dict[int, Staged]:
    """Bring what is sound in a group onto the stage; the result tells of these by load id, the rest is not there.

    Raises UnusableFileError if the header that they share lacks required columns.
    """
    names = group.names or []
    mapping = map_columns(contract, source, [FileColumn(name, f"c{index}") for index, name in enumerate(names) if name])
    folder = scratch / f"group {group.files[0][0]}"
    folder.mkdir(parents=True)
    for load_id, file in group.files:  # the name tells the load id, also in a query over all of them
        (folder / f"{load_id}.csv").symlink_to(file.plain)
    has_quotes = any(file.counts.quotes for _, file in group.files)
    paths = [folder / f"{load_id}.csv" for load_id, _ in group.files]
    query = stage_query(
        contract,
        source,
        mapping,
        csv_relation(paths, source.separator, ["VARCHAR"] * len(names), has_quotes),
        business_timezone=business_timezone,
        load_id="parse_filename(filename, true)",
    )
    ids = [load_id for load_id, _ in group.files]
    ours = f"_load_id between {ids[0]} and {ids[-1]}"
    connection.execute("drop table if exists stage_rejects; drop table if exists stage_scans")
    try:
        connection.execute(f"insert into stage {query}")
    except BROKEN:
        raise
    except duckdb.Error:
        connection.execute(f"delete from stage where {ours}")
        return {}
    found = {
        load_id: (rows, wrong)
        for load_id, rows, wrong in connection.execute(
            f"select _load_id, count(*), count(_error) from stage where {ours} group by all"
        ).fetchall()
    }
    sound = {}
    for load_id, file in group.files:
        counts = file.counts
        if found.get(load_id, (0, 0)) == (counts.lines - counts.blank - 1, 0):
            sound[load_id] = Staged(load_id, mapping, counts.lines, counts.blank, good=counts.lines - counts.blank - 1)
    unsound = [load_id for load_id in ids if load_id not in sound]
    if unsound:
        connection.execute("delete from stage where _load_id in (select unnest($1))", [unsound])
    return sound
