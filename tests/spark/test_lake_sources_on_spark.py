"""The same rows as files, as a database's table and as a table of the lake are the same raw: current rows, history,
refused rows with their reasons, counts and customers' keys, night after night.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from support.computed_home import compute_home
from support.lake_home import Lakeside, differences, into_the_lake, spark_for_tests
from support.plain_run import run
from support.spark_home import REMOTE, build_on_spark, differing_rows

from retention_pipeline.ingest import ingest
from retention_pipeline.ingest.forgotten import keyed_hash, privacy_key, write_forgotten
from retention_pipeline.ingest.result import IngestError
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform.engine import loaders
from retention_pipeline.transform.spark.local_server import why_not
from retention_pipeline.transform.spark.session import spark_session
from retention_pipeline.warehouse import opened_raw

pytestmark = [pytest.mark.proof, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

TIMES = ["2024-01-31 12:00:00", "2024-02-01", "2024-10-27 02:15:00", "2024-03-01T10:00:00Z", "2024-03-31 02:30:00"]


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with spark_for_tests(tmp_path_factory.mktemp("spark")) as address, pytest.MonkeyPatch.context() as patched:
        patched.setenv(REMOTE, address)
        yield


def orders_as_text(chance: random.Random, number: int, night: int) -> pa.Table:
    """Orders as careless people export them, several rows of a key, some of them as new as each other."""
    rows = [
        {
            "order_id": chance.choice([f"o{chance.randrange(number // 2)}"] * 9 + [None, " "]),
            "customer_id": chance.choice([f" c{chance.randrange(40)}", "guest", None, "null", "\u00a0Ünï\u3000"]),
            "ordered_at": chance.choice([*TIMES * 4, "31/01/2024", "1900-01-01", None]),
            "amount": chance.choice(["1.00", "2.50", "-3", "1234567890123456.78", "2.500", "12,5", None, "7.555"]),
            "currency": chance.choice(["EUR", "eur", " USD ", "US"]),
            "status": chance.choice(["paid", "Shipped", "paid", "void"]),
            "refunded_amount": chance.choice([None, None, None, "0.50", "9"]),
            "updated_at": chance.choice(["2024-05-01 00:00:00", f"2024-05-0{night} 01:00:00", "2024-05-01T00:00:00Z"]),
            "colour": chance.choice([None, "réd", 'b"l\\ue']),
        }
        for _ in range(number)
    ]
    return pa.Table.from_pylist(rows)


def subscriptions_as_types(chance: random.Random, number: int, night: int) -> pa.Table:
    """Phases with times, numbers and truth values that have their types, wider ones than the contract's."""
    day = [datetime(2024, 1, 1), datetime(2024, 2, 1, 13, 30), datetime(2024, 10, 27, 2, 30), datetime(2023, 7, 1)]
    rows = [
        {
            "subscription_id": chance.choice([f"s{chance.randrange(number // 2)}"] * 9 + [None]),
            "customer_id": chance.choice([chance.randrange(40), chance.randrange(40), None]),
            "plan": chance.choice(["basic", "pro", " pro "]),
            "amount": Decimal(chance.choice(["9.990000000", "1.1234567", "-1", "99999999999"])),
            "quantity": chance.choice([1.0, 2.0, None, 2.5, 0.0]),
            "currency": chance.choice(["EUR", "usd"]),
            "interval": chance.choice(["month", "year", "fortnight"]),
            "status": chance.choice(["active", "cancelled", "ACTIVE"]),
            "started_at": chance.choice([*day, None]),
            "ended_at": chance.choice([None, None, *(one.replace(tzinfo=UTC) for one in day)]),
            "term_ends_at": chance.choice([None, date(2024, 12, 31), date(9999, 12, 31)]),
            "updated_at": chance.choice([None, *(datetime(2024, 5, one, tzinfo=UTC) for one in (1, night))]),
        }
        for _ in range(number)
    ]
    types = {
        "customer_id": pa.int64(),
        "amount": pa.decimal128(30, 9),
        "quantity": pa.float64(),
        "started_at": pa.timestamp("us"),
        "ended_at": pa.timestamp("us", "UTC"),
        "term_ends_at": pa.date32(),
        "updated_at": pa.timestamp("us", "UTC"),
    }
    columns = list(rows[0])
    return pa.table({one: pa.array([row[one] for row in rows], types.get(one, pa.string())) for one in columns})


OF_TEXT = {
    "timezone": "Europe/Amsterdam",
    "values": {"status": {"paid": ["shipped"]}, "customer_id": {"": ["guest"]}},
}


def test_text_is_read_as_a_file_is(tmp_path: Path) -> None:
    sides = Lakeside(tmp_path, {"orders": OF_TEXT})
    ours, theirs = sides.night({"orders": orders_as_text(random.Random(3), 300, 1)})
    assert len(ours["orders"]) > 40 and len(ours["orders_history"]) > 5 and len(ours["orders refused"]) > 100
    assert differences(ours, theirs) == {}
    assert [load.status for load in sides.load("lake").loads] == ["already_loaded"]


