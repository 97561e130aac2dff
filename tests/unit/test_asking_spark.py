"""A question to the lake is a query and nothing else, before any Spark is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlglot
from sqlglot import exp

from retention_pipeline.cli.tables import QueryError, query_lake
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.transform.spark import asking
from retention_pipeline.transform.spark.asking import AskError, as_query, asked


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


class Forgetful:
    """A session whose catalog knows nothing; it takes down what it is asked, and every answer is one row, n = 1."""

    columns = ("n",)
    schema = SimpleNamespace(fields=[SimpleNamespace(dataType=SimpleNamespace(typeName=lambda: "integer"))])

    def __init__(self) -> None:
        self.asked: list[str] = []

    def sql(self, text: str) -> Forgetful:
        self.asked.append(text)
        return self

    def collect(self) -> list[object]:
        return []

    def toLocalIterator(self) -> Iterator[tuple[int]]:
        return iter([(1,)])


def test_a_catalog_that_has_forgotten_what_is_published_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    business = {"timezone": "UTC", "reporting_currency": "EUR"}
    settings = parse_settings({"business": business, "engine": "spark", "spark": {"remote": {"env": "NOWHERE"}}})
    session = Forgetful()
    monkeypatch.setattr(asking, "spark_session", lambda _: nullcontext(session))
    home = Home(tmp_path)
    assert settings.spark is not None
    schema = settings.spark.folder(home.root) / "retention_g3"
    (schema / "periods").mkdir(parents=True)
    (schema / "periods" / "part-0.parquet").touch()
    with asked(home, settings, "select 1 as n", generation=3) as (names, fetch):
        assert (names, fetch(2)) == (["n"], [(1,)])
    assert session.asked == [
        "show schemas like 'retention'",
        "show schemas",
        f"create schema retention_g3 location '{schema.as_uri()}'",
        f"create table retention_g3.periods using parquet location '{(schema / 'periods').as_uri()}'",
        "use retention_g3",
        "select * from (\nselect 1 as n\n) as asked",
    ]
    for generation in (None, 4):
        with pytest.raises(AskError, match="knows no schema"), asked(home, settings, "select 1", generation=generation):
            pass
