"""A server that falls silent in the middle of a pull ends with its time, not with the night."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from support.shop_database import Shop

from retention_pipeline.ingest import postgres, pull_loader


class SilentAfter:
    """Stands between the pipeline and the server, and passes nothing on any more after so many bytes of answers."""

    def __init__(self, path: str, allowed: int) -> None:
        self.path, self.allowed = path, allowed
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.path)
                self.open += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, 1 << 60), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, self.allowed), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket, allowed: int) -> None:
        with suppress(OSError):
            while data := source.recv(min(65536, allowed)):
                target.sendall(data)
                allowed -= len(data)
                if allowed <= 0:
                    return

    def close(self) -> None:
        for one in (self.listener, *self.open):
            one.close()


@pytest.fixture
def silent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = []
    parts = conninfo_to_dict(shop.dsn)

    def of(allowed: int) -> None:
        between = SilentAfter(f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}", allowed)
        made.append(between)
        monkeypatch.setenv("SHOP", f"host=127.0.0.1 port={between.port} user=postgres dbname=postgres sslmode=disable")

    yield of
    for between in made:
        between.close()


@pytest.mark.parametrize("allowed", [1_000, 2_500, 60_000])
def test_a_server_that_stops_in_the_middle_fails_its_source_in_time(shop: Shop, silent: Any, allowed: int) -> None:
    shop.write(
        "insert into orders select ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, i, now(), 1, 'EUR',"
        " 'paid' from generate_series(1, 20000) as i"
    )
    shop.source["max_read_time"] = "0.02m"
    silent(allowed)
    began = time.monotonic()
    load = shop.pull()
    assert (load.status, load.error) == ("failed", "not everything had come after 0.02 minutes (max_read_time)")
    assert time.monotonic() - began < 20
    assert shop.query("select count(*) from raw.orders") == [(0,)]


def test_a_server_that_never_answers_is_given_up(shop: Shop, silent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2)  # the least that libpq waits
    monkeypatch.setattr(pull_loader, "ATTEMPTS", 1)
    silent(1)
    load = shop.pull()
    assert load.status == "failed" and "timeout" in (load.error or "")


def test_the_network_is_watched_unless_the_connection_string_says_otherwise(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    connect = psycopg.connect

    def noted(dsn: str, **parameters: Any) -> Any:
        seen.append(parameters)
        return connect(dsn, **parameters)

    monkeypatch.setattr(psycopg, "connect", noted)
    shop.add(1)
    assert shop.pull().status == "loaded"
    monkeypatch.setenv("SHOP", f"{shop.dsn}{'&' if '?' in shop.dsn else '?'}tcp_user_timeout=1000")
    shop.pull()
    assert seen[0]["tcp_user_timeout"] == 120_000 and seen[0]["keepalives"] == 1
    assert "tcp_user_timeout" not in seen[1]
