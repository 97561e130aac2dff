"""docs/sources.md names every setting of a source and no other, and its steps to add a dataset are enough."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.delivering import Company

from retention_pipeline.contracts import CONTRACTS, Column, Contract, Rule
from retention_pipeline.settings import DatabaseFileSource, FileSource, MysqlSource, PostgresSource, Source

PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text()


def documented(heading: str) -> set[str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_setting_is_documented_where_it_belongs() -> None:
    every = set(Source.model_fields)
    assert documented("Settings of every source") == every
    assert documented("Settings of files") == set(FileSource.model_fields) - every - {"type"}
    databases = {name for kind in (PostgresSource, MysqlSource, DatabaseFileSource) for name in kind.model_fields}
    assert documented("Settings of databases") == databases - every - {"type"}


def test_a_new_dataset_needs_a_contract_and_a_place_in_the_list(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = Contract(
        dataset="visits",
        grain="One row per visit to a shop",
        key=("visit_id",),
        columns=(
            Column("visit_id", "text", required=True),
            Column("customer_id", "text"),
            Column("entered_at", "instant", required=True),
            Column("left_at", "instant"),
        ),
        rules=(Rule("{before:left_at,entered_at}", "left_at is before entered_at"),),
    )
    monkeypatch.setitem(CONTRACTS, "visits", visits)
    load = company.load(
        "visits",
        b"visit_id,customer_id,entered_at,left_at,shop\n"
        b"v1,anna,2024-03-01T10:00:00Z,2024-03-01T10:20:00Z,Ghent\n"
        b"v2,anna,2024-03-01T10:00:00Z,2024-03-01T09:00:00Z,Ghent\n",
    )
    assert (load.new, load.bad) == (1, 1)
    assert company.query("select visit_id, _customer_key, _extra from raw.visits") == [("v1", 1, '{"shop":"Ghent"}')]
    assert company.reasons() == [(3, "left_at is before entered_at")]
