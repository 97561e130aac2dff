"""Sources become raw tables: files and pulls are loaded exactly once, and every line of them is accounted for."""

from retention_pipeline.ingest.night import ingest
from retention_pipeline.ingest.result import Drift, IngestError, IngestResult, LoadResult
from retention_pipeline.ingest.schema import create_tables, open_raw

__all__ = [
    "Drift",
    "IngestError",
    "IngestResult",
    "LoadResult",
    "create_tables",
    "ingest",
    "open_raw",
]
