"""Which models a run builds: those whose datasets are connected. A pure function of dbt's manifest and the datasets.

A model's yml says what it needs: `config: {meta: {needs: [payments]}}` (all of them) or `needs_any` (at least one). A
model that says nothing is built in every home.
"""

from collections.abc import Iterable, Mapping
from typing import Any

NEEDS, NEEDS_ANY = "needs", "needs_any"


def absent_models(manifest: Mapping[str, Any], datasets: Iterable[str]) -> list[str]:
    """Names of the models that a home with these datasets does not build, in alphabetical order."""
    connected = frozenset(datasets)
    return sorted(
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and not is_built(node, connected)
    )


def is_built(model: Mapping[str, Any], connected: frozenset[str]) -> bool:
    """Whether what a model needs is connected."""
    meta = model["config"].get("meta") or {}
    alternatives = meta.get(NEEDS_ANY)
    return connected.issuperset(meta.get(NEEDS, ())) and (not alternatives or not connected.isdisjoint(alternatives))


def new_models(manifest: Mapping[str, Any], datasets: Iterable[str], before: Iterable[str]) -> list[str]:
    """Names of the models that these datasets have and those of the generation before had not, with the staging models
    of the new datasets, in alphabetical order.
    """
    connected, known = frozenset(datasets), frozenset(before)
    absent = set(absent_models(manifest, connected))
    staged = {f"stg_{dataset}" for dataset in connected - known}
    return sorted({*absent_models(manifest, known), *staged} - absent)


def excluded_nodes(manifest: Mapping[str, Any], absent: Iterable[str]) -> list[str]:
    """What dbt is told to leave out: the absent models, and every data test that reads one."""
    names = frozenset(absent)
    ids = {key for key, node in manifest["nodes"].items() if node["resource_type"] == "model" and node["name"] in names}
    tests = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and not ids.isdisjoint(node["depends_on"]["nodes"])
    }
    return sorted(names | tests)
