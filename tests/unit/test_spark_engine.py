"""Spark as the engine, without a Spark: settings, what is said where it cannot be used, what is asked of it."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from threading import Event, Lock
from traceback import format_exception
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import yaml
from support.made_publications import MadeHome, figure

from retention_pipeline.orchestration.assets.models import count_models
from retention_pipeline.run import operations
from retention_pipeline.settings import Home, Settings, SettingsError, figure_settings, parse_settings
from retention_pipeline.transform.engine import check_engine
from retention_pipeline.transform.spark import engine
from retention_pipeline.transform.spark import session as spark_session_module
from retention_pipeline.transform.spark.hand_over import HandOverError, bring_back, hand_raw_over
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.running import run_models
from retention_pipeline.transform.spark.session import SparkError, said, settings_for
from retention_pipeline.transform.spark.statements import Model, Statements

BASE = {
    "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"},
    "sources": {"orders": {"type": "files", "path": "orders.csv"}},
}
SPARK = {"engine": "spark", "spark": {"remote": {"env": "SPARK_REMOTE"}}}


def spark_settings(**changes: Any) -> Settings:
    return parse_settings(BASE | SPARK | changes)


@dataclass
class Row:
    """A row of an answer of Spark's."""

    values: dict[str, Any]

    def __getitem__(self, key: str | int) -> Any:
        return list(self.values.values())[key] if isinstance(key, int) else self.values[key]


@dataclass
class Session:
    """Takes down what it is asked, and answers what it was given for it."""

    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    fails_at: str | None = None
    asked: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    goes_on: Event = field(default_factory=Event)

    def sql(self, query: str) -> Session:
        with self.lock:
            self.asked.append(query)
        if self.fails_at and self.fails_at in query:
            raise RuntimeError("[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012\n== SQL (line 1) ==\nselect 1 / 0")
        return self

    def collect(self) -> list[Row]:
        return [Row(values) for values in self.answers.get(self.asked[-1], [])]

    def addTag(self, tag: str) -> None:
        pass

    removeTag = addTag

    def interruptAll(self) -> None:
        self.goes_on.set()


def test_duckdb_is_the_engine_unless_the_settings_say_otherwise() -> None:
    assert parse_settings(BASE).engine == "duckdb"
    settings = spark_settings()
    assert settings.spark is not None and settings.spark.schema_name == "retention"
    assert settings.spark.folder(Path("/home")) == Path("/home/warehouse/spark")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "flink"}, "engine: Input should be 'duckdb' or 'spark' (given: 'flink')"),
        ({"spark": None}, "spark: is missing (remote: {env: NAME}, the variable that holds the address of a server)"),
        ({"spark": {}}, "spark.remote: is missing"),
        (
            {"spark": {"remote": "sc://host/;token=abc"}},
            "spark.remote: write {env: NAME}, the environment variable that holds the address",
        ),
        (
            {"spark": {"remote": {"env": "A"}, "warehouse": "s3://bucket/x"}},
            "spark.warehouse: a folder is expected, on a disk that the cluster shares with this machine",
        ),
        ({"spark": {"remote": {"env": "A"}, "schema": "a-b"}}, "spark.schema: String should match pattern"),
        ({"spark": {"remote": {"env": "A"}, "master": "yarn"}}, "spark.master: unknown key"),
    ],
)
def test_what_is_wrong_in_the_settings_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        spark_settings(**changes)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_the_engine_moves_no_figure() -> None:
    assert figure_settings(spark_settings()) == figure_settings(parse_settings(BASE))


