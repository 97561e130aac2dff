"""Which segment dimensions have values at all: one that holds only `(unknown)` doubles the figures and says nothing."""

from __future__ import annotations

import duckdb

from retention_pipeline.ingest.lake_tables import LakeTable, lake_tables
from retention_pipeline.settings import DEFAULT_DIMENSIONS, Home, Settings
from retention_pipeline.transform.arguments import DIMENSION_DATASETS
from retention_pipeline.warehouse import opened_raw, sql_text, tables_in

# The column of raw that a dimension is made from; a further one is a key of `_extra` of customers.
COLUMNS = {
    "country": ("customers", "country"),
    "acquisition_channel": ("customers", "acquisition_channel"),
    "first_order_channel": ("orders", "channel"),
}


def with_delivered_segments(home: Home, settings: Settings) -> Settings:
    """The settings without those segments of which no row in raw has a value; the same where all have one."""
    empty = empty_segments(home, settings)
    if not empty:
        return settings
    asked = DEFAULT_DIMENSIONS if settings.segments is None else settings.segments
    return settings.model_copy(update={"segments": [name for name in asked if name not in empty]})


def empty_segments(home: Home, settings: Settings) -> list[str]:
    """The dimensions asked for whose dataset is connected and has rows, but none with a value of them."""
    if not home.raw_file.exists():
        return []
    connected = settings.connected_datasets
    asked = DEFAULT_DIMENSIONS if settings.segments is None else tuple(dict.fromkeys(settings.segments))
    with opened_raw(home) as connection:
        present = tables_in(connection, schema="raw")
        in_lake = lake_tables(connection, settings)
        return [
            name
            for name in asked
            if (name in COLUMNS or name not in DIMENSION_DATASETS)
            and (dataset := DIMENSION_DATASETS.get(name, "customers")) in connected
            and dataset in present
            and not (
                _has_values_in_lake(in_lake[dataset], name)
                if dataset in in_lake
                else _has_values(connection, name, dataset)
            )
        ]


def _has_values_in_lake(table: LakeTable, name: str) -> bool:
    return table.rows == 0 or COLUMNS.get(name, ("", name))[1] in table.with_values


def _has_values(connection: duckdb.DuckDBPyConnection, name: str, dataset: str) -> bool:
    condition = "_extra like " + sql_text(f'%"{name}"%')
    if name in COLUMNS:
        condition = f"{COLUMNS[name][1]} is not null"
    tables = (f"raw.{dataset}", f"raw.{dataset}_history")
    found = " or ".join(f"exists (select 1 from {table} where {condition})" for table in tables)
    row = connection.execute(f"select {found} or not exists (select 1 from raw.{dataset})").fetchone()
    return bool(row and row[0])
