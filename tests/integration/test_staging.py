"""The golden rows of tests/golden/staging: what a source delivers, loaded by the real ingest, read by staging models.

Each dataset comes as CSV, JSON lines and Parquet. The customers' stories come in several nights, and their staging rows
are looked at after the last.
"""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest import ingest, open_raw
from retention_pipeline.manifest import FILES, PROJECT, manifest_object
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.transform.build import close_connections, environment

GOLDEN = Path(__file__).parent.parent / "golden" / "staging"
DATASETS = sorted(folder.name for folder in GOLDEN.iterdir() if (folder / f"{folder.name}.csv").is_file())
ELSEWHERE = {"orders", "subscriptions", "customers", "customer_aliases", "fx_rates"}  # in the golden stories
FORMATS = ("csv", "jsonl", "parquet")
ZONE = "Europe/Amsterdam"
Row = dict[str, str | None]


def lines_of(path: Path) -> list[Row]:
    """The rows of a CSV file; an empty field is nothing."""
    with path.open(newline="") as file:
        return [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]


def source(folder: str, **settings: Any) -> dict[str, Any]:
    return {"type": "files", "path": f"landing/{folder}/*", "timezone": "UTC", **settings}


def load(home: Home, sources: dict[str, Any], now: datetime) -> None:
    business = {"timezone": ZONE, "reporting_currency": "EUR"}
    ingest(home, parse_settings({"business": business, "sources": sources, "max_quarantine_rate": 1.0}), now=now)