def test_versions_are_those_of_a_database_night_after_night(tmp_path: Path) -> None:
    chance = random.Random(4)
    sides = Lakeside(tmp_path, {"orders": OF_TEXT}, as_pulls=True)
    rows = orders_as_text(chance, 300, 1)
    for night in (1, 2, 3):
        assert differences(*sides.night({"orders": rows})) == {}
        rows = pa.concat_tables([rows.slice(40 * night, 150), orders_as_text(chance, 120, night + 1)])


@pytest.mark.parametrize("deletes", ["ignore", "compare_keys", {"column": "gone"}])
def test_types_are_read_as_a_databases_are(tmp_path: Path, deletes: Any) -> None:
    chance = random.Random(5)
    source = {"timezone": "America/New_York", "deletes": deletes, "max_delete": 1.0}
    sides = Lakeside(tmp_path, {"subscriptions": source}, as_pulls=True)
    rows = subscriptions_as_types(chance, 400, 1)
    for night in (1, 2):
        gone = pa.array([chance.random() < 0.2 for _ in range(len(rows))])
        told = rows.append_column("gone", gone) if isinstance(deletes, dict) else rows
        ours, theirs = sides.night({"subscriptions": told})
        assert len(ours["subscriptions"]) > 10 and len(ours["subscriptions refused"]) > 20
        assert differences(ours, theirs) == {}
        rows = pa.concat_tables([rows.slice(100, 250), subscriptions_as_types(chance, 150, night + 1)])


def test_what_cannot_be_loaded_is_told_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    sides = Lakeside(tmp_path, {"tickets": {"timezone": "UTC", "deletes": "compare_keys"}}, as_pulls=True)
    [missing] = sides.load("lake").loads
    assert missing.status == "failed" and "tables/tickets" in (missing.error or "")
    rows = pa.table(
        {
            "ticket_id": [f"t{number}" for number in range(20)],
            "customer_id": ["c1"] * 20,
            "opened_at": ["2024-01-31 12:00:00"] * 20,
        }
    )
    before = sides.night({"tickets": rows})[1]
    sides.put({"tickets": rows.slice(0, 5)})
    [shrunken] = sides.load("lake").loads
    assert shrunken.status == "failed" and "15 of 20 rows would be deleted (75%" in (shrunken.error or "")
    twice = rows.set_column(2, "opened_at", pa.array(["2024-01-31 13:00:00"] * 20))
    sides.put({"tickets": pa.concat_tables([rows, twice])})
    [contradicting] = sides.load("lake").loads
    assert contradicting.status == "failed" and (contradicting.error or "").startswith("20 keys stand on several rows")
    settings = sides.home("lake").settings_file
    settings.write_text(settings.read_text().replace("max_quarantine_rate: 1.0", "max_quarantine_rate: 0.1"))
    sides.put({"tickets": rows.set_column(2, "opened_at", pa.array(["soon"] * 20))})
    with pytest.raises(IngestError, match=r"20 of 20 rows refused \(100.0%, allowed 10.0%\); first: opened_at: 'soon'"):
        sides.load("lake")
    assert sides.raw("lake") == before


def test_a_load_that_was_killed_is_made_again_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = Lakeside(tmp_path, {"orders": OF_TEXT}, as_pulls=True)
    chance = random.Random(6)
    sides.night({"orders": orders_as_text(chance, 60, 1)})

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    sides.put({"orders": orders_as_text(chance, 80, 2)})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("retention_pipeline.transform.spark.lake_loader.write_lake_table", killed)
        sides.load("lake")
    for kind in ("here", "lake"):
        sides.load(kind)
    assert differences(sides.raw("here"), sides.raw("lake")) == {}
    left = sorted(path.name for path in next((tmp_path / "lake" / "warehouse" / "spark").iterdir()).iterdir())
    assert left == ["orders_l2", "orders_l2_history", "orders_l2_refused"]


def test_a_query_a_table_and_columns_that_are_not_kept(tmp_path: Path) -> None:
    sides = Lakeside(tmp_path, {"tickets": {"timezone": "UTC"}}, as_pulls=True)
    content = yaml.safe_load(sides.home("lake").settings_file.read_text())
    folder = content["sources"]["tickets"].pop("folder")
    query = f"select *, 'slow' as reason from parquet.`{folder}` where ticket_id > 't0';"
    content["sources"]["tickets"]["query"] = query
    content["privacy"] = {"drop": {"tickets": ["email"]}}
    sides.home("lake").settings_file.write_text(yaml.safe_dump(content))
    rows = {"ticket_id": ["t0", "t1"], "customer_id": ["c1", "c2"], "email": ["a@b.example", "c@d.example"]}
    sides.put({"tickets": pa.table({**rows, "opened_at": ["2024-01-31 12:00:00"] * 2})})
    [load] = sides.load("lake").loads
    assert (load.status, load.new, load.drift.added) == ("loaded", 1, ())
    [row] = sides.raw("lake")["tickets"]
    assert row[0] == "t1" and "slow" in row and not any("example" in str(value) for value in row)
    with spark_session(sides.settings("lake")) as session:
        session.sql(f"create schema if not exists bronze_{load.new}").collect()
        session.sql(f"create or replace view bronze_{load.new}.t as select * from parquet.`{folder}`").collect()
    del content["sources"]["tickets"]["query"]
    content["sources"]["tickets"]["table"] = f"bronze_{load.new}.t"
    sides.home("lake").settings_file.write_text(yaml.safe_dump(content))
    [load] = sides.load("lake").loads
    assert (load.status, load.new, load.changed) == ("loaded", 1, 1)


