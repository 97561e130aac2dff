"""A night with secrets wherever settings take one: none is in an answer, in the list of processes or in a byte of the
home.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from support.shop_database import Shop
from support.small_shop import ORDERS

from retention_pipeline.cli.app import main

SECRETS = {name: f"{name}-Secr3t" for name in ("source", "gone", "target", "channel", "privacy")}
SETTINGS = """
business: {timezone: UTC, reporting_currency: EUR, min_n: 1}
history_start: 2024-03-01
grains: [month]
privacy: {key: {env: PRIVACY}, pseudonymise: {files: [customer_id]}}
sources:
  orders: {type: postgres, dsn: {env: SOURCE}, table: public.orders, cursor: updated_at}
  gone: {type: postgres, dsn: {env: GONE}, table: public.orders, dataset: orders}
  files: {type: files, dataset: orders, path: landing/orders/*.csv, timezone: UTC}
publish: {postgres: {dsn: {env: TARGET}, schema: retention}}
alerts: {channels: {team: {env: CHANNEL}}}
"""
VERBS = (
    ("check",), ("status",), ("status", "--json"), ("doctor", "--json"),
    ("quarantine",), ("kpis",), ("kpis", "orders", "--json"), ("alerts",), ("alerts", "--json"), ("alerts", "test"),
    ("report", "--summary"), ("query", "from settings_in_force"), ("explain", "orders", "2024-03"),
    ("restore", "99"), ("restate",), ("backfill", "--from", "2020-01", "--to", "2020-02"), ("forget", "nobody"),
)  # fmt: skip
# `python -m retention_pipeline.cli` for which a server that does not answer is asked again at once.
WITHOUT_WAITING = """
from retention_pipeline.cli.entry import main
from retention_pipeline.ingest import pull_loader

pull_loader.SECONDS_BETWEEN_ATTEMPTS = 0.01
main()
"""


def with_password(dsn: str, secret: str) -> str:
    """The server trusts whoever comes, whatever the password."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.username or 'postgres'}:{secret}@{parts.hostname or ''}"))


def test_no_secret_is_in_an_answer_a_process_or_a_file(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = shop.home
    for name, value in {
        "SOURCE": with_password(shop.dsn, SECRETS["source"]),
        "GONE": f"postgresql://reader:{SECRETS['gone']}@127.0.0.1:9/shop",
        "TARGET": f"postgresql://writer:{SECRETS['target']}@127.0.0.1:9/bi",
        "CHANNEL": f"json://127.0.0.1:9/{SECRETS['channel']}",
        "PRIVACY": SECRETS["privacy"],
    }.items():
        monkeypatch.setenv(name, value)
    for number in range(1, 12):
        shop.add(number)
    home.settings_file.write_text(SETTINGS)
    (home.root / "landing/orders").mkdir(parents=True)
    (home.root / "landing/orders/1.csv").write_text(ORDERS)

    run = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_WAITING, "run", "--home", str(home.root), "--as-of", "2024-05-10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    processes: set[str] = set()
    ended = threading.Event()
    watcher = threading.Thread(target=_note_processes, args=(run.pid, processes, ended))
    watcher.start()
    said, _ = run.communicate()
    ended.set()
    watcher.join()
    assert run.returncode == 0, said
    assert "gone" in said and "publish.postgres" in said and "channel team" in said  # each secret was used
    assert len(processes) >= 1

    answers = [said, *processes]
    for arguments in VERBS:
        with pytest.raises(SystemExit):
            main([*arguments, "--home", str(home.root)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        answers += [out, err]
    found: dict[str, Any] = {
        name: [answer for answer in answers if secret in answer] for name, secret in SECRETS.items()
    }
    assert not any(found.values()), found
    for file in home.root.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [name for name, secret in SECRETS.items() if secret.encode() in content], file


def _note_processes(pid: int, seen: set[str], ended: threading.Event) -> None:
    """Command lines of a process and of what it starts, until it has ended."""
    while not ended.wait(0.05):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if int(folder.name) == pid or os.getpgid(int(folder.name)) == os.getpgid(pid):
                    seen.add(command)
            except (OSError, ProcessLookupError):
                continue
