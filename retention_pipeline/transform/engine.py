"""What a run knows of the engine before anything is loaded: whether it can be used at all, what loads sources that only
it can read, and what it never makes.
"""

from collections.abc import Callable
from typing import Any

from retention_pipeline.settings import LakeSource, Settings

# Models whose rows are SQL for the readers of the published file, which is DuckDB's whatever the engine.
TEXTS = frozenset({"int_member_queries"})


def check_engine(settings: Settings) -> None:
    """Raise SparkError, which is one line for users, where the settings ask for a Spark that cannot be used."""
    if settings.engine == "spark":
        from retention_pipeline.transform.spark.session import address

        address(settings)


def loaders(settings: Settings) -> dict[str, Callable[..., Any]]:
    """What `ingest` is given for sources that are in the lake; nothing where there are none."""
    if not any(isinstance(source, LakeSource) for source in settings.sources.values()):
        return {}
    from retention_pipeline.transform.spark.lake_loader import LakeLoader

    return {"lake_loader": LakeLoader}
