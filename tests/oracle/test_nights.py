"""Deliveries of a made-up company: after the last night the rows in force are the company's own."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from oracle.companies import made_company
from oracle.nights import KEYS, made_nights, rows_in_force


@pytest.mark.parametrize("seed", range(5))
def test_after_the_last_night_the_rows_in_force_are_those_of_the_company(seed: int) -> None:
    company = made_company(Random(seed))
    nights = made_nights(Random(seed), company)
    in_force = rows_in_force(nights)
    assert nights[-1].as_of == company.as_of
    for dataset, rows in company.rows.items():
        found = [{column: text for column, text in row.items() if column != "updated_at"} for row in in_force[dataset]]
        assert keyed(dataset, found) == keyed(dataset, rows), dataset


@pytest.mark.parametrize("seed", range(5))
def test_nights_correct_rows_that_were_delivered_before(seed: int) -> None:
    company = made_company(Random(seed))
    nights = made_nights(Random(seed), company)
    before = rows_in_force(nights[:-1])
    after = rows_in_force(nights)
    changed = [
        dataset
        for dataset in after
        for key, row in keyed(dataset, before.get(dataset, [])).items()
        if keyed(dataset, after[dataset])[key] != row
    ]
    assert changed


def keyed(dataset: str, rows: list[dict[str, str]]) -> dict[tuple[Any, ...], dict[str, str]]:
    return {tuple(row.get(column, "") for column in KEYS[dataset]): row for row in rows}
