"""The sample data beside the repository loads by settings alone, and every row is accounted for."""

from __future__ import annotations

import csv
import gzip
import shutil
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from retention_pipeline.ingest import IngestResult, ingest
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened_raw

DATA = Path(__file__).parents[3] / "shared" / "data"
NOW = datetime(2024, 5, 1, 3)
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the sample data are not here")
COMPANIES = sorted(path.name for path in (DATA / "companies").iterdir()) if DATA.is_dir() else []


def run(home: Path) -> IngestResult:
    return ingest(Home(home), load_settings(Home(home)), now=NOW)


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with opened_raw(Home(home)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("name", COMPANIES)
def test_a_company_loads_with_every_row(name: str, tmp_path: Path) -> None:
    home = tmp_path / name
    shutil.copytree(DATA / "companies" / name, home)
    result = run(home)
    for load in result.loads:
        with (home / load.file_name).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert (load.status, load.good, load.bad) == ("loaded", len(rows), 0), load
        assert (load.drift.added, load.drift.missing) == ((), ())
        key = {"orders": "order_id", "fx_rates": "currency", "customer_aliases": "alias_id"}.get(load.dataset)
        if key:
            found = query(home, f"select {key} from raw.{load.dataset} order by 1")
            assert [value for (value,) in found] == sorted(row[key] for row in rows)
    assert {load.status for load in run(home).loads} == {"already_loaded"}


def sample(tmp_path: Path, sources: dict[str, Any], timezone: str = "UTC") -> Path:
    business = {"timezone": timezone, "reporting_currency": "USD"}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"business": business, "sources": sources}))
    return tmp_path


def test_the_shop_sample_loads_from_parquet_with_amounts_as_floating_point(tmp_path: Path) -> None:
    source = {
        "type": "files",
        "path": str(DATA / "cdnow-sample" / "*.parquet"),
        "timezone": "America/New_York",
        "values": {"status": {"paid": ["completed"]}},
    }
    home = sample(tmp_path, {"orders": source}, "America/New_York")
    assert run(home).loads[0].bad == 0
    there = pd.read_parquet(DATA / "cdnow-sample" / "orders.parquet")
    [(orders, customers, cents, first)] = query(
        home,
        """
        select count(*), count(distinct customer_id), cast(sum(amount) * 100 as bigint),
            min(timezone('America/New_York', timezone('UTC', ordered_at)))
        from raw.orders where status = 'paid'
        """,
    )
    assert (orders, customers) == (len(there), there.customer_id.nunique())
    assert cents == (there.amount * 100).round().astype(int).sum()
    assert first == there.ordered_at.min()


def test_the_subscription_sample_loads_with_constants(tmp_path: Path) -> None:
    source = {
        "type": "files",
        "path": str(DATA / "mrr-playbook" / "subscription_periods.csv"),
        "columns": {
            "started_at": "start_date", "ended_at": "end_date", "amount": "monthly_amount",
            "plan": {"constant": "standard"}, "currency": {"constant": "USD"},
            "interval": {"constant": "month"}, "status": {"constant": "active"},
        },
    }  # fmt: skip
    home = sample(tmp_path, {"subscriptions": source})
    assert run(home).loads[0].bad == 0
    there = pd.read_csv(DATA / "mrr-playbook" / "subscription_periods.csv")
    [(phases, customers, amount)] = query(
        home, "select count(*), count(distinct customer_id), sum(amount)::double from raw.subscriptions"
    )
    assert (phases, customers) == (len(there), there.customer_id.nunique())
    assert amount == pytest.approx(there.monthly_amount.sum())


def test_the_service_sample_loads_without_an_order_id_of_its_own(tmp_path: Path) -> None:
    folder = DATA / "tvc-servbiz-sample"
    source = {
        "type": "files",
        "path": str(folder / "*.csv.gz"),
        "columns": {
            "order_id": {"row_hash": True}, "customer_id": "client_id", "ordered_at": "date", "amount": "value_usd",
            "channel": "segment", "currency": {"constant": "USD"}, "status": {"constant": "paid"},
        },
        "round_amounts": True,
    }  # fmt: skip
    home = sample(tmp_path, {"orders": source})
    assert run(home).loads[0].bad == 0
    with gzip.open(next(folder.glob("*.csv.gz")), "rt") as stream:
        there = pd.read_csv(stream, dtype=str)
    [(orders, ids, customers, cents)] = query(
        home,
        "select count(*), count(distinct order_id), count(distinct _customer_key), cast(sum(amount) * 100 as bigint)"
        " from raw.orders",
    )
    assert (orders, ids, customers) == (len(there), len(there), there.client_id.nunique())
    rounded = [Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP) for value in there.value_usd]
    assert cents == int(sum(rounded) * 100)
