"""What is done to the tables of a generation once dbt has built them: comments, and those of absent models go."""

from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.transform.build import comment_on_tables, drop_tables
from retention_pipeline.transform.manifest import manifest_json


def warehouse(path: Path) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table periods (grain varchar, period_start date)")
        connection.execute("create table pipeline_runs (run_id varchar)")
        connection.execute("create view mrr_by_currency as select 'month' as grain")
    return path


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_tables_views_and_columns_carry_the_descriptions_of_their_models(tmp_path: Path) -> None:
    path = warehouse(tmp_path / "next.duckdb")
    comment_on_tables(path, manifest_json())
    tables: dict[str, str] = dict(asked(path, "select table_name, comment from duckdb_tables()"))
    assert tables["periods"].startswith("One row per ")
    assert tables["pipeline_runs"] is None
    assert asked(path, "select comment from duckdb_views() where view_name = 'mrr_by_currency'")[0][0]
    columns: dict[str, str] = dict(
        asked(path, "select column_name, comment from duckdb_columns() where table_name = 'periods'")
    )
    assert columns["grain"]


def test_tables_and_views_that_are_absent_are_dropped(tmp_path: Path) -> None:
    path = warehouse(tmp_path / "next.duckdb")
    drop_tables(path, ["mrr_by_currency", "periods", "never_there"])
    assert asked(path, "select table_name from duckdb_tables()") == [("pipeline_runs",)]
    assert asked(path, "select view_name from duckdb_views() where not internal") == []