def test_whoever_was_forgotten_must_be_gone_in_the_lake_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGET_KEY", "a random text")
    sides = Lakeside(tmp_path, {"tickets": {"timezone": "UTC"}}, as_pulls=True)
    home = sides.home("lake")
    content = yaml.safe_load(home.settings_file.read_text()) | {"privacy": {"key": {"env": "FORGET_KEY"}}}
    home.settings_file.write_text(yaml.safe_dump(content))
    key = privacy_key(sides.settings("lake"))
    write_forgotten(home, key, {keyed_hash(key, "somebody"): "nobody-1"}, [])
    rows = {"ticket_id": ["t0", "t1"], "customer_id": ["somebody", "c2"]}
    sides.put({"tickets": pa.table({**rows, "opened_at": ["2024-01-31 12:00:00"] * 2})})
    [load] = sides.load("lake").loads
    assert (load.status, load.error) == (
        "failed",
        "it has rows of 1 forgotten person: take them out of the lake, too",
    )
    sides.put({"tickets": pa.table({**rows, "opened_at": ["soon", "2024-01-31 12:00:00"]})})
    [load] = sides.load("lake").loads
    assert (load.status, load.bad) == ("loaded", 1)
    with opened_raw(home) as raw:
        [(shown,)] = raw.execute("select decode(raw) from raw.quarantine").fetchall()
    assert "nobody-1" in shown and "somebody" not in shown


@pytest.mark.parametrize("story", ["won_and_loyal", "company"])
def test_figures_of_tables_in_the_lake_are_those_of_files(story: str, tmp_path: Path) -> None:
    golden = Path(__file__).parent.parent / "golden" / story
    as_of = date.fromisoformat((golden / "as_of").read_text().strip())
    for name in ("files", "lake"):
        shutil.copytree(golden, tmp_path / name, ignore=shutil.ignore_patterns("expected*"))
    file = compute_home(tmp_path / "files", as_of, may_refuse_rows=True)
    root = tmp_path / "lake"
    into_the_lake(root, "orders", "subscriptions", "customers")
    settings = load_settings(Home(root))
    now = datetime.combine(as_of, time(2))
    result = ingest(Home(root), settings, now=now, lake_loader=loaders(settings)["lake_loader"])
    assert {load.status for load in result.loads} == {"loaded"}
    on_spark, tables = build_on_spark(root, as_of)
    assert len(tables) > 40
    assert differing_rows(file, on_spark, tables) == {}


def test_what_changes_in_the_lake_is_restated_with_its_rows(tmp_path: Path) -> None:
    sides = Lakeside(
        tmp_path, {"orders": {"timezone": "UTC", "deletes": "compare_keys", "max_delete": 0.5}}, as_pulls=True
    )
    for kind in ("here", "lake"):
        file = sides.home(kind).settings_file
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"grains": ["month"]}))
    columns = ("order_id", "customer_id", "ordered_at", "amount", "currency", "status")
    known = [(f"o{day}", f"c{day % 3}", f"2024-04-{day:02} 12:00:00", "10.00", "EUR", "paid") for day in range(1, 9)]
    corrected = [(*known[0][:3], "12.00", "EUR", "paid"), *known[1:7]]  # and the last is gone
    late = [("late", "c9", "2024-04-30 21:59:59", "5.00", "EUR", "paid")]
    for rows in (known, corrected + late):
        sides.put({"orders": pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows])})
        for kind in ("here", "lake"):
            today = date(2024, 6, sides.nights)
            run(
                sides.home(kind),
                sides.settings(kind),
                today,
                now=datetime.combine(today, time(2)),
                by_dbt=kind == "lake",
            )
    found = {}
    for kind in ("here", "lake"):
        with duckdb.connect(str(sides.home(kind).current.resolve()), read_only=True) as published:
            found[kind] = published.execute(
                "select * exclude (generation) from restatement_rows order by all"
            ).fetchall()
            causes = published.execute("select distinct cause from restatements order by all").fetchall()
        assert {cause for (cause,) in causes} >= {"late", "corrected", "deleted"}
    assert found["lake"] == found["here"]
