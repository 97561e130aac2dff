"""A question to the lake is a query and nothing else, before any Spark is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from retention_pipeline.cli.tables import QueryError, query_lake
from retention_pipeline.transform.spark.asking import AskError, as_query


@pytest.mark.parametrize(
    "sql",
    [
        "select * from periods",
        " with a as (select 1 as x) select x from a order by x; ",
        "select 'drop table; reflect(' as x -- the end",
        "values (1), (2)",
        "select reflect from words",
    ],
)
def test_a_query_is_asked_as_it_stands(sql: str) -> None:
    written = as_query(sql)
    assert sql.strip().rstrip(";").strip() in written
    assert isinstance(sqlglot.parse_one(written, read="spark"), exp.Select)


@pytest.mark.parametrize(
    "sql",
    ["drop table periods", "insert into periods select 1", "set x=1"],
)
def test_what_changes_something_is_no_part_of_a_query(sql: str) -> None:
    with pytest.raises(sqlglot.ParseError):
        sqlglot.parse_one(as_query(sql), read="spark")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (" ; ", "There is no statement in it"),
        ("-- nothing", "There is no statement in it"),
        ("select Reflect ('java.lang.System', 'exit', 0)", "Reflect is not answered"),
        ("select try_reflect('a', 'b')", "try_reflect is not answered"),
        ("select `reflect`/* */('a', 'b')", "reflect is not answered"),
    ],
)
def test_what_is_not_asked_is_said_in_a_line(sql: str, said: str) -> None:
    with pytest.raises(AskError, match=said):
        as_query(sql)


def test_a_home_without_a_spark_says_so(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("business: {timezone: UTC, reporting_currency: EUR}\n")
    with pytest.raises(QueryError, match="names no Spark to ask"):
        query_lake(tmp_path, "select 1", form="table", limit=50)
