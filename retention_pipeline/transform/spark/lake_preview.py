"""What a run would make of a source in the lake: its first rows come here, and the loader looks at them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from retention_pipeline.ingest.beginnings import LINES
from retention_pipeline.ingest.preview import Preview, preview_rows
from retention_pipeline.ingest.pulls import SourceError
from retention_pipeline.settings import Home, LakeSource, Settings
from retention_pipeline.transform.spark.lake_loader import relation_of
from retention_pipeline.transform.spark.session import SparkError, is_of_spark, said, spark_session


def preview_lake(settings: Settings, name: str, home: Home) -> Preview:
    """Read the first rows that Spark gives of the source `name`."""
    source = settings.sources[name]
    assert isinstance(source, LakeSource)

    def write(path: Path) -> None:
        try:
            with spark_session(settings) as session:
                rows = session.sql(f"select * from {relation_of(source)} limit {LINES}").toArrow()
        except SparkError as error:
            raise SourceError(str(error)) from error
        except Exception as error:
            if is_of_spark(error):
                raise SourceError(f"Spark: {said(error)}") from error
            raise
        pq.write_table(rows, path)

    return preview_rows(settings, name, home, source.place, write)
