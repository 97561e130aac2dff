"""What a home has on a Spark: a schema of Parquet tables per generation, and one of views that says which is published.

    <schema>_g7        the tables of generation 7, as Parquet files in <warehouse>/<schema>_g7/<table>, and its views,
                       whose queries stand beside them in <view>.sql
    <schema>_g7_raw    the rows of raw while generation 7 is made
    <schema>_sources   the rows of sources that are in the lake, as their last loads made them (lake_loader.py)
    <schema>           a view per table and view of the published generation

As with the files of generations, nothing is written to a schema that is published. Whoever reads on while the views
change goes on with the tables of before, which stay as long as the file of their generation.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Home, Spark
from retention_pipeline.testing import stop_for_test


@dataclass(frozen=True)
class Lake:
    """The schemas of a home and the folder in which they stand."""

    name: str
    folder: Path

    @classmethod
    def of(cls, home: Home, spark: Spark) -> Lake:
        return cls(spark.schema_name, spark.folder(home.root))

    def schema(self, generation: int) -> str:
        return f"{self.name}_g{generation}"

    def raw_schema(self, generation: int) -> str:
        return f"{self.schema(generation)}_raw"

    @property
    def sources_schema(self) -> str:
        return f"{self.name}_sources"

    def create(self, session: Any, schema: str) -> Path:
        """An empty schema, whose tables stand in the folder that is returned."""
        path = self.folder / schema
        self.drop(session, schema)
        path.mkdir(parents=True)
        session.sql(f"create schema {schema} location '{path.as_uri()}'")
        return path

    def create_sources(self, session: Any) -> None:
        """The schema of the rows of sources, unless Spark knows it."""
        path = self.folder / self.sources_schema
        path.mkdir(parents=True, exist_ok=True)
        session.sql(f"create schema if not exists {self.sources_schema} location '{path.as_uri()}'")

    def drop(self, session: Any, schema: str) -> None:
        """Drop a schema; also the files of one that Spark knows nothing of, since it forgets what it never finished."""
        session.sql(f"drop schema if exists {schema} cascade")
        shutil.rmtree(self.folder / schema, ignore_errors=True)

    def sweep(self, session: Any, kept: Collection[int]) -> list[str]:
        """Drop what belongs to none of the generations kept: what killed runs left, and what is too old."""
        known = [row[0] for row in session.sql("show schemas").collect()]
        on_disk = [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        dropped = []
        for schema in sorted({*known, *on_disk}):
            found = re.fullmatch(rf"{self.name}_g(\d+)(_raw)?", schema)
            if found and (found[2] or int(found[1]) not in kept):
                self.drop(session, schema)
                dropped.append(schema)
        return dropped

    def create_view(self, session: Any, schema: str, name: str, query: str) -> None:
        """A view in a schema, and its query in the schema's folder."""
        session.sql(f"create view {schema}.{name} as\n{query}")
        (self.folder / schema / f"{name}.sql").write_text(query, encoding="utf-8")

    def know(self, session: Any, schema: str) -> None:
        """Tell Spark of what a schema has where it has forgotten that: a catalog in memory ends with its server."""
        if schema in [row[0] for row in session.sql("show schemas").collect()] or not (self.folder / schema).is_dir():
            return
        session.sql(f"create schema {schema} location '{(self.folder / schema).as_uri()}'")
        for path in sorted(self.folder.joinpath(schema).iterdir()):
            if list(path.glob("*.parquet")):
                session.sql(f"create table {schema}.{path.name} using parquet location '{path.as_uri()}'")
        for query in sorted(self.folder.joinpath(schema).glob("*.sql")):
            session.sql(f"create view {schema}.{query.stem} as\n{query.read_text(encoding='utf-8')}")

    def publish(self, session: Any, generation: int) -> int:
        """Let the views show a generation; how many of them there are."""
        self.know(session, self.schema(generation))
        tables = _names(session, f"show tables in {self.schema(generation)}")
        session.sql(f"create schema if not exists {self.name}")
        for table in tables:
            view = f"create or replace view {self.name}.{table} as select * from {self.schema(generation)}.{table}"
            session.sql(view)
            stop_for_test("spark_view")
        for gone in sorted(set(_names(session, f"show views in {self.name}")) - set(tables)):
            session.sql(f"drop view {self.name}.{gone}")
        return len(tables)


def _names(session: Any, query: str) -> list[str]:
    """Names of tables or views, without those of the session alone."""
    return [row["tableName" if "tables" in query else "viewName"] for row in _lasting(session.sql(query).collect())]


def _lasting(rows: list[Any]) -> list[Any]:
    return [row for row in rows if not row["isTemporary"]]
