"""Whether the engine that the settings ask for can be used at all, before anything is loaded."""

from retention_pipeline.settings import Settings


def check_engine(settings: Settings) -> None:
    """Raise SparkError, which is one line for users, where the settings ask for a Spark that cannot be used."""
    if settings.engine == "spark":
        from retention_pipeline.transform.spark.session import address

        address(settings)
