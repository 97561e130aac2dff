"""What raw knows of rows that stand in the lake is what a run tells of them; no Spark is asked for it."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from retention_pipeline.ingest.lake_tables import LakeTable, lake_tables, write_lake_table
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.orchestration.assets.raw import totals
from retention_pipeline.publish.quality import write_data_quality
from retention_pipeline.run.mode import decide_mode
from retention_pipeline.run.records import Run
from retention_pipeline.run.state import PipelineState
from retention_pipeline.settings import Home, Settings, parse_settings
from retention_pipeline.transform.arguments import kept_settings
from retention_pipeline.transform.delivered_segments import empty_segments
from retention_pipeline.transform.spark.hand_over import hand_raw_over
from retention_pipeline.transform.spark.tables import Table

NOW = datetime(2024, 6, 1, 2)
TABLE = LakeTable(
    "orders",
    "orders",
    12,
    "files",
    rows=3_000_000_000,
    replaced=7,
    without_customer=5,
    earliest=datetime(2020, 1, 1),
    latest=datetime(2024, 5, 31),
    with_values=("order_id", "amount"),
    reasons={"amount is missing": 2_000_000},
)
FILES = {"type": "files", "path": "o.csv"}


def settings_with(orders: dict[str, str]) -> Settings:
    return parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "segments": ["first_order_channel"],
            "sources": {"orders": orders},
            "engine": "spark",
            "spark": {"remote": {"env": "SPARK_REMOTE"}},
        }
    )


IN_LAKE = settings_with({"type": "lake", "table": "bronze.orders"})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose orders are in the lake, with one of the refused rows."""
    home = Home(tmp_path)
    connection = open_raw(home.raw_file)
    write_lake_table(connection, dataclasses.replace(TABLE, rows=1))
    write_lake_table(connection, TABLE)
    connection.execute(
        "insert into raw.quarantine by name select 12 as load_id, 'orders' as dataset, 'bronze.orders' as file_name,"
        f" 'amount is missing' as reason, timestamp '{NOW}' as loaded_at"
    )
    assert lake_tables(connection, IN_LAKE) == {"orders": TABLE}
    assert lake_tables(connection, settings_with(FILES)) == {}
    connection.close()
    return home


def test_data_quality_counts_what_is_in_the_lake(home: Home) -> None:
    with duckdb.connect() as warehouse:
        write_data_quality(warehouse, home, IN_LAKE, now=NOW)
        told = warehouse.execute(
            "select measure, detail, value, moment from data_quality where dataset = 'orders' order by all"
        ).fetchall()
    assert told == [
        ("earliest_fact", "ordered_at", None, TABLE.earliest),
        ("latest_fact", "ordered_at", None, TABLE.latest),
        ("quarantined", "amount is missing", 2_000_000.0, NOW),
        ("rows", "", 3_000_000_000.0, None),
        ("without_customer", "", 5.0, None),
    ]


def test_dagster_counts_them_and_a_segment_without_a_value_is_left_out(home: Home) -> None:
    counts = totals(home, IN_LAKE, Run("r", date(2024, 6, 1), NOW), "orders")
    assert (counts["dagster/row_count"], counts["replaced versions"], counts["in quarantine"]) == (
        3_000_000_000,
        7,
        2_000_000,
    )
    assert empty_segments(home, IN_LAKE) == ["first_order_channel"]
    connection = open_raw(home.raw_file)
    write_lake_table(connection, dataclasses.replace(TABLE, with_values=("channel",)))
    connection.close()
    assert empty_segments(home, IN_LAKE) == []


def test_tables_in_the_lake_are_handed_over_as_they_stand(home: Home, tmp_path: Path) -> None:
    asked: list[str] = []

    class Session:
        def sql(self, statement: str) -> Session:
            asked.append(statement)
            return self

        def collect(self) -> list[object]:
            return []

    folder = tmp_path / "lake"
    folder.mkdir()
    there = Table("shop_sources.orders_l12", tmp_path / "orders_l12", [])
    hand_raw_over(Session(), home, "shop_g1_raw", folder, {"orders": there})
    assert "create view shop_g1_raw.`orders` as select * from shop_sources.orders_l12" in asked
    assert not (folder / "orders").exists() and (folder / "orders_history").exists()


def test_a_home_that_leaves_the_lake_computes_everything_anew() -> None:
    of_files = settings_with(FILES)
    before, now = (kept_settings(one, ["orders"]) for one in (IN_LAKE, of_files))
    assert before["lake"] == ["orders"] and "lake" not in now
    known: dict[str, Any] = {field.name: None for field in dataclasses.fields(PipelineState)}
    known |= {"generation": 4, "as_of": date(2024, 6, 1), "settings_fingerprint": "s", "code_fingerprint": "c"}
    previous = PipelineState(**known | {"kept_settings": json.dumps(before)})
    mode = decide_mode(
        previous, as_of=date(2024, 6, 2), settings_fingerprint="s", code_fingerprint="c", kept_settings=now
    )
    assert mode.full_refresh and "(lake)" in mode.reason
