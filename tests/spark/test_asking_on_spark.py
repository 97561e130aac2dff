"""`retention query --engine spark`: what the published views of the lake answer, printed as DuckDB's answers are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.lake_home import spark_for_tests
from support.spark_home import ON_SPARK, REMOTE

from retention_pipeline.cli.tables import QueryError, query_lake
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.local_server import why_not
from retention_pipeline.transform.spark.session import spark_session

pytestmark = [pytest.mark.proof, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
SCHEMA = "asked_for_test"
ROWS = """
    select id, cast(1.50 as decimal(18, 2)) as amount, timestamp '2024-06-30 22:00:00' as changed_at,
        date '2024-07-01' as day, 'a' as id2 from range(0, 120) order by id
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose lake shows a published table."""
    root = tmp_path_factory.mktemp("home")
    with spark_for_tests(root / "server") as address, pytest.MonkeyPatch.context() as patched:
        patched.setenv(REMOTE, address)
        spark = ON_SPARK["spark"] | {"schema": SCHEMA}
        content = {"business": {"timezone": "UTC", "reporting_currency": "EUR"}, "engine": "spark", "spark": spark}
        (root / "settings.yaml").write_text(yaml.safe_dump(content))
        settings = load_settings(Home(root))
        assert settings.spark is not None
        with pytest.raises(QueryError, match=f"Spark knows no schema {SCHEMA}"):
            query_lake(root, "select 1", form="csv", limit=50)
        lake = Lake.of(Home(root), settings.spark)
        with spark_session(settings) as session:
            lake.create(session, lake.schema(1))
            session.sql(f"create table {lake.schema(1)}.sums using parquet as {ROWS}").collect()
            lake.publish(session, 1)
        yield root
        with spark_session(settings) as session:
            lake.drop(session, lake.schema(1))
            session.sql(f"drop schema {SCHEMA} cascade").collect()


def test_answers_look_as_those_of_duckdb(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query_lake(
        root, "select id, amount, changed_at, day, id as id from sums where id < 2 order by id;", form="csv", limit=50
    )
    assert capsys.readouterr().out.splitlines() == [
        "id,amount,changed_at,day,id",
        "0,1.50,2024-06-30 22:00:00,2024-07-01,0",
        "1,1.50,2024-06-30 22:00:00,2024-07-01,1",
    ]
    query_lake(root, "select count(*) as n from sums", form="json", limit=50)
    assert capsys.readouterr().out == '[\n {"n": 120}\n]\n'
    query_lake(root, "select id from sums", form="table", limit=50)
    assert "the first 50 rows; --limit shows more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select nothing from sums", "nothing"),
        ("drop table sums", "PARSE_SYNTAX_ERROR"),
        ("with a as (select 1) insert into sums select * from a", "PARSE_SYNTAX_ERROR"),
        ("select 1) as a; drop view sums; select (1", "PARSE_SYNTAX_ERROR"),
        ("set spark.sql.ansi.enabled = false", "PARSE_SYNTAX_ERROR"),
    ],
)
def test_nothing_but_a_query_is_answered(root: Path, sql: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        query_lake(root, sql, form="csv", limit=50)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_query_ends_when_its_time_is_over(root: Path) -> None:
    endless = "select sum(a.id * b.id) from range(0, 10000000) as a cross join range(0, 10000000) as b"
    with pytest.raises(QueryError, match=r"The query took longer than 3 seconds"):
        query_lake(root, endless, form="csv", limit=50, seconds=3)
