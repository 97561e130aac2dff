"""Night by night equals a full refresh, row for row, on random histories: late, corrected, deleted and moved rows,
merges, attributes, MRR, rates, and as_of jumping by days or weeks.

RETENTION_RANDOM_HISTORIES says how many histories to play (a night of many: 200), each of 20 nights;
RETENTION_COMPARED_EVERY after how many nights all tables are compared (1: after each).
"""

from __future__ import annotations

import os
from datetime import date, datetime, time, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from oracle.companies import MadeCompany, made_company
from oracle.nights import Night, made_nights, rows_in_force
from support.sizes import SEED, size

from nights.compiled_models import CompiledModels, compile_models
from nights.nasty_rows import add_behaviour, make_nasty
from nights.raw_rows import open_raw_in_memory, put_in_force
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.settings import Settings
from retention_pipeline.transform.manifest import manifest_json

HISTORIES = size("RETENTION_RANDOM_HISTORIES")
COMPARED_EVERY = int(os.environ.get("RETENTION_COMPARED_EVERY", "5"))
NIGHTS = 20
# Numbers of values and of profiles are keys of the warehouse's own; what they stand for is compared in every sum.
OWN_KEYS = {
    "int_segment_values",
    "int_profile_spans",
    "int_profile_values",
    "int_mover_purchase_days",
    "int_cohort_members",
    "int_mrr_flows",
    "int_mrr_level_flows",
    "int_mrr_year_flows",
}


def play(
    random: Random,
    folder: Path,
    *,
    nights: int = NIGHTS,
    without_due: bool = False,
    compared_every: int = COMPARED_EVERY,
    without: tuple[str, ...] = (),
) -> list[str]:
    """Play one history; returns a line per table and night in which the night differs from a full refresh. `without`:
    datasets that are not connected.
    """
    company = made_company(random, customers=25, days=500, further=True)
    make_nasty(random, company)
    add_behaviour(random, company, days=500)
    for dataset in without:
        company.settings["sources"].pop(dataset, None)
    settings = Settings.model_validate(company.settings)
    models = compile_models(settings, folder)
    if without_due:
        models = _without_due(models)
    connection = open_raw_in_memory()
    warehouse = Warehouse(connection, models)
    zones = {name: source["timezone"] for name, source in company.settings["sources"].items()}
    problems: list[str] = []
    before: date | None = None
    applied = 0
    steps = _steps(random, company, nights)
    for number, (as_of, rows) in enumerate(steps, start=1):
        load = applied
        if rows is not None:
            load = applied + 1
            rows = {name: found for name, found in rows.items() if name in zones}
            put_in_force(connection, rows, zones, load, datetime.combine(as_of, time(2)))
        if before is None:
            warehouse.full_refresh(as_of)
        else:
            warehouse.night(as_of, before, applied)
            if number % compared_every == 0 or number == len(steps):
                problems += [f"night {number} as of {as_of}: {line}" for line in differences(warehouse, as_of)]
        before, applied = as_of, load
        if problems:
            break
    connection.close()
    return problems


