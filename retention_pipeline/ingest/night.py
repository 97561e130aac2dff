"""A night's ingestion: the order of sources and files, and what stops a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from retention_pipeline.ingest.result import IngestResult
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.settings import Home, Settings


def ingest(
    home: Home,
    settings: Settings,
    *,
    datasets: list[str] | None = None,
    now: datetime,
    progress: Callable[[str], None] | None = None,
) -> IngestResult:
    """Load what is new in the sources into raw.duckdb, which is made where it is missing.

    `datasets` limits the run to these; `now` (UTC) is the time that is written down. Raises IngestError, after all
    other loads are done, when more than `max_quarantine_rate` of a load was refused.
    """
    with open_raw(home.raw_file):
        return IngestResult()
