"""What is wrong with a database is one line without secrets, in a run and in `retention check`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.shop_database import Shop

from retention_pipeline.cli.check import check_sources
from retention_pipeline.settings import parse_settings


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"table": "public.ordres"}, 'relation "public.ordres" does not exist'),
        ({"cursor": "changed_at"}, 'column "changed_at" does not exist'),
        ({"cursor": "amount"}, "operator does not exist: numeric >= timestamp with time zone"),
        ({"columns": {"amount": "total"}}, "required columns are missing: amount (from total); the file has:"),
        ({"deletes": {"column": "gone"}}, "required columns are missing: gone (deletes)"),
        ({"dsn": {"env": "NOWHERE"}}, "environment variable NOWHERE is not set"),
        ({"dsn": {"env": "UNREACHABLE"}}, "connection"),
        ({"dsn": {"env": "NONSENSE"}}, "the variable NONSENSE does not hold a valid connection string"),
        ({"dsn": {"env": "WRONG_PASSWORD"}}, "password authentication failed"),
    ],
)
def test_what_is_wrong_with_a_source_is_one_line_without_secrets_and_others_still_load(
    shop: Shop, server: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: str
) -> None:
    monkeypatch.setenv("UNREACHABLE", "postgresql://shop:hunter2@127.0.0.1:1/shop")
    monkeypatch.setenv("NONSENSE", "hunter2 at the server")
    if change.get("dsn") == {"env": "WRONG_PASSWORD"}:
        _require_password(shop, Path(server.pgdata), monkeypatch)
    rates = shop.home.root / "landing" / "fx.csv"
    rates.parent.mkdir()
    rates.write_text("date,currency,rate_to_reporting\n2024-01-01,USD,1.1\n")
    shop.others = {"fx_rates": {"type": "files", "path": "landing/fx.csv"}}
    shop.add(1)
    shop.source.update(change)
    orders, fx_rates = shop.ingest().loads
    assert orders.status == "failed"
    assert error in (orders.error or "")
    assert "hunter2" not in (orders.error or "")
    assert "\n" not in (orders.error or "")
    assert fx_rates.status in ("loaded", "already_loaded")


def _require_password(shop: Shop, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who must give a password, and gives a wrong one."""
    shop.write("do $$ begin create role clerk login password 'right'; exception when duplicate_object then end $$")
    rules = data / "pg_hba.conf"
    if "clerk" not in rules.read_text():
        rules.write_text("local all clerk scram-sha-256\n" + rules.read_text())
        shop.write("select pg_reload_conf()")
        for _ in range(100):
            try:
                psycopg.connect(shop.dsn.replace("postgres:@", "clerk:wrong@")).close()
            except psycopg.OperationalError:
                break
            time.sleep(0.05)
    monkeypatch.setenv("WRONG_PASSWORD", shop.dsn.replace("postgres:@", "clerk:hunter2@"))


def test_check_asks_the_database(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNREACHABLE", "postgresql://shop:hunter2@127.0.0.1:1/shop")
    (shop.home.root / "orders.csv").write_text("order_id,ordered_at,amount,currency,status\n1,2024-01-01,1,EUR,paid\n")
    sources = {
        "orders": shop.source,
        "no such table": shop.source | {"dataset": "orders", "table": "ordres"},
        "no such column": shop.source | {"dataset": "orders", "columns": {"amount": "total"}},
        "no server": shop.source | {"dataset": "orders", "dsn": {"env": "UNREACHABLE"}},
        "files": {"dataset": "orders", "type": "files", "path": str(shop.home.root / "*.csv")},
    }
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
    findings = check_sources(shop.home, parse_settings({"business": business, "sources": sources}))
    assert [(name, is_good) for name, is_good, _ in findings] == [
        ("source orders", True),
        ("source no such table", False),
        ("source no such column", False),
        ("source no server", False),
        ("source files", True),
    ]
    assert "hunter2" not in str(findings)