def test_packages_that_are_not_installed_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_session_module, "PACKAGES", ("no_such_package.below",))
    with pytest.raises(
        SparkError, match=r"^engine: spark needs packages .*: pip install 'retention-pipeline\[spark\]'$"
    ):
        check_engine(spark_settings())
    check_engine(parse_settings(BASE))


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        (None, "spark.remote: environment variable SPARK_REMOTE is not set"),
        ("spark://localhost:7077", "spark.remote: the address of a Spark Connect server is expected"),
        ("sc://localhost:port", "spark.remote: the address of a Spark Connect server is expected"),
        ("sc://localhost:{port}/;token=secret", "spark.remote: no Spark Connect server answers at localhost:{port} ("),
    ],
)
def test_a_server_that_is_not_there_is_one_line(
    remote: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = str(closed.getsockname()[1])
    monkeypatch.setattr(spark_session_module, "PACKAGES", ())
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    if remote is not None:
        monkeypatch.setenv("SPARK_REMOTE", remote.replace("{port}", port))
    with pytest.raises(SparkError) as raised:
        check_engine(spark_settings())
    assert str(raised.value).startswith(message.replace("{port}", port))
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_token_is_in_what_is_said_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark repeats a parameter with two equals signs, such as a token with the padding of Base64."""

    def refuse(remote: str) -> None:
        raise ValueError(f"Parameter {remote.rpartition(';')[2]!r} should be provided as a key-value pair")

    pyspark_sql = SimpleNamespace(SparkSession=SimpleNamespace(builder=SimpleNamespace(remote=refuse)))
    monkeypatch.setattr(spark_session_module, "PACKAGES", ())
    monkeypatch.setattr(spark_session_module, "import_module", lambda name: pyspark_sql)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv(
            "SPARK_REMOTE", f"sc://localhost:{listening.getsockname()[1]}/;use_ssl=true;token=c2VjcmV0=="
        )
        with pytest.raises(SparkError) as raised, spark_session_module.spark_session(spark_settings()):
            pass
    assert str(raised.value) == "spark.remote: Parameter 'token=…' should be provided as a key-value pair"
    assert "c2VjcmV0" not in "".join(format_exception(raised.value))


def test_the_smaller_a_home_the_less_spark_prepares_for_it() -> None:
    large, small, tiny = (settings_for(size) for size in (1_000_000_000, 100_000_000, 500_000))
    assert large == {}
    assert (small["spark.sql.adaptive.enabled"], small["spark.sql.shuffle.partitions"]) == ("false", "2")
    assert not any(name.startswith("spark.sql.codegen") for name in small)
    assert small.keys() < tiny.keys()
    assert (tiny["spark.sql.codegen.wholeStage"], tiny["spark.sql.shuffle.partitions"]) == ("false", "1")


def test_spark_is_quoted_without_query_and_stack() -> None:
    error = RuntimeError(
        "[CAST_INVALID_INPUT] The value 'x' of\nthe type cannot be cast. SQLSTATE: 22018\n== SQL (line 7) ==\nx\n"
        "\nJVM stacktrace:\norg.apache.spark.SparkNumberFormatException\n\tat org.apache"
    )
    assert said(error) == "[CAST_INVALID_INPUT] The value 'x' of the type cannot be cast. SQLSTATE: 22018"
    grpc = RuntimeError('<_MultiThreadedRendezvous of RPC:\n\tstatus = UNAVAILABLE\n\tdetails = "gone away"\n>')
    assert said(grpc) == "gone away"
    assert len(said(RuntimeError("x" * 10_000))) < 500


def test_a_model_follows_those_that_it_reads_and_a_failure_leaves_the_others() -> None:
    def model(name: str, *reads: str) -> Model:
        return Model(name, name, "table", (), reads, "")

    models = [model("d", "c"), model("c", "b"), model("b", "a", "raw"), model("a")]

    def made(one: Model) -> Statements:
        return Statements([f"create {one.name}"], [f"drop {one.name}__part"])

    session, told = Session(), list[str]()
    results = run_models(session, models, made, told.append)
    assert told == [result.name for result in results] == ["a", "b", "c", "d"]
    assert session.asked == [text for one in "abcd" for text in (f"create {one}", f"drop {one}__part")]
    session = Session(fails_at="create c")
    results = run_models(session, models, made, told.append)
    assert {one.name: one.status for one in results} == {"a": "success", "b": "success", "c": "error", "d": "skipped"}
    assert (
        next(one.message for one in results if one.name == "c") == "[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012"
    )
    assert session.asked[-1] == "drop c__part"
    assert session.goes_on.is_set()


def test_how_far_spark_is_is_told_from_time_to_time() -> None:
    said, moments, seconds = list[str](), list[str](), iter([0.0, 5.0, 31.0, 31.0, 40.0, 62.0, 62.0])
    listen = count_models(said.append, moments.append, 5, clock=lambda: next(seconds))
    for name in "abcd":
        listen(name)
    assert moments == ["Spark 1 of 5: a", "Spark 2 of 5: b", "Spark 3 of 5: c", "Spark 4 of 5: d"]
    assert said == ["Spark: 2 of 5 models", "Spark: 4 of 5 models"]


def test_what_killed_runs_left_is_dropped_and_nothing_else(tmp_path: Path) -> None:
    lake = Lake("shop", tmp_path)
    for name in ("shop_g7", "shop_g8", "shop_g8_raw", "shop_g3", "other_g1", "shop_gx"):
        (tmp_path / name / "table").mkdir(parents=True)
    names = [
        {"namespace": name} for name in ("default", "shop", "shop_g7", "shop_g9", "shop_g7_raw", "another_shop_g1")
    ]
    session = Session({"show schemas": names})
    assert lake.sweep(session, {3, 7}) == ["shop_g7_raw", "shop_g8", "shop_g8_raw", "shop_g9"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other_g1", "shop_g3", "shop_g7", "shop_gx"]
    assert [text for text in session.asked if text.startswith("drop")] == [
        f"drop schema if exists {name} cascade" for name in ("shop_g7_raw", "shop_g8", "shop_g8_raw", "shop_g9")
    ]


def test_the_views_show_the_published_generation(tmp_path: Path) -> None:
    tables = [{"namespace": "shop_g7", "tableName": name, "isTemporary": False} for name in ("periods", "period_mrr")]
    views = [{"namespace": "shop", "viewName": name, "isTemporary": False} for name in ("periods", "period_gone")]
    session = Session({"show tables in shop_g7": tables, "show views in shop": views})
    assert Lake("shop", tmp_path).publish(session, 7) == 2
    assert session.asked == [
        "show schemas",
        "show tables in shop_g7",
        "create schema if not exists shop",
        "create or replace view shop.periods as select * from shop_g7.periods",
        "create or replace view shop.period_mrr as select * from shop_g7.period_mrr",
        "show views in shop",
        "drop view shop.period_gone",
    ]


def test_tables_and_views_that_a_new_server_has_forgotten_are_made_known_to_it(tmp_path: Path) -> None:
    for table in ("periods", "half_made"):
        (tmp_path / "shop_g7" / table).mkdir(parents=True)
    (tmp_path / "shop_g7" / "periods" / "part-0.parquet").touch()
    lake = Lake("shop", tmp_path)
    lake.create_view(Session(), "shop_g7", "months", "select * from shop_g7.periods")
    session = Session()
    lake.know(session, "shop_g7")
    assert session.asked == [
        "show schemas",
        f"create schema shop_g7 location '{(tmp_path / 'shop_g7').as_uri()}'",
        f"create table shop_g7.periods using parquet location '{(tmp_path / 'shop_g7' / 'periods').as_uri()}'",
        "create view shop_g7.months as\nselect * from shop_g7.periods",
    ]
    session = Session({"show schemas": [{"namespace": "shop_g7"}]})
    lake.know(session, "shop_g7")
    assert session.asked == ["show schemas"]


def test_a_restored_generation_is_what_the_views_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MadeHome(tmp_path)
    for day in (1, 2):
        made.publish([figure(1, day)], as_of=date(2026, 2, day), at=datetime(2026, 2, day))
    made.home.settings_file.write_text(yaml.safe_dump(BASE | SPARK))
    schemas = [{"namespace": f"retention_g{number}"} for number in (1, 2, 3)]
    tables = [{"namespace": "retention_g1", "tableName": "periods", "isTemporary": False}]
    session = Session({"show schemas": schemas, "show tables in retention_g1": tables})
    monkeypatch.setattr(engine, "spark_session", lambda *_, **_named: nullcontext(session))
    said = list[str]()
    assert operations.restore(made.home, progress=said.append).number == 1
    assert "create or replace view retention.periods as select * from retention_g1.periods" in session.asked
    assert [text for text in session.asked if text.startswith("drop schema")] == [
        "drop schema if exists retention_g3 cascade"
    ]

    def refuse(*_: Any, **_named: Any) -> Any:
        raise SparkError("spark.remote: no Spark Connect server answers at localhost:1 (refused)")

    monkeypatch.setattr(engine, "spark_session", refuse)
    assert operations.restore(made.home, 2, progress=said.append).number == 2
    assert said == [
        "the views on Spark were not moved: spark.remote: no Spark Connect server answers at localhost:1 (refused)"
    ]


def test_raw_is_handed_over_with_its_types(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.warehouse.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.raw_file}' as store")
        connection.execute("use store")
        connection.execute("create schema raw")
        connection.execute(
            "create table raw.orders as select 'a' as order_id, 1.50::decimal(18, 2) as amount, "
            "timestamp '2024-01-01 10:00:00' as ordered_at, json('{}') as _extra, 7::hugeint as points, uuid() as other"
        )
    folder, session = tmp_path / "lake", Session()
    folder.mkdir()
    assert hand_raw_over(session, home, "shop_g1_raw", folder) == (folder / "orders" / "rows.parquet").stat().st_size
    assert session.asked == [
        "create table if not exists shop_g1_raw.`orders` (`order_id` string, `amount` decimal(18,2), "
        "`ordered_at` timestamp, `_extra` string, `points` decimal(38, 0), `other` string) using parquet "
        f"location '{(folder / 'orders').as_uri()}'"
    ]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'America/New_York'")
        shown = connection.execute(
            "select order_id, amount::varchar, timezone('UTC', ordered_at)::varchar, _extra, points::varchar "
            f"from '{folder}/orders/*.parquet'"
        ).fetchall()
        types = connection.execute(f"select * from '{folder}/orders/*.parquet'").description
    assert shown == [("a", "1.50", "2024-01-01 10:00:00", "{}", "7")]
    # An instant, as Spark's timestamp is; a number of 38 digits, and not one in floating point.
    assert [str(one[1]) for one in types or ()] == [
        "VARCHAR",
        "DECIMAL(18,2)",
        "TIMESTAMP WITH TIME ZONE",
        "VARCHAR",
        "DECIMAL(38,0)",
        "VARCHAR",
    ]


def test_rows_come_back_with_the_types_of_the_table(tmp_path: Path) -> None:
    file = tmp_path / "next.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table sums (name varchar, money decimal(38, 2), n bigint, at_day date)")
        connection.execute("insert into sums values ('of the build without rows', 0, 0, null)")
        connection.execute("create table nothing (n integer)")
        (tmp_path / "sums").mkdir()
        (tmp_path / "nothing").mkdir()
        connection.execute(
            "copy (select 3::integer as n, 1.5::decimal(20, 4) as money, 'a' as name, date '2024-01-01' as at_day) "
            f"to '{tmp_path}/sums/part-0.parquet'"
        )
    bring_back(file, tmp_path, ["sums", "nothing"])
    with duckdb.connect(str(file)) as connection:
        rows = connection.execute("select name, money::varchar, n, at_day from sums").fetchall()
        assert rows == [("a", "1.50", 3, date(2024, 1, 1))]
        connection.execute("alter table sums add column further integer")
    with pytest.raises(HandOverError, match=r"^sums has other columns on Spark: further$"):
        bring_back(file, tmp_path, ["sums"])
    with pytest.raises(HandOverError, match=r"gone is not in .*: is this the cluster's folder too"):
        bring_back(file, tmp_path, ["gone"])
