"""Rows of raw that stand in the lake are behind restated figures as those in `raw.duckdb` are."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.told_nights import ToldHome

from retention_pipeline.history import raw_rows
from retention_pipeline.warehouse import opened

SETTINGS: dict[str, Any] = {
    "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR", "min_n": 1},
    "grains": ["month"],
    "sources": {"orders": {"type": "files", "path": "landing/orders/*.csv", "timezone": "UTC"}},
}
HEAD = "order_id,customer_id,ordered_at,amount,currency,status\n"
FIRST = f"{HEAD}1,anna,2026-01-31T22:59:59,10,EUR,paid\n2,ben,2026-02-03,20,EUR,paid\n3,cleo,2026-02-04,30,EUR,paid\n"
# 4 comes late, an hour into February in Amsterdam; 2 is another amount.
SECOND = f"{HEAD}4,anna,2026-01-31T23:00:00,40,EUR,paid\n2,ben,2026-02-03,25,EUR,paid\n"


def restated(folder: Path, monkeypatch: pytest.MonkeyPatch, *, in_lake: bool) -> list[tuple[Any, ...]]:
    """The rows behind what the second night changed."""
    told = ToldHome(folder / "home", SETTINGS, folder.parent / "compiled")
    files: dict[str, list[Path]] = {}

    def move(_connection: duckdb.DuckDBPyConnection) -> None:
        """The rows of raw into files as Spark writes them: times are instants."""
        with opened(told.home.raw_file) as raw:
            for table in ("orders", "orders_history"):
                kinds = raw.execute(f"describe raw.raw.{table}").fetchall()
                files[table] = [folder / f"{table}.parquet"]
                listed = ", ".join(
                    f"timezone('UTC', {name}) as {name}" if kind == "TIMESTAMP" else name for name, kind, *_ in kinds
                )
                raw.execute(f"copy (select {listed} from raw.raw.{table}) to '{files[table][0]}' (format parquet)")
                raw.execute(f"truncate raw.raw.{table}")

    told.deliver("orders", "1.csv", FIRST)
    told.night(date(2026, 3, 2))
    told.deliver("orders", "2.csv", SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(raw_rows, "rows_in_lake", lambda *_: files)
        told.night(date(2026, 3, 3), change=move if in_lake else None)
    return told.rows("select * from restatement_rows order by all")


def test_causes_and_rows_are_those_of_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = restated(tmp_path / "here", monkeypatch, in_lake=False)
    assert restated(tmp_path / "lake", monkeypatch, in_lake=True) == here
    assert {(row[-5], row[-4]) for row in here} >= {("orders", "4"), ("orders", "2")}