def deliver(home: Home, dataset: str, rows: list[Row], kind: str, name: str = "delivery") -> None:
    """Write rows as a file of the landing folder; a missing value is missing in JSON, null in Parquet."""
    path = home.root / "landing" / dataset / f"{name}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "jsonl":
        path.write_text("".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows))
        return
    columns = ", ".join(f'"{column}" varchar' for column in rows[0])
    with duckdb.connect() as connection:
        connection.execute(f"create table given ({columns})")
        connection.executemany(
            f"insert into given values ({', '.join('?' * len(rows[0]))})", [[*r.values()] for r in rows]
        )
        connection.execute(f"copy given to '{path}' (format {kind})")


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The compiled SQL of every staging model, as on a full refresh."""
    from dbt.cli.main import dbtRunner

    folder = tmp_path_factory.mktemp("staging")
    for file in FILES.values():
        duckdb.connect(str(folder / file)).close()
    paths = {"project-dir": PROJECT, "profiles-dir": PROJECT, "target-path": folder, "log-path": folder / "logs"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    options += ["--vars", json.dumps({"timezone": ZONE, "segments": ["country", "size"]})]
    try:
        with environment({name: str(folder / file) for name, file in FILES.items()}):
            result = dbtRunner(manifest=manifest_object()).invoke(
                ["compile", "--select", "path:models/staging", *options, "--log-level", "none", "--no-version-check"]
            )
    finally:
        close_connections()
    assert result.success, result.exception
    return {one.node.name: one.node.compiled_code for one in result.result.results}


def staged(home: Home, sql: str, columns: list[str]) -> list[Row]:
    """Rows of a staging model as text, in the columns of an expected.csv."""
    named = [f"cast({name} as varchar) as {name}" for name in columns if name != "customer_id"]
    if "customer_id" in columns:
        named.insert(columns.index("customer_id"), "customer_keys.customer_id")
    join = "left join raw.customer_keys using (customer_key)" if "customer_id" in columns else ""
    connection = open_raw(home.raw_file, read_only=True)
    try:
        relation = connection.execute(f"select {', '.join(named)} from ({sql}) as staged {join}")
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]
    finally:
        connection.close()


def in_order(rows: list[Row]) -> list[list[str]]:
    return sorted([text or "" for text in row.values()] for row in rows)


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
    connection = open_raw(home.raw_file, read_only=True)
    found = connection.execute(
        "select line, reason from raw.quarantine where dataset = $1 order by line", [dataset]
    ).fetchall()
    connection.close()
    assert found == expected


def test_every_dataset_has_golden_rows_here_or_in_the_stories() -> None:
    assert set(DATASETS) | ELSEWHERE == set(CONTRACTS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_expected_rows_show_every_column_of_the_staging_model(
    dataset: str, staging: dict[str, str], home: Home
) -> None:
    connection = open_raw(home.raw_file, read_only=True)
    columns = {c[0] for c in connection.execute(f"from ({staging[f'stg_{dataset}']}) limit 0").description}
    connection.close()
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


# Attributes of customers whose source tells the present alone, night after night.


def nights(home: Home, *deliveries: tuple[str, dict[str, Any], list[Row]]) -> None:
    """Load deliveries of customers: (instant of the run, settings by source, rows of the file)."""
    for number, (now, sources, rows) in enumerate(deliveries):
        if rows:
            deliver(home, next(reversed(sources)), rows, "csv", f"{number:02d}")
        named = {name: source(name, **({"dataset": "customers"} | given)) for name, given in sources.items()}
        load(home, named, datetime.fromisoformat(now))


def values_over_time(home: Home, staging: dict[str, str], column: str = "country") -> list[tuple[str | None, ...]]:
    rows = staged(home, staging["stg_customers"], ["customer_id", "valid_from_date", "valid_from", column])
    ordered = sorted(rows, key=lambda row: (row["customer_id"] or "", row["valid_from_date"], row["valid_from"]))
    return [(row["customer_id"], row["valid_from_date"], row[column]) for row in ordered]


def rows(**countries: str | None) -> list[Row]:
    return [{"customer_id": customer, "country": country} for customer, country in countries.items()]


PLAIN: dict[str, Any] = {"customers": {}}
BEGINNING = "0001-01-01"


def test_the_first_value_holds_from_the_beginning_and_a_change_from_the_day_of_its_delivery(
    tmp_path: Path, staging: dict[str, str]
) -> None:
    home = Home(tmp_path)
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, rows(moves="NL", stays="NL")),
        ("2024-02-10T01:00", PLAIN, rows(moves="DE", stays="NL", new="BE")),
        ("2024-03-31T22:30", PLAIN, rows(moves="NL", stays="NL", new="BE")),  # 1 April in Amsterdam
    )
    assert values_over_time(home, staging) == [
        ("moves", BEGINNING, "NL"),
        ("moves", "2024-02-10", "DE"),
        ("moves", "2024-04-01", "NL"),
        ("new", BEGINNING, "BE"),
        ("stays", BEGINNING, "NL"),
    ]


def test_of_several_deliveries_of_a_day_the_last_stands_so_a_mistake_can_be_mended(
    tmp_path: Path, staging: dict[str, str]
) -> None:
    home = Home(tmp_path)
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, rows(anna="Nl")),
        ("2024-01-10T15:00", PLAIN, rows(anna="NL")),
        ("2024-02-10T01:00", PLAIN, rows(anna="DD")),
        ("2024-02-10T15:00", PLAIN, rows(anna="DE")),
    )
    assert values_over_time(home, staging) == [("anna", BEGINNING, "NL"), ("anna", "2024-02-10", "DE")]


def test_an_attribute_that_comes_later_holds_from_the_beginning(tmp_path: Path, staging: dict[str, str]) -> None:
    home = Home(tmp_path)
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, rows(anna=None)),
        ("2024-02-10T01:00", PLAIN, [{"customer_id": "anna", "country": "NL", "size": "large"}]),
    )
    assert values_over_time(home, staging)[0] == ("anna", BEGINNING, "NL")
    assert values_over_time(home, staging, "size")[0] == ("anna", BEGINNING, "large")


def test_a_source_that_has_valid_from_and_leaves_it_empty_corrects_the_beginning(
    tmp_path: Path, staging: dict[str, str]
) -> None:
    home = Home(tmp_path)
    dated: Row = {"customer_id": "anna", "valid_from": None, "country": "NL"}
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, [dated, dated | {"valid_from": "2023-05-01", "country": "BE"}]),
        ("2024-02-10T01:00", PLAIN, [dated | {"country": "FR"}]),
    )
    assert values_over_time(home, staging) == [("anna", BEGINNING, "FR"), ("anna", "2023-05-01", "BE")]


def test_a_second_source_with_valid_from_corrects_what_the_first_has_told(
    tmp_path: Path, staging: dict[str, str]
) -> None:
    home = Home(tmp_path)
    both: dict[str, Any] = {"customers": {}, "corrections": {}}
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, rows(from_the_start="XX", one_day="NL")),
        ("2024-02-10T01:00", PLAIN, rows(from_the_start="XX", one_day="DE")),
        (
            "2024-02-20T01:00",
            both,
            [
                {"customer_id": "from_the_start", "valid_from": None, "country": "NL"},
                {"customer_id": "one_day", "valid_from": "2024-02-10", "country": "BE"},
            ],
        ),
    )
    assert values_over_time(home, staging) == [
        ("from_the_start", BEGINNING, "NL"),
        ("one_day", BEGINNING, "NL"),
        ("one_day", "2024-02-10", "DE"),  # the instant of the row that its source dates is later: it wins
        ("one_day", "2024-02-10", "BE"),
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (("Holland", "Holland"), [(BEGINNING, "NL")]),
        (("Holland", "NL"), [(BEGINNING, "NL")]),
        (("Holland", "BE"), [(BEGINNING, "NL"), ("2024-02-10", "BE")]),
        (("BE", "Holland"), [(BEGINNING, "BE"), ("2024-02-10", "NL")]),
        (("Holland", "BE", "Holland"), [(BEGINNING, "NL"), ("2024-02-10", "BE"), ("2024-03-10", "NL")]),
        (("Holland", "BE", "NL"), [(BEGINNING, "NL"), ("2024-02-10", "BE"), ("2024-03-10", "NL")]),
    ],
)
def test_what_is_read_again_by_other_settings_holds_from_when_it_first_came(
    told: tuple[str, ...], expected: list[tuple[str, str]], tmp_path: Path, staging: dict[str, str]
) -> None:
    home = Home(tmp_path)
    nights(
        home,
        *(
            (f"2024-0{number}-10T01:00", PLAIN, rows(anna=country) + rows(**{f"other{number}": "SE"}))
            for number, country in enumerate(told, start=1)
        ),
        ("2024-04-10T01:00", {"customers": {"values": {"country": {"NL": ["Holland"]}}}}, []),
    )
    found = [(day, value) for customer, day, value in values_over_time(home, staging) if customer == "anna"]
    merged = [pair for number, pair in enumerate(found) if number == 0 or found[number - 1][1] != pair[1]]
    assert merged == expected
