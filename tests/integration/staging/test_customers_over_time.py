"""Attributes of customers whose source tells the present alone, night after night, as the staging model has them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.staged_rows import Row, deliver, load, source, staged

from retention_pipeline.settings import Home


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


def test_a_correction_may_say_that_todays_value_held_from_the_beginning(
    tmp_path: Path, staging: dict[str, str]
) -> None:
    """Word for word the row that is current since 10 February; what comes after it holds from its own day."""
    home = Home(tmp_path)
    both: dict[str, Any] = {"customers": {}, "corrections": {}}
    correction = {"customer_id": "anna", "valid_from": None, "country": "DE"}
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, rows(anna="NL")),
        ("2024-02-10T01:00", PLAIN, rows(anna="DE")),
        ("2024-02-20T01:00", both, [correction]),
    )
    assert values_over_time(home, staging) == [("anna", BEGINNING, "DE")]
    nights(
        home,
        ("2024-03-10T01:00", {"corrections": {}, "customers": {}}, rows(anna="BE", bert="NL")),
        ("2024-03-20T01:00", both, [correction | {"customer_id": "bert", "country": "NL"}]),
    )
    assert values_over_time(home, staging) == [
        ("anna", BEGINNING, "DE"),
        ("anna", "2024-03-10", "BE"),
        ("bert", BEGINNING, "NL"),
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


RENAMED: dict[str, Any] = {"values": {"country": {"NL": ["Holland"]}}}


@pytest.mark.parametrize(
    "settings",
    [
        {"customers": {}, "corrections": RENAMED},
        {"customers": RENAMED, "corrections": {}},
        {"customers": RENAMED, "corrections": RENAMED},
        {"corrections": RENAMED, "customers": RENAMED},
    ],
)
@pytest.mark.parametrize("country", ["DE", "Holland"])
def test_what_is_read_again_stays_before_and_behind_what_the_other_source_said(
    country: str, settings: dict[str, dict[str, Any]], tmp_path: Path, staging: dict[str, str]
) -> None:
    """A correction of 10 February, and what the source said on 10 March: both stand, whichever settings changed."""
    home = Home(tmp_path)
    nights(
        home,
        ("2024-01-10T01:00", PLAIN, rows(anna="XX")),
        (
            "2024-02-10T01:00",
            {"customers": {}, "corrections": {}},
            [{"customer_id": "anna", "valid_from": None, "country": country}],
        ),
        ("2024-03-10T01:00", {"corrections": {}, "customers": {}}, rows(anna="FR", bert="SE")),
        ("2024-04-10T01:00", settings, []),
    )
    first = "NL" if country == "Holland" and settings["corrections"] else country
    found = [(day, value) for customer, day, value in values_over_time(home, staging) if customer == "anna"]
    assert found == [(BEGINNING, first), ("2024-03-10", "FR")]
