"""Which models a home builds, as data: from a manifest and the connected datasets to what dbt leaves out."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.kpis.registry import connected_families
from retention_pipeline.transform.manifest import manifest_json
from retention_pipeline.transform.selection import NEEDS, NEEDS_ANY, absent_models, excluded_nodes, is_built

MANIFEST = manifest_json()
MODELS = {node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"}
DATASETS = sorted(CONTRACTS)


def node(kind: str, name: str, reads: tuple[str, ...] = (), **meta: list[str]) -> dict[str, Any]:
    return {"resource_type": kind, "name": name, "config": {"meta": meta}, "depends_on": {"nodes": list(reads)}}


HAND_MADE = {
    "nodes": {
        "model.calendar": node("model", "calendar"),
        "model.charges": node("model", "charges", needs=["payments"]),
        "model.recovered": node("model", "recovered", needs=["payments", "subscriptions"]),
        "model.spans": node("model", "spans", needs_any=["orders", "subscriptions"]),
        "test.rules_of_charges": node("test", "rules_of_charges", ("model.charges",)),
        "test.across": node("test", "across", ("model.calendar", "model.spans")),
        "test.rules_of_calendar": node("test", "rules_of_calendar", ("model.calendar",)),
    }
}


@pytest.mark.parametrize(
    ("datasets", "absent"),
    [
        ([], ["charges", "recovered", "spans"]),
        (["payments"], ["recovered", "spans"]),
        (["orders"], ["charges", "recovered"]),
        (["payments", "subscriptions"], []),
    ],
)
def test_a_model_is_absent_where_what_it_needs_is_not_connected(datasets: list[str], absent: list[str]) -> None:
    assert absent_models(HAND_MADE, datasets) == absent


def test_data_tests_go_with_a_model_that_they_read() -> None:
    assert excluded_nodes(HAND_MADE, ["charges"]) == ["charges", "rules_of_charges"]
    assert excluded_nodes(HAND_MADE, ["spans"]) == ["across", "spans"]
    assert excluded_nodes(HAND_MADE, []) == []


def test_needs_are_datasets_that_there_are() -> None:
    unknown = {}
    for name, model in MODELS.items():
        meta = model["config"]["meta"]
        words = set(meta) - {NEEDS, NEEDS_ANY}
        named = {*meta.get(NEEDS, []), *meta.get(NEEDS_ANY, [])}
        if words or named - set(CONTRACTS):
            unknown[name] = words | (named - set(CONTRACTS))
    assert not unknown


@pytest.mark.parametrize("datasets", [*combinations(DATASETS, 1), *combinations(DATASETS, 2), tuple(DATASETS)])
def test_a_family_has_its_period_table_in_every_home_that_computes_it(datasets: tuple[str, ...]) -> None:
    absent = absent_models(MANIFEST, datasets)
    without = [family.name for family in connected_families(list(datasets)) if family.period_table in absent]
    assert not without


def _may_be_absent_for(reader: dict[str, Any]) -> set[str]:
    """Models that some home with the reader does not have."""
    found = set()
    for size in (0, 1, 2):
        for datasets in map(frozenset, combinations(DATASETS, size)):
            if is_built(reader, datasets):
                found |= set(absent_models(MANIFEST, datasets))
    return found


@pytest.mark.parametrize("name", sorted(name for name, one in MODELS.items() if one["config"]["materialized"]))
def test_what_may_be_absent_is_read_in_a_way_that_bears_it(name: str) -> None:
    """By fact(), previous() or ref_if_built(), which read no rows instead, of the columns that the yml lists."""
    reader = MODELS[name]
    read = {parent.split(".")[-1] for parent in reader["depends_on"]["nodes"] if parent.startswith("model.")}
    fragile = read & _may_be_absent_for(reader)
    plainly = {one for one in fragile if re.search(rf"\bref\('{one}'\)\s*\}}\}}", reader["raw_code"])}
    assert not plainly, f"{name} reads {plainly} by ref(), and some homes with {name} do not build that"
    untyped = {one for one in fragile if not all(c["data_type"] for c in MODELS[one]["columns"].values())}
    assert not untyped | {one for one in fragile if not MODELS[one]["columns"]}