def _steps(random: Random, company: MadeCompany, nights: int) -> list[tuple[date, dict[str, Any] | None]]:
    """as_of and the rows in force of every night; None for a quiet one, on which nothing was delivered and only the
    calendar touches customers. A delivery touches nearly all of so few customers, so half the nights are quiet.
    """
    deliveries = made_nights(random, company, max(2, nights // 2))
    steps: list[tuple[date, dict[str, Any] | None]] = []
    for number, night in enumerate(deliveries, start=1):
        steps.append((night.as_of, _with_deletions(random, company, deliveries[:number])))
        following = deliveries[number].as_of if number < len(deliveries) else night.as_of + timedelta(days=120)
        if len(steps) < nights:
            days = (following - night.as_of).days
            steps.append((night.as_of + timedelta(days=random.randint(min(1, days - 1), days - 1)), None))
    while len(steps) < nights:
        steps.append((steps[-1][0] + timedelta(days=random.choice((1, 7, 31, 95))), None))
    return steps


def _with_deletions(random: Random, company: MadeCompany, nights: list[Night]) -> dict[str, Any]:
    """The rows in force, of which orders and attributes are sometimes missing for a while (deleted at the source)."""
    rows = rows_in_force(nights)
    kept = ("customer_aliases", "fx_rates")
    return {name: [row for row in found if name in kept or random.random() > 0.01] for name, found in rows.items()}


def _without_due(models: CompiledModels) -> CompiledModels:
    """The models of a night that forgets the customers whom only the calendar touches."""
    from dataclasses import replace

    night = [
        replace(model, sql=model.sql.replace("fact from due", "fact from due where false")) for model in models.night
    ]
    return CompiledModels(models.full, night)


def differences(warehouse: Warehouse, as_of: date) -> list[str]:
    connection = warehouse.connection
    connection.execute("use memory")
    connection.execute("detach database if exists night")
    connection.execute("attach ':memory:' as night")
    connection.execute("copy from database next to night")
    warehouse.full_refresh(as_of)
    lines = []
    for model in warehouse.models.full:
        if model.name in OWN_KEYS or model.name.startswith(("night_", "missing_fx")):
            continue
        lines += _difference(connection, model.name)
    connection.execute("use memory")
    connection.execute("detach next")
    connection.execute("attach ':memory:' as next")
    connection.execute("copy from database night to next")
    connection.execute("use next")
    return lines


def _difference(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    columns = ", ".join(
        f'"{column[0]}"' for column in connection.execute(f"select * from next.main.{table} limit 0").description
    )
    night, full = (f"select {columns} from {database}.main.{table}" for database in ("night", "next"))
    more = connection.execute(f"{night} except all {full}").fetchall()
    fewer = connection.execute(f"{full} except all {night}").fetchall()
    if not more and not fewer:
        return []
    return [
        f"{table}: {len(more)} rows of the night only, {len(fewer)} of the full refresh only; "
        f"{more[:2]} {fewer[:2]} ({columns})"
    ]


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_every_night_ends_where_a_full_refresh_would(seed: int, tmp_path: Path) -> None:
    problems = play(Random(seed), tmp_path)
    assert not problems, "\n".join([f"seed {seed}", *problems])


@pytest.mark.proof
def test_nights_agree_where_customers_tell_the_present_alone(tmp_path: Path) -> None:
    """Their history follows from replaced versions; few companies of the histories above are like that."""
    seeds = (
        seed
        for seed in count()
        if tells_the_present_alone(made_company(Random(seed), customers=25, days=500, further=True))
    )
    seed = next(seeds)
    problems = play(Random(seed), tmp_path, nights=6, compared_every=3)
    assert not problems, "\n".join([f"seed {seed}", *problems])


def tells_the_present_alone(company: MadeCompany) -> bool:
    rows = company.rows.get("customers", [])
    return bool(rows) and "valid_from" not in rows[0]


@pytest.mark.proof
@pytest.mark.parametrize(
    "without", [("subscriptions",), ("orders",), ("orders", "subscriptions")], ids=lambda names: "_".join(names)
)
def test_nights_agree_where_only_some_datasets_are_connected(without: tuple[str, ...], tmp_path: Path) -> None:
    problems = play(Random(3), tmp_path, nights=4, compared_every=2, without=without)
    assert not problems, "\n".join(problems)


def test_columns_that_a_yml_lists_are_those_that_are_built(tmp_path: Path) -> None:
    """What stands for an absent model has them (macro no_rows_of)."""
    company = made_company(Random(7), customers=5, days=60, further=True)
    assert {"orders", "subscriptions"} <= set(company.settings["sources"])
    connection = open_raw_in_memory()
    warehouse = Warehouse(connection, compile_models(Settings.model_validate(company.settings), tmp_path))
    warehouse.full_refresh(date(2024, 1, 1))
    spelling = {"VARCHAR": "string"}
    built: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() where database_name = 'next' "
        "and schema_name = 'main' order by column_index"
    ).fetchall():
        built.setdefault(table, {})[column] = spelling.get(kind, kind.lower())
    listed = {
        node["name"]: {name: str(about["data_type"]).replace(", ", ",") for name, about in node["columns"].items()}
        for node in manifest_json()["nodes"].values()
        if node["resource_type"] == "model" and any(about["data_type"] for about in node["columns"].values())
    }
    built["customer_profiles"] = {  # which has a column per dimension besides
        name: kind for name, kind in built["customer_profiles"].items() if name in listed["customer_profiles"]
    }
    assert {name: built[name] for name in listed if name in built} == {n: c for n, c in listed.items() if n in built}
    assert "int_purchase_days" in listed and "int_purchase_days" in built


@pytest.mark.long
def test_without_the_customers_who_are_due_nights_go_wrong(tmp_path: Path) -> None:
    assert any(
        play(Random(seed), tmp_path / str(seed), nights=4, without_due=True, compared_every=2) for seed in range(3)
    )
