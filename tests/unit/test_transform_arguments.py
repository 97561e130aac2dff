"""What dbt is told, as data: vars, command line, environment."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from retention_pipeline.settings import Business, Home, Settings, parse_settings
from retention_pipeline.transform import (
    code_fingerprint,
    dbt_arguments,
    dbt_environment,
    dbt_vars,
    resolved_segments,
    settings_fingerprint,
)
from retention_pipeline.transform.arguments import kept_settings
from retention_pipeline.transform.build import environment
from retention_pipeline.transform.manifest import manifest_json

ORDERS = {"type": "files", "path": "orders.csv"}


def settings(**changes: Any) -> Settings:
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"} | changes.pop("business", {})
    return parse_settings({"business": business, "sources": {"orders": ORDERS}, **changes})


def told(settings: Settings, **changes: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "as_of": date(2024, 5, 1),
        "previous_as_of": date(2024, 4, 30),
        "applied_load_id": 7,
        "full_refresh": False,
        "run_id": "r1",
        "connected_datasets": ["orders", "customers"],
    }
    return dbt_vars(settings, **(asked | changes))


def test_a_night_tells_what_it_adds_to() -> None:
    variables = told(settings())
    assert variables["night"] is True
    assert (variables["as_of"], variables["previous_as_of"]) == ("2024-05-01", "2024-04-30")
    assert variables["applied_load_id"] == 7


def test_a_full_refresh_tells_nothing_of_a_previous_generation() -> None:
    variables = told(settings(), full_refresh=True)
    assert (variables["night"], variables["previous_as_of"], variables["applied_load_id"]) == (False, None, -1)


def test_every_business_setting_that_models_need_is_told_under_its_own_name() -> None:
    business = {
        "week_start": "sunday",
        "fiscal_year_start": 7,
        "activity_window_days": 60,
        "count_zero_value": True,
        "count_past_due_days": 10,
        "fx_max_age_days": 3,
        "data_start": "2020-01-01",
        "cohort_event": "signup",
        "renewal_min_term_months": 1,
        "renewal_grace_days": 5,
        "churn_reason_classes": {"moved": "voluntary"},
        "payment_recovery_days": 14,
        "email_window_days": 3,
        "email_unit": "sent",
        "csat_positive": {"5": [5]},
    }
    variables = told(settings(business=business, history_start="2021-01-01", cohort_max_age={"week": 10}))
    assert {name: variables[name] for name in business} == business
    assert variables["history_start"] == "2021-01-01"
    assert variables["cohort_max_age"] == {"week": 10, "month": 60, "quarter": 20, "year": 10}


def test_vars_are_the_values_that_the_dbt_project_declares() -> None:
    project = Path(__file__).parents[2] / "dbt_project" / "dbt_project.yml"
    import yaml

    assert set(yaml.safe_load(project.read_text())["vars"]) == set(told(settings())) - {"run_id"}


@pytest.mark.parametrize(
    ("asked", "datasets", "expected"),
    [
        (None, ["orders"], ["first_order_channel"]),
        (
            None,
            ["orders", "customers", "subscriptions"],
            ["country", "acquisition_channel", "plan", "first_order_channel"],
        ),
        (["plan", "tier"], ["customers", "orders"], ["tier"]),
        (["plan", "plan"], ["subscriptions"], ["plan"]),
        ([], ["orders", "customers"], []),
    ],
)
def test_a_dimension_whose_dataset_is_missing_is_dropped(
    asked: list[str] | None, datasets: list[str], expected: list[str]
) -> None:
    assert resolved_segments(asked, datasets) == expected


def test_the_command_line_builds_everything_but_unit_tests_with_its_own_folders() -> None:
    arguments = dbt_arguments(Path("/project"), {"b": 1, "a": None}, target_path=Path("/t"), log_path=Path("/l"))
    assert arguments[0] == "build"
    given = {arguments[i]: arguments[i + 1] for i in range(1, len(arguments) - 1) if arguments[i].startswith("--")}
    assert given["--project-dir"] == given["--profiles-dir"] == "/project"
    assert (given["--target-path"], given["--log-path"]) == ("/t", "/l")
    assert given["--exclude-resource-type"] == "unit_test"
    assert json.loads(given["--vars"]) == {"a": None, "b": 1}


def test_dbt_works_on_the_next_generation_and_reads_raw_and_the_previous_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_MEMORY_LIMIT", "3GB")
    home = Home(Path("/home"))
    assert dbt_environment(home, Path("/home/published/g4.duckdb")) == {
        "RETENTION_WAREHOUSE_FILE": "/home/warehouse/next.duckdb",
        "RETENTION_RAW_FILE": "/home/warehouse/raw.duckdb",
        "RETENTION_PREVIOUS_FILE": "/home/published/g4.duckdb",
        "RETENTION_MEMORY_LIMIT": "3GB",
    }


def test_the_environment_is_put_back_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("NEW", raising=False)
    with pytest.raises(RuntimeError), environment({"KEPT": "during", "NEW": "during"}):
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("during", "during")
        raise RuntimeError
    assert os.environ["KEPT"] == "before" and "NEW" not in os.environ


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"business": {"activity_window_days": 60}}, True),
        ({"history_start": "2020-01-01"}, True),
        ({"segments": []}, True),
        ({"publish": {"keep_generations": 9}}, False),
        ({"schedule": {"cron": "5 5 * * *"}}, False),
    ],
)
def test_only_settings_that_move_figures_change_the_fingerprint(changes: dict[str, Any], moves: bool) -> None:
    before = settings_fingerprint(settings(), ["orders"])
    assert (settings_fingerprint(settings(**changes), ["orders"]) != before) is moves


def test_sums_depend_on_what_models_are_given_and_on_nothing_else() -> None:
    """Every var but those of the run, and of models that every run makes wholly."""
    given = dbt_vars(
        settings(),
        as_of=date(2024, 1, 1),
        previous_as_of=None,
        applied_load_id=-1,
        full_refresh=True,
        run_id="r",
        connected_datasets=["orders"],
    )
    of_the_run = {"as_of", "previous_as_of", "applied_load_id", "night", "backfill", "run_id"}
    made_wholly = {"absent_models", "new_models", "actions", "close_after_days"}
    assert set(kept_settings(settings(), ["orders"])) == set(given) - of_the_run - made_wholly


@pytest.mark.parametrize("name", ["min_n", "gross_margin", "industry", "clv_gates"])
def test_settings_that_only_kpis_read_are_not_given_to_models(name: str) -> None:
    assert name in Business.model_fields
    assert name not in kept_settings(settings(), ["orders"])


def test_a_model_that_takes_sums_over_knows_neither_actions_nor_closing() -> None:
    """Their tables are made wholly in every run, so a change of them needs no full refresh."""
    nodes = [node for node in manifest_json()["nodes"].values() if node["resource_type"] == "model"]
    readers = [node for node in nodes if re.search(r"var\('(actions|close_after_days)'\)", node["raw_code"])]
    assert {node["name"] for node in readers} == {"customer_actions", "periods"}
    assert {node["config"]["materialized"] for node in readers} <= {"table", "view"}


def test_a_newly_connected_dataset_changes_the_fingerprint() -> None:
    assert settings_fingerprint(settings(), ["orders"]) != settings_fingerprint(settings(), ["customers", "orders"])


def test_models_and_macros_change_the_fingerprint_of_the_code_and_tests_do_not(tmp_path: Path) -> None:
    for name in ("models/a.sql", "macros/m.sql", "tests/t.sql"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("select 1")
    before = code_fingerprint(tmp_path)
    (tmp_path / "tests/t.sql").write_text("select 2")
    assert code_fingerprint(tmp_path) == before
    (tmp_path / "macros/m.sql").write_text("select 2")
    changed = code_fingerprint(tmp_path)
    assert changed != before
    (tmp_path / "models/a.sql").rename(tmp_path / "models/b.sql")
    assert code_fingerprint(tmp_path) not in {before, changed}


MODEL_YML = """
models:
  - name: a
    description: One row per thing
    config: {materialized: table}
    data_tests: [{rules: {arguments: {unique: [day]}}}]
    columns:
      - {name: day, data_type: date, description: The day}
