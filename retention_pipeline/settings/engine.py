"""Apache Spark in the place of DuckDB for what is large; where it is and where its tables stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from retention_pipeline.settings.kinds import Strict
from retention_pipeline.settings.sources import FromEnvironment


class Spark(Strict):
    """`remote`: the address of a Spark Connect server, such as `sc://spark.example.com:15002/;token=…`. `warehouse`: a
    folder that every machine of the cluster sees under the same path as this one; relative to the home folder.
    `schema`: what the names of its schemas begin with; homes that share a cluster need one each.
    """

    remote: FromEnvironment
    warehouse: str = "warehouse/spark"
    schema_name: Annotated[str, Field(alias="schema", pattern="^[a-z][a-z0-9_]{0,40}$")] = "retention"

    @field_validator("warehouse")
    @classmethod
    def _is_a_folder(cls, path: str) -> str:
        if "://" in path:
            raise ValueError("a folder is expected, on a disk that the cluster shares with this machine")
        return path

    def folder(self, root: Path) -> Path:
        """The folder of the tables, for a home's folder."""
        return (root / Path(self.warehouse).expanduser()).resolve()
