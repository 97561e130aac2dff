"""dbt's data tests see what they are there for: a small company with every dataset runs whole, then each model is
damaged in turn, against each rule that its yml declares, as a full refresh or `retention check` tests it and as a night
does.
"""

import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb
import pytest
from support.plain_run import run
from support.small_shop import AS_OF, open_shop

from retention_pipeline.run import operations
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform.data_tests import compiled_data_tests
from retention_pipeline.transform.manifest import manifest_json

DECLARED: dict[str, dict[str, Any]] = {
    node["name"]: node["test_metadata"]["kwargs"]
    for node in manifest_json()["nodes"].values()
    if node["resource_type"] == "test"
}
MATERIALIZED = {
    node["name"]: node["config"]["materialized"]
    for node in manifest_json()["nodes"].values()
    if node["resource_type"] == "model"
}
BROKEN = [
    (name, rule, column)
    for name, declared in sorted(DECLARED.items())
    for rule, columns in (
        ("key", [", ".join(declared.get("unique", []))] if declared.get("unique") else []),
        ("null", [*declared.get("unique", []), *declared.get("not_null", [])]),
        ("value", list(declared.get("accepted", {}))),
    )
    for column in columns
]


def model_of(test: str) -> str:
    return test.removeprefix("rules_of_")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = open_shop(tmp_path_factory.mktemp("company") / "shop", further=True)
    run(made, load_settings(made), AS_OF, now=datetime(2024, 5, 10, 3))
    return made


@pytest.fixture(scope="module")
def sql(home: Home) -> dict[tuple[str, bool], str]:
    """The SQL of each test, by name and whether for a night."""
    return {
        (test.name, night): test.sql
        for night in (False, True)
        for test in compiled_data_tests(load_settings(home), as_of=AS_OF, night=night)
    }


@pytest.fixture(scope="module")
def generation(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy that may be damaged, in which no customer is touched, no sum was written and every table has a row; each
    test rolls back.
    """
    path = tmp_path_factory.mktemp("damaged") / "next.duckdb"
    shutil.copyfile(home.current.resolve(), path)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as next")
        connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
        connection.execute("use next")
        for test in DECLARED:
            if MATERIALIZED[model_of(test)] == "view":
                make_table(connection, model_of(test))
            fill(connection, model_of(test))
        connection.execute("create schema written")
        for test, declared in DECLARED.items():
            if declared.get("written"):
                connection.execute(f"create table written.{model_of(test)} as from {model_of(test)} limit 0")
        yield connection


def make_table(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Rows of a view as a table of its name, which can be damaged apart from what the view reads."""
    connection.execute(f"create table rows_of_view as from {view}")
    connection.execute(f"drop view {view}")
    connection.execute(f"alter table rows_of_view rename to {view}")


def fill(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """A made-up row for a table that this company leaves empty."""
    if connection.execute(f"select 1 from {table} limit 1").fetchone():
        return
    made = {"DATE": "date '2024-01-01'", "VARCHAR": "'made up'", "BOOLEAN": "true"}
    types = connection.execute(f"select column_type from (describe {table})").fetchall()
    connection.execute(f"insert into {table} select {', '.join(made.get(kind, '1') for (kind,) in types)}")


def test_every_data_test_of_the_project_is_one_of_rules_per_model() -> None:
    assert sorted(DECLARED) == sorted(f"rules_of_{model_of(name)}" for name in DECLARED)
    assert all(name.startswith("rules_of_") and model_of(name) in MATERIALIZED for name in DECLARED)


@pytest.mark.parametrize("test", sorted(DECLARED))
def test_facts_of_customers_and_no_other_models_are_looked_at_by_touched_customers(test: str) -> None:
    assert DECLARED[test].get("by_customer", False) is (MATERIALIZED[model_of(test)] == "by_customer")
    assert MATERIALIZED[model_of(test)] == "contributions" or not DECLARED[test].get("written", False)


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize("test", sorted(DECLARED))
def test_a_sound_generation_breaks_no_rule(
    test: str, night: bool, sql: dict[tuple[str, bool], str], generation: duckdb.DuckDBPyConnection
) -> None:
    assert generation.execute(sql[test, night]).fetchall() == []


@pytest.mark.parametrize(("test", "rule", "column"), BROKEN)
def test_a_broken_rule_is_seen_and_at_night_if_the_customer_is_touched_or_the_sum_was_written(
    test: str, rule: str, column: str, sql: dict[tuple[str, bool], str], generation: duckdb.DuckDBPyConnection
) -> None:
    table, by_customer = model_of(test), DECLARED[test].get("by_customer", False)
    written = DECLARED[test].get("written", False)
    first = f"rowid = (select min(rowid) from {table})"
    damage, sentence = {
        "key": (f"insert into {table} select * from {table} where {first}", "several rows of a key"),
        "null": (f"update {table} set {column} = null where {first}", f"{column} is null"),
        "value": (f"update {table} set {column} = 'unheard of' where {first}", f"{column} is not one of "),
    }[rule]

    def said(night: bool) -> list[str]:
        return [row[0].split(" of ")[0] for row in generation.execute(sql[test, night]).fetchall()]

    expected = [sentence.split(" of ")[0]]
    generation.execute("begin")
    try:
        owner = generation.execute(f"select customer_key from {table} where {first}").fetchone() if by_customer else ()
        generation.execute(damage)
        assert said(False) == expected
        assert said(True) == ([] if by_customer or written else expected)
        if written:
            generation.execute(f"insert into written.{table} from {table}")
            assert said(True) == expected
        if by_customer and column != "customer_key":  # at night rows without a customer are not even written
            generation.execute("insert into night_touched (customer_key) values (?)", owner)
            assert said(True) == expected
    finally:
        generation.execute("rollback")


def test_a_check_runs_the_data_tests_over_everything(home: Home) -> None:
    checked = operations.check(home, load_settings(home))
    assert checked.violations == []
    assert set(DECLARED) <= set(checked.rules)