unit_tests: [{name: holds, model: a, given: []}]
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "moves"),
    [
        ("models/a.yml", "One row per thing", "One row per day and thing", False),
        ("models/a.yml", "The day", "A day", False),
        ("models/a.yml", "unique: [day]", "not_null: [day]", False),
        ("models/a.yml", "name: holds", "name: holds_well", False),
        ("models/a.yml", "data_type: date", "data_type: timestamp", True),
        ("models/a.yml", "materialized: table", "materialized: by_grain", True),
        ("models/a.sql", "{# once #}", "{# twice, and\nlonger #}", False),
        ("models/a.sql", "select 1", "select 2", True),
        ("macros/tests.sql", "false", "true", False),
        ("dbt_project.yml", "table", "view", True),
    ],
)
def test_words_about_models_and_tests_of_them_do_not_change_the_fingerprint(
    file: str, old: str, new: str, moves: bool, tmp_path: Path
) -> None:
    contents = {
        "models/a.yml": MODEL_YML,
        "models/a.sql": "{# once #}select 1 as day",
        "macros/tests.sql": "{% test rules(model) %} select 1 where false {% endtest %}",
        "dbt_project.yml": "models: {retention: {+materialized: table}}",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    before = code_fingerprint(tmp_path)
    assert old in contents[file]
    (tmp_path / file).write_text(contents[file].replace(old, new))
    assert (code_fingerprint(tmp_path) != before) is moves
