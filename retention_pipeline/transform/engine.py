"""What a run knows of the engine before anything is loaded: whether it can be used at all, and what it never makes."""

from retention_pipeline.settings import Settings

# Models whose rows are SQL for the readers of the published file, which is DuckDB's whatever the engine.
TEXTS = frozenset({"int_member_queries"})


def check_engine(settings: Settings) -> None:
    """Raise SparkError, which is one line for users, where the settings ask for a Spark that cannot be used."""
    if settings.engine == "spark":
        from retention_pipeline.transform.spark.session import address

        address(settings)
