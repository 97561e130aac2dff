"""A home folder in which a test delivers files and looks at what became of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest import IngestError, IngestResult, LoadResult, ingest
from retention_pipeline.settings import Home, parse_settings
from retention_pipeline.warehouse import opened_raw

NOW = datetime(2024, 5, 1, 3)
ORDER_HEADER = "order_id,customer_id,ordered_at,amount,currency,status"
SUBSCRIPTION_HEADER = "subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at"


def orders_csv(*rows: str, header: str = ORDER_HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def order(order_id: str, amount: str = "10.00", *further: str, at: str = "2024-03-01T12:00:00Z") -> str:
    return ",".join([order_id, "anna", at, amount, "EUR", "paid", *further])


class Company:
    """Delivers files, runs ingestion, reads the raw tables."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.sources: dict[str, dict[str, Any]] = {}
        self.business: dict[str, Any] = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
        self.max_quarantine_rate = 1.0

    def source(self, dataset: str, **settings: Any) -> None:
        self.sources[dataset] = {"type": "files", "path": f"landing/{dataset}/*", **settings}

    def deliver(self, dataset: str, name: str, content: bytes) -> Path:
        self.sources.setdefault(dataset, {"type": "files", "path": f"landing/{dataset}/*"})
        path = self.home.root / "landing" / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def run(self, **arguments: Any) -> IngestResult:
        settings = parse_settings(
            {"business": self.business, "sources": self.sources, "max_quarantine_rate": self.max_quarantine_rate}
        )
        return ingest(self.home, settings, **{"now": NOW, **arguments})

    def run_and_fail(self) -> IngestError:
        with pytest.raises(IngestError) as caught:
            self.run()
        return caught.value

    def load(self, dataset: str, content: bytes, name: str = "file.csv") -> LoadResult:
        """Deliver one file and load it; every line of it must be accounted for."""
        self.deliver(dataset, name, content)
        load = next(load for load in self.run().loads if load.file_name.endswith(name))
        self.assert_balanced()
        return load

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with opened_raw(self.home) as connection:
            return connection.execute(sql).fetchall()

    def reasons(self) -> list[tuple[int, str]]:
        return self.query("select line, reason from raw.quarantine order by load_id, line")

    def assert_balanced(self) -> None:
        """Lines and rows balance per load, and over all tables."""
        wrong = self.query(
            """
            select * from raw.ledger where status = 'loaded' and (
                n_good <> n_new + n_changed + n_unchanged + n_stale
                or n_bad <> (select count(*) from raw.quarantine where quarantine.load_id = ledger.load_id)
            )
            """
        )
        assert wrong == []

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every raw table but for the bookkeeping, comparable between runs."""
        contents = {}
        for contract in CONTRACTS.values():
            names = ", ".join(f'"{name}"' for name, _ in contract.typed_columns) + ", _extra"
            contents[contract.dataset] = self.query(f"select {names} from raw.{contract.dataset} order by all")
        return contents
