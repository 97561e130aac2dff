"""The tables that loads of sources in the lake have made: what they are called, and which of them are raw's rows.

    <schema>_sources.orders_l12, orders_l12_history, orders_l12_refused    what load 12 made of the source of orders

The files of each are in a folder of its name.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from retention_pipeline.contracts import CONTRACTS, Contract
from retention_pipeline.ingest.lake_tables import lake_tables
from retention_pipeline.settings import Home, LakeSource, Settings
from retention_pipeline.transform.spark import lake_rows
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.session import SparkError
from retention_pipeline.transform.spark.tables import Table, register, spark_type
from retention_pipeline.warehouse import opened_raw

LASTING = ("current", "history", "refused")  # the others are needed while the load is made


def _in_raw(dataset: str) -> dict[str, str]:
    """What raw calls the tables of a load that are its rows."""
    return {"current": dataset, "history": f"{dataset}_history"}


def tables_of(lake: Lake, contract: Contract, load_id: int) -> dict[str, Table]:
    """The tables of a load, by what they hold."""
    columns = {
        "current": [(name, spark_type(kind)) for name, kind in contract.raw_columns],
        "history": [(name, spark_type(kind)) for name, kind in contract.history_columns],
        "refused": [("reason", "string"), ("key", "string"), ("row", "string")],
        "stage": lake_rows.stage_columns(contract),
        "judged": lake_rows.judged_columns(contract),
        "gone": [(name, spark_type(kind)) for name, kind in contract.raw_columns],
        "ids": [("customer_id", "string")],
        "keys": [("customer_id", "string"), ("customer_key", "bigint")],
    }
    tables = {}
    for what, listed in columns.items():
        name = f"{contract.dataset}_l{load_id}" + ("" if what == "current" else f"_{what}")
        tables[what] = Table(f"{lake.sources_schema}.{name}", lake.folder / lake.sources_schema / name, listed)
    return tables


def sweep_tables(session: Any, lake: Lake, contract: Contract, load_id: int) -> None:
    """Drop the tables of other loads of the dataset, and what this one needed on the way."""
    ours = tables_of(lake, contract, load_id)
    kept = {ours[what].path.name for what in LASTING}
    for path in (lake.folder / lake.sources_schema).iterdir():
        if re.fullmatch(rf"{contract.dataset}_l\d+(_[a-z]+)?", path.name) and path.name not in kept:
            with suppress(Exception):  # the next load tries again
                session.sql(f"drop table if exists {lake.sources_schema}.{path.name}")
                shutil.rmtree(path, ignore_errors=True)


def tables_in_lake(session: Any, home: Home, settings: Settings, lake: Lake) -> dict[str, Table]:
    """The tables of raw whose rows are in the lake, by their names in raw. Raises SparkError where they are not."""
    sources = [name for name, source in settings.sources.items() if isinstance(source, LakeSource)]
    if not sources:
        return {}
    with opened_raw(home) as raw:
        known = lake_tables(raw, settings)
    lake.create_sources(session)
    found: dict[str, Table] = {}
    for name in sources:
        dataset = settings.dataset_of(name)
        last = known.get(dataset)
        if last is None or last.source != name:
            raise SparkError(f"{name}: no load of it has succeeded, so there are no rows of {dataset}")
        tables = tables_of(lake, CONTRACTS[dataset], last.load_id)
        if not tables["current"].path.is_dir():
            raise SparkError(f"{name}: the rows of its load {last.load_id} are no longer in {lake.folder}")
        for what, table in _in_raw(dataset).items():
            register(session, tables[what])
            found[table] = tables[what]
    return found


def files_in_lake(home: Home, settings: Settings) -> dict[str, list[Path]]:
    """The files of the tables of raw whose rows are in the lake, by their names in raw; Spark is not asked."""
    assert settings.spark is not None
    lake = Lake.of(home, settings.spark)
    with opened_raw(home) as raw:
        known = lake_tables(raw, settings)
    found: dict[str, list[Path]] = {}
    for dataset, last in known.items():
        tables = tables_of(lake, CONTRACTS[dataset], last.load_id)
        found |= {table: sorted(tables[what].path.glob("*.parquet")) for what, table in _in_raw(dataset).items()}
    return found
