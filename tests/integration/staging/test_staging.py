"""The golden rows of tests/golden/staging: what a source delivers, loaded by the real ingest, read by staging models.

Each dataset comes as CSV, JSON lines and Parquet.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from support.staged_rows import Row, deliver, in_order, lines_of, load, source, staged

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
    expected = [(int(row["line"]) - header, row["reason"]) for row in lines_of(GOLDEN / dataset / "refused.csv")]
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
