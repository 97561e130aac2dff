"""No figure depends on the order of equal rows: wherever an order decides, its keys are unique, and a company full of
twins gives the same tables in any order of lines, with one thread and with four, with little memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nights.compiled_models import CompiledModels, compile_models
from nights.twins import AS_OF, deliver_twins, settings_of_twins
from nights.warehouse_in_memory import Warehouse
from nights.windows import windows
from retention_pipeline.ingest import ingest
from retention_pipeline.kpis import compute_kpis
from retention_pipeline.settings import Home

# Windows whose order is not unique, by model, and why that decides nothing.
LISTED = {
    "int_phases": "rows that are equal in all of these columns are one phase: which of them stays is the same to all",
    "int_segment_spans": "the last key is the value itself: equal keys give equal rows",
    "int_cohort_members": "the last key is the day itself: equal keys give equal rows",
    "int_mrr_changes": "a range takes in all rows of a day",
}
NOW = datetime(2024, 6, 20, 2)
RUN_ONLY = ("computed_at", "run_id")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CompiledModels:
    return compile_models(settings_of_twins(), tmp_path_factory.mktemp("compiled"))


def built(
    root: Path, models: CompiledModels, customers: int, *, order: str, threads: int, memory: str = "4GB"
) -> duckdb.DuckDBPyConnection:
    """A warehouse in memory (database next) of the company of twins, retention_kpis included."""
    settings = settings_of_twins()
    deliver_twins(root, customers, order)
    home = Home(root)
    result = ingest(home, settings, now=NOW)
    assert sum(load.bad for load in result.loads) == 0 and not result.refused
    connection = duckdb.connect(
        config={"threads": threads, "memory_limit": memory, "temp_directory": str(root / "temp")}
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
    Warehouse(connection, models).full_refresh(AS_OF)
    compute_kpis(
        connection,
        settings,
        as_of=AS_OF,
        run_id="test",
        computed_at=NOW,
        connected_datasets=settings.connected_datasets,
    )
    return connection


@pytest.fixture(scope="module")
def twins(models: CompiledModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with built(tmp_path_factory.mktemp("twins") / "home", models, 1500, order="line", threads=2) as connection:
        yield connection


def test_every_order_in_a_window_is_unique_or_listed(models: CompiledModels, twins: duckdb.DuckDBPyConnection) -> None:
    looked_at, not_unique = set(), {}
    for model in models.full:
        if model.name == "int_member_queries":  # text, put together of what the models of flows have
            continue
        for sql in model.by_grain(model.text(AS_OF, None, -1)):
            found = list(windows(sql))
            assert len(found) == sql.count("order by"), (
                f"{model.name}: an order that is not a window's, or was not found"
            )
            for window in found:
                looked_at.add((model.name, window.name))
                if twins.execute(f"select * from ({window.shared_keys}) limit 1").fetchall():
                    not_unique[model.name] = window.name
    assert len(looked_at) > 40
    assert not_unique.keys() <= LISTED.keys(), not_unique
    assert not LISTED.keys() - {name for name, _ in looked_at}


def test_a_window_over_ties_is_found() -> None:
    sql = (
        "with a as (select * from t), b as (select x, lag(y) over (partition by x order by y nulls last) from a) from b"
    )
    (window,) = windows(sql)
    with duckdb.connect() as connection:
        connection.execute("create table t as select * from (values (1, 1), (1, 1), (1, 2)) as t(x, y)")
        assert connection.execute(window.shared_keys).fetchall() == [(1, 1, 2)]
        connection.execute("delete from t where rowid = 0")
        assert connection.execute(window.shared_keys).fetchall() == []


def test_another_order_of_lines_and_of_work_gives_the_same_tables(
    models: CompiledModels, twins: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with built(tmp_path / "home", models, 1500, order="hash(line)", threads=4) as other:
        assert differing(twins, other, tmp_path) == []


@pytest.mark.long
def test_20000_customers_full_of_twins_give_the_same_tables_however_they_are_worked_on(
    models: CompiledModels, tmp_path: Path
) -> None:
    with built(tmp_path / "0", models, 20_000, order="line", threads=1) as first:
        ways = [("hash(line)", 4, "4GB"), ("line desc", 4, "4GB"), ("hash(line)", 1, "4GB"), ("line", 4, "600MB")]
        for number, (order, threads, memory) in enumerate(ways, start=1):
            root = tmp_path / str(number)
            with built(root, models, 20_000, order=order, threads=threads, memory=memory) as other:
                assert differing(first, other, tmp_path) == [], f"{order}, {threads} threads, {memory}"


def differing(one: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """The tables of database next whose rows differ, bit for bit, whatever their order."""
    names = [
        name
        for (name,) in one.execute(
            "select table_name from duckdb_tables() where database_name = 'next' and schema_name = 'main' order by all"
        ).fetchall()
    ]
    assert "period_customers" in names and "retention_kpis" in names
    return [name for name in names if fingerprint(one, name) != fingerprint(other, name)]


def fingerprint(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[Any, ...]:
    columns = [column[0] for column in connection.execute(f"select * from next.main.{table} limit 0").description]
    listed = ", ".join(f'cast("{name}" as varchar)' for name in columns if name not in RUN_ONLY)
    row = connection.execute(
        f"select count(*), bit_xor(md5_number(concat_ws('|', {listed}))), sum(hash({listed})::hugeint)"
        f" from next.main.{table}"
    ).fetchone()
    assert row is not None
    return row
