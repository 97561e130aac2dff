"""The house rules of the dbt project, read off its manifest: layers, one yml per model, no drift.

Nothing is built here; what models compute is tested by their unit tests and by the golden stories.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pytest

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.transform.manifest import PROJECT, manifest_json

MANIFEST = manifest_json()
MODELS: dict[str, dict[str, Any]] = {
    node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"
}
MACROS: dict[str, dict[str, Any]] = {
    macro["name"]: macro for macro in MANIFEST["macros"].values() if macro["package_name"] == "retention"
}
MARTS = sorted(name for name, model in MODELS.items() if model["path"].startswith("marts/"))
SOURCES: dict[str, dict[str, Any]] = {source["name"]: source for source in MANIFEST["sources"].values()}

# The layers that each layer may read. `source` is raw; `night` says who is touched in this run.
MAY_READ = {
    "staging": {"source", "night"},
    "intermediate": {"staging", "night", "intermediate"},
    "marts": {"intermediate", "marts"},
    "night": {"source", "intermediate", "night"},
}

# What has a column per dimension of the setting segments: no contract can list its columns.
COLUMNS_BY_SETTINGS = {"customer_profiles"}

# Facts and their sums obey the rules of `intermediate` also where they are public (lost_by_reason, tickets_by_reason).
FACTS = ("by_customer", "merged", "contributions")

ENGINES = ("duckdb", "spark")
# What no text says but macros that are there for it. Whether both engines take the SQL is asked of compiled models
# (test_two_engines.py).
ONLY_IN_MACROS = {
    "the name of an engine": r"\b(duckdb|spark|target\.type|target\.name)\b",
    "dbt's dates, which are not the same on both engines": r"\bdbt\.(datediff|dateadd|last_day|date_spine)\b",
}


def _layer(node_id: str) -> str:
    if node_id.startswith("source."):
        return "source"
    node = MANIFEST["nodes"][node_id]
    if node["config"]["materialized"] in FACTS:
        return "intermediate"
    return PurePosixPath(node["path"]).parts[0]


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", re.sub(r"\{#.*?#\}", " ", text, flags=re.DOTALL), flags=re.DOTALL)


def _is_of_one_engine(macro: str) -> bool:
    return macro.startswith(tuple(f"{engine}__" for engine in ENGINES))


def _comes_from_dbt(macro: str) -> bool:
    """Materializations and generic tests are called by dbt, under these names."""
    return macro.startswith(("materialization_", "test_"))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_reads_only_the_layers_below_it(name: str) -> None:
    model = MODELS[name]
    layer = _layer(model["unique_id"])
    wrong = {
        f"{parent} ({_layer(parent)})"
        for parent in model["depends_on"]["nodes"]
        if _layer(parent) not in MAY_READ[layer]
    }
    assert not wrong, f"{name} is in {layer}, which reads {sorted(MAY_READ[layer])}"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_is_described_by_its_grain_in_a_yml_of_the_same_stem(name: str) -> None:
    model = MODELS[name]
    path = PurePosixPath(model["original_file_path"])
    assert model["patch_path"] == f"retention://{path.with_suffix('.yml')}"
    assert model["description"].startswith("One row per "), model["description"]


@pytest.mark.parametrize("name", MARTS)
def test_a_mart_has_an_enforced_contract_and_every_column_a_description(name: str) -> None:
    model = MODELS[name]
    assert model["config"]["contract"]["enforced"] is (name not in COLUMNS_BY_SETTINGS)
    assert [
        column for column, about in model["columns"].items() if not (about["description"] and about["data_type"])
    ] == []


def test_names_say_the_folder() -> None:
    prefixes: dict[str, str | tuple[str, ...]] = {
        "staging": "stg_",
        "night": "night_",
        "intermediate": ("int_", "missing_"),
        "marts": "",
    }
    wrong = [n for n, m in MODELS.items() if not n.startswith(prefixes[PurePosixPath(m["path"]).parts[0]])]
    assert not wrong
    assert not [name for name in MARTS if name.startswith("int_")]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_leaves_to_macros_what_differs_between_engines(name: str) -> None:
    text = _without_comments(MODELS[name]["raw_code"])
    assert not {rule for rule, pattern in ONLY_IN_MACROS.items() if re.search(pattern, text, re.IGNORECASE)}


@pytest.mark.parametrize("name", sorted(name for name in MACROS if not _is_of_one_engine(name)))
def test_a_macro_that_is_not_of_one_engine_does_so_too(name: str) -> None:
    text = _without_comments(MACROS[name]["macro_sql"])
    if _comes_from_dbt(name):  # the engine is an argument, not a part of the name
        text = re.sub("adapter='(duckdb|spark)'", "", text)
    assert not {rule for rule, pattern in ONLY_IN_MACROS.items() if re.search(pattern, text, re.IGNORECASE)}


def test_the_rules_about_macros_see_what_they_forbid() -> None:
    examples = ["{% if target.type == 'spark' %}", "{{ dbt.datediff('a', 'b', 'month') }}"]
    for (rule, pattern), text in zip(ONLY_IN_MACROS.items(), examples, strict=True):
        assert re.search(pattern, text, re.IGNORECASE), rule


def test_every_macro_has_a_caller() -> None:
    texts = {f"model {name}": model["raw_code"] for name, model in MODELS.items()}
    texts |= {f"macro {name}": macro["macro_sql"] for name, macro in MACROS.items()}
    texts = {name: _without_comments(text) for name, text in texts.items()}
    uncalled = []
    for name in MACROS:
        if _comes_from_dbt(name):
            continue
        called = name.split("__", 1)[1] if _is_of_one_engine(name) else name
        pattern = rf"dispatch\('{called}'" if _is_of_one_engine(name) else rf"\b{called}\s*\("
        definition = rf"macro\s+{called}\s*\("
        if not any(re.search(pattern, re.sub(definition, "", text)) for text in texts.values()):
            uncalled.append(name)
    assert not uncalled


def test_every_materialization_and_generic_test_of_ours_is_used() -> None:
    materialized = {model["config"]["materialized"] for model in MODELS.values()}
    made = {
        name.removeprefix("materialization_").removesuffix("_default")
        for name in MACROS
        if name.startswith("materialization_") and name.endswith("_default")
    }
    assert made <= materialized, made - materialized
    tested = {node["test_metadata"]["name"] for node in MANIFEST["nodes"].values() if node.get("test_metadata")}
    ours = {name.removeprefix("test_") for name in MACROS if name.startswith("test_")}
    assert ours <= tested, ours - tested


def test_no_model_calls_a_macro_of_the_tests() -> None:
    """They are left out of the fingerprint of the code (transform/fingerprints.py)."""
    tests = {name for name, macro in MACROS.items() if macro["path"] == "macros/tests.sql"}
    callers = {**MODELS, **{name: macro for name, macro in MACROS.items() if name not in tests}}
    wrong = {
        name
        for name, caller in callers.items()
        if {macro.split(".")[-1] for macro in caller["depends_on"]["macros"]} & tests
    }
    assert tests and not wrong


def test_what_differs_between_engines_is_written_for_each() -> None:
    of_engine = {
        engine: {name.split("__", 1)[1] for name in MACROS if name.startswith(f"{engine}__")} for engine in ENGINES
    }
    assert of_engine["duckdb"] == of_engine["spark"]
    assert of_engine["duckdb"], "no macro knows an engine: this test sees nothing"


@pytest.mark.parametrize("dataset", sorted(name for name in SOURCES if name in CONTRACTS))
def test_the_columns_of_a_source_are_those_of_its_contract(dataset: str) -> None:
    declared = {name: about["data_type"] for name, about in SOURCES[dataset]["columns"].items()}
    spelling = {"varchar": "string"}
    promised = {name: spelling.get(kind, kind).replace(",", ", ") for name, kind in CONTRACTS[dataset].raw_columns}
    assert declared == promised


def test_every_dataset_is_a_source() -> None:
    assert set(CONTRACTS) <= set(SOURCES)


def test_every_source_is_a_dataset_its_history_the_registry_of_keys_or_the_ledger() -> None:
    unknown = {name for name in SOURCES if name.removesuffix("_history") not in CONTRACTS}
    assert unknown == {"customer_keys", "ledger"}
    assert not [name for name, source in SOURCES.items() if not source["description"].startswith("One row per ")]


@pytest.mark.parametrize("dataset", sorted(name for name in SOURCES if name in CONTRACTS))
def test_a_dataset_is_read_by_the_staging_model_of_its_name(dataset: str) -> None:
    assert SOURCES[dataset]["unique_id"] in MODELS[f"stg_{dataset}"]["depends_on"]["nodes"]


def test_the_project_names_its_layers_and_no_other_folder() -> None:
    assert {path.name for path in (PROJECT / "models").iterdir()} == set(MAY_READ)


def test_a_night_knows_the_facts_of_customers_that_events_change() -> None:
    """night_touched leaves out customers of whom events came after their first active day (and nobody where
    engagement_group is a segment): a fact of customers that reads more of events has to be told there.
    """
    read = {MODELS[name]["unique_id"] for name in ("stg_events", "int_active_days", "int_session_lengths")}
    facts = {
        name
        for name, model in MODELS.items()
        if model["config"]["materialized"] == "by_customer" and read.intersection(model["depends_on"]["nodes"])
    }
    assert facts == {"int_first_facts", "int_segment_spans"}
