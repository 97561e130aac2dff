"""What a run knows of the engine: whether it can be used at all, what loads sources that only it can read and where
their rows are, and what it never makes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Home, LakeSource, Settings

# Models whose rows are SQL for the readers of the published file, which is DuckDB's whatever the engine.
TEXTS = frozenset({"int_member_queries"})


def check_engine(settings: Settings) -> None:
    """Raise SparkError, which is one line for users, where the settings ask for a Spark that cannot be used."""
    if settings.engine == "spark":
        from retention_pipeline.transform.spark.session import address

        address(settings)


def loaders(settings: Settings) -> dict[str, Callable[..., Any]]:
    """What `ingest` is given for sources that are in the lake; nothing where there are none."""
    if not _has_lake(settings):
        return {}
    from retention_pipeline.transform.spark.lake_loader import LakeLoader

    return {"lake_loader": LakeLoader}


def rows_in_lake(home: Home, settings: Settings) -> dict[str, list[Path]]:
    """By table of raw the Parquet files of those whose rows stand in the lake, as their last loads left them."""
    if not _has_lake(settings):
        return {}
    from retention_pipeline.transform.spark.load_tables import files_in_lake

    return files_in_lake(home, settings)


def _has_lake(settings: Settings) -> bool:
    return any(isinstance(source, LakeSource) for source in settings.sources.values())
