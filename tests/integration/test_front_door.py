"""Exports that look right and are not: each home goes in by its settings alone, or says why not.

Each test is one small home, run from its files to published figures.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from retention_pipeline.ingest.result import IngestError
from retention_pipeline.run import steps
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened

ORDERS = "order_id,customer_id,ordered_at,amount,currency,status"
NOW = datetime(2025, 4, 1, 3)


class Door:
    """A home with files of CSV lines; `run` makes the figures as of 1 April 2025."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.sources: dict[str, dict[str, Any]] = {}
        self.business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}

    def deliver(self, dataset: str, *lines: str, name: str = "1.csv", **settings: Any) -> None:
        given = {"type": "files", "path": f"landing/{dataset}/*", "timezone": "UTC"}
        self.sources[dataset] = {**given, **self.sources.get(dataset, {}), **settings}
        path = self.home.root / "landing" / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]))

    def run(self, **arguments: Any) -> Any:
        content = {"business": self.business, "sources": self.sources}
        self.home.settings_file.write_text(yaml.safe_dump(content))
        self.said: list[str] = []
        return steps.run(
            self.home, load_settings(self.home), date(2025, 4, 1), now=NOW, progress=self.said.append, **arguments
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with opened(self.home.current.resolve(), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def figure(self, kpi: str, month: str, basis: str = "order") -> Any:
        rows = self.query(
            f"select value from retention_kpis where kpi = '{kpi}' and grain = 'month' and period_start = '{month}-01'"
            f" and segment_dimension = 'all' and basis in ('{basis}', 'all')"
        )
        return rows[0][0] if rows else None


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_dimensions_without_any_value_are_left_out_until_one_comes(door: Door) -> None:
    door.deliver("orders", ORDERS, "d1,C1,2025-01-05,10.00,EUR,paid", "d2,C2,2025-01-06,10.00,EUR,paid")
    door.deliver("customers", "customer_id,country", "C1,NL", "C2,DE")
    door.run()
    dimensions = "select distinct segment_dimension from retention_kpis order by 1"
    assert door.query(dimensions) == [("all",), ("country",)]
    door.deliver("orders", f"{ORDERS},channel", "d3,C1,2025-01-07,10.00,EUR,paid,web", name="2.csv")
    assert door.run().mode.full_refresh
    assert door.query(dimensions) == [("all",), ("country",), ("first_order_channel",)]


def test_an_alias_to_itself_is_ignored(door: Door) -> None:
    door.deliver("orders", ORDERS, "a1,c1,2025-01-05,10.00,EUR,paid")
    door.deliver("customer_aliases", "alias_id,customer_id", "c1,c1")
    door.run()
    assert door.figure("customers_new", "2025-01") == 1


def test_a_first_run_whose_only_source_loads_nothing_publishes_nothing(door: Door) -> None:
    door.deliver("orders", "Order;Customer;Date;Total", "1;c1;2025-01-05;10,00")
    with pytest.raises(IngestError, match=r"no source has brought a row(.|\n)*1\.csv: required columns are missing"):
        door.run()
    assert not door.home.current.exists()
    door.deliver("orders", ORDERS, "a1,c1,2025-01-05,10.00,EUR,paid")
    door.run()
    assert door.figure("customers_new", "2025-01") == 1
