"""Which module reads which kind of database."""

from __future__ import annotations

from contextlib import AbstractContextManager

from retention_pipeline.ingest.database_files import open_duckdb, open_sqlite
from retention_pipeline.ingest.mysql import open_mysql
from retention_pipeline.ingest.postgres import open_postgres
from retention_pipeline.ingest.pulls import Pull
from retention_pipeline.settings import DatabaseFileSource, DatabaseSource, Home, MysqlSource, PostgresSource

NAMES = {"postgres": "PostgreSQL", "mysql": "MySQL", "duckdb": "DuckDB", "sqlite": "SQLite"}


def open_pull(source: DatabaseSource, home: Home) -> AbstractContextManager[Pull]:
    """A pull of the source; raises SourceError, in words without secrets, for everything that goes wrong."""
    if isinstance(source, PostgresSource):
        return open_postgres(source)
    if isinstance(source, MysqlSource):
        return open_mysql(source)
    assert isinstance(source, DatabaseFileSource)
    path = home.root / source.path
    return open_duckdb(source, path) if source.type == "duckdb" else open_sqlite(source, path)
