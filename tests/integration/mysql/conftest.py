"""A MariaDB server that the tests start themselves, and a database on it that is new for every test.

Debian: `apt-get install mariadb-server`. Where there is none the tests are skipped.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from support.mysql_shop import TABLE, MysqlShop

from retention_pipeline.ingest import pull_loader
from retention_pipeline.settings import Home

START_SECONDS = 60


@dataclass
class Server:
    """A running server with the user root, who has no password and may do everything."""

    port: int
    socket: Path
    certificate: Path | None = None  # its own, which signs itself

    @property
    def dsn(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/shop"

    def connect(self, **arguments: object) -> pymysql.Connection:
        wanted: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "user": "root", "autocommit": True}
        return pymysql.connect(**(wanted | arguments))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    install, daemon = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in
                       ("mariadb-install-db", "mariadbd"))  # fmt: skip
    if install is None or daemon is None:
        pytest.skip("no MariaDB here: apt-get install mariadb-server")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        data, address, log = place / "data", place / "sock", place / "log"
        data.mkdir()
        as_user = []
        if os.getuid() == 0:  # the server refuses to be root
            owner = pwd.getpwnam("mysql")
            for path in (place, data):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            as_user = ["--user=mysql"]
        certificate, key = _certificate(place)
        if as_user and key is not None:
            os.chown(key, owner.pw_uid, owner.pw_gid)
        tls = [f"--ssl-cert={certificate}", f"--ssl-key={key}"] if certificate else []
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *as_user],
            check=True,
            capture_output=True,
        )
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [daemon, "--no-defaults", f"--datadir={data}", f"--socket={address}", f"--port={port}",
                 "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", *tls, *as_user],
                stdout=output,
                stderr=output,
            )  # fmt: skip
        try:
            server = Server(port, address, certificate)
            _wait_for(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _certificate(folder: Path) -> tuple[Path | None, Path | None]:
    """A certificate of 127.0.0.1 with its key; none where there is no openssl."""
    if shutil.which("openssl") is None:
        return None, None
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    certificate.chmod(0o644)
    return certificate, key


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except pymysql.Error:
            if process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"MariaDB does not start: {log.read_text()[-500:]}")
            time.sleep(0.1)


@pytest.fixture
def shop(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MysqlShop]:
    monkeypatch.setenv("SHOP", server.dsn)
    monkeypatch.setattr(pull_loader, "SECONDS_BETWEEN_ATTEMPTS", 0.01)
    database = server.connect()
    with database.cursor() as cursor:
        cursor.execute("drop database if exists shop")
        cursor.execute("create database shop character set utf8mb4")
        cursor.execute("use shop")
        cursor.execute(TABLE)
    yield MysqlShop(database, Home(tmp_path))
    database.close()
