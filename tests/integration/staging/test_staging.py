"""The golden rows of tests/golden/staging: what a source delivers, loaded by the real ingest, read by staging models.

Each dataset comes as CSV, JSON lines and Parquet.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from support.staged_rows import ZONE, Row, deliver, in_order, lines_of, load, source, staged

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest import open_raw
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened_raw

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "staging"
DATASETS = sorted(folder.name for folder in GOLDEN.iterdir() if (folder / f"{folder.name}.csv").is_file())
ELSEWHERE = {"orders", "subscriptions", "customers", "customer_aliases", "fx_rates"}  # in the golden stories
FORMATS = ("csv", "jsonl", "parquet")


@pytest.fixture(scope="module", params=FORMATS)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that has loaded every dataset in one format."""
    home = Home(tmp_path_factory.mktemp(request.param))
    for dataset in DATASETS:
        deliver(home, dataset, lines_of(GOLDEN / dataset / f"{dataset}.csv"), request.param)
    load(home, {dataset: source(dataset) for dataset in DATASETS}, datetime(2024, 5, 1, 2))
    return home


@pytest.mark.parametrize("dataset", DATASETS)
def test_staging_gives_the_expected_rows(dataset: str, home: Home, staging: dict[str, str]) -> None:
    expected = lines_of(GOLDEN / dataset / "expected.csv")
    assert in_order(staged(home, staging[f"stg_{dataset}"], [*expected[0]])) == in_order(expected)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_other_row_is_refused_for_the_reason_written_down(dataset: str, home: Home) -> None:
    header = 0 if next((home.root / "landing" / dataset).iterdir()).suffix == ".csv" else 1
    expected = [(int(row["line"] or 0) - header, row["reason"]) for row in lines_of(GOLDEN / dataset / "refused.csv")]
    question = "select line, reason from raw.quarantine where dataset = $1 order by line"
    with opened_raw(home) as connection:
        found = connection.execute(question, [dataset]).fetchall()
    assert found == expected


def test_every_dataset_has_golden_rows_here_or_in_the_stories() -> None:
    assert set(DATASETS) | ELSEWHERE == set(CONTRACTS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_expected_rows_show_every_column_of_the_staging_model(
    dataset: str, staging: dict[str, str], home: Home
) -> None:
    with opened_raw(home) as connection:
        columns = {c[0] for c in connection.execute(f"from ({staging[f'stg_{dataset}']}) limit 0").description}
    shown = {
        "customer_key" if name == "customer_id" else name for name in lines_of(GOLDEN / dataset / "expected.csv")[0]
    }
    assert columns - {"load_id"} == shown


def test_events_without_an_id_are_the_same_event_where_all_their_columns_are_equal(
    tmp_path: Path, staging: dict[str, str]
) -> None:
    home = Home(tmp_path)
    event: Row = {"customer_id": "anna", "occurred_at": "2024-03-01T10:00:00Z", "event": "login"}
    deliver(home, "events", [event, event, event | {"event": "visit"}], "csv")
    load(home, {"events": source("events")}, datetime(2024, 5, 1, 2))
    deliver(home, "events", [event, event | {"customer_id": "bert"}], "csv", "longer")
    load(home, {"events": source("events")}, datetime(2024, 5, 2, 2))
    found = staged(home, staging["stg_events"], ["customer_id", "event"])
    assert in_order(found) == [["anna", "login"], ["anna", "visit"], ["bert", "login"]]


def test_staging_of_a_dataset_that_is_not_connected_is_empty(tmp_path: Path, staging: dict[str, str]) -> None:
    home = Home(tmp_path)
    open_raw(home.raw_file).close()
    assert {name: staged(home, sql, ["load_id"]) for name, sql in staging.items() if name != "stg_customer_keys"} == {
        name: [] for name in staging if name != "stg_customer_keys"
    }


@pytest.mark.parametrize(
    "zone",
    [
        ZONE,
        "America/Havana",  # clocks are put back from 01:00 to 00:00
        "Asia/Beirut",  # from 00:00 to 23:00 of the day before
        "Pacific/Apia",  # had no 30 December 2011
        "Australia/Lord_Howe",  # by half an hour
        "Asia/Kathmandu",  # 5:45 ahead, 5:30 until 1986
        "Africa/Casablanca",
    ],
)
def test_business_days_of_many_events_are_those_of_each_instant_in_the_time_zone(
    zone: str, staging: dict[str, str]
) -> None:
    """Events go by offsets of UTC days; before 1984 and from 2024 on (40 years before as_of) by their instants."""
    by_offsets = staging["stg_events"].replace(ZONE, zone)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("attach ':memory:' as raw_store")
        connection.execute("create schema raw_store.raw")
        connection.execute("""
            create table raw_store.raw.events as
            select range as event_id, 1 as _customer_key, false as occurred_at_is_date,
                timestamp '1983-01-01' + (year * 365 * 96 + range) * interval 15 minute as occurred_at,
                'login' as event, null as duration_seconds, 1 as _load_id
            from range(370 * 96), (values (0), (3), (24), (28), (40), (41)) as years(year)""")
        days, wrong = connection.execute(f"""
            select count(distinct occurred_date), count(*) filter (
                where occurred_date <> cast(timezone('{zone}', timezone('UTC', occurred_at)) as date)
            ) from ({by_offsets})""").fetchone() or (0, 0)
    assert days > 2000
    assert wrong == 0
