"""Killed at any moment, the next run ends in the same raw tables as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.sizes import SEED as SEED_OF_RUN

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest import file_loader, ingest
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened_raw

NOW = datetime(2024, 5, 1, 3)
SEED = 20240501 + SEED_OF_RUN
KILLS = 8
RESOLVED_BY = 9  # a column of raw.quarantine

pytestmark = pytest.mark.proof
CHILD = """
import sys
from datetime import datetime
from retention_pipeline.ingest import file_loader, ingest
from retention_pipeline.settings import load_settings, resolve_home
file_loader.FILES_AT_ONCE = 2
home = resolve_home(sys.argv[1])
print("begins", flush=True)
ingest(home, load_settings(home), now=datetime(2024, 5, 1, 3), progress=lambda text: print(text, flush=True))
"""


def deliver(home: Path) -> None:
    """Three nights' worth of files: new rows, corrections, late versions, bad lines, several sizes."""
    chance = random.Random(SEED)
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
    sources = {"orders": {"type": "files", "path": "landing/orders/*"}}
    folder = home / "landing" / "orders"
    folder.mkdir(parents=True)
    (home / "settings.yaml").write_text(
        yaml.safe_dump({"business": business, "sources": sources, "max_quarantine_rate": 0.5})
    )
    for file in range(12):
        lines = ["order_id,customer_id,ordered_at,amount,currency,status,updated_at"]
        for _ in range(chance.choice([50, 500, 40_000])):
            order, day = chance.randint(1, 60_000), chance.randint(1, 28)
            amount = "ten" if chance.random() < 0.001 else f"{chance.randint(1, 9999)}.00"
            lines.append(f"o{order},c{order % 977},2024-03-{day:02},{amount},EUR,paid,2024-04-{day:02}T10:00:00Z")
        (folder / f"{file:02}.csv").write_text("\n".join(lines) + "\n")


def contents(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    with opened_raw(Home(home)) as connection:
        tables = ["orders", "orders_history", "customer_keys", "quarantine", "ledger"]
        return {table: connection.execute(f"from raw.{table} order by all").fetchall() for table in tables}


def test_kills_at_random_moments_leave_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_loader, "FILES_AT_ONCE", 2)
    undisturbed = tmp_path / "undisturbed"
    deliver(undisturbed)
    start = time.monotonic()
    ingest(Home(undisturbed), load_settings(Home(undisturbed)), now=NOW)
    duration = time.monotonic() - start
    expected = contents(undisturbed)
    assert len(expected["ledger"]) == 12

    # The moments are shares of the undisturbed duration, so that they fall into the work on any machine. Each kill
    # leaves less to do: where nothing is left, the next home is begun.
    chance = random.Random(SEED)
    kills = homes = 0
    while kills < KILLS:
        homes += 1
        disturbed = tmp_path / f"disturbed{homes}"
        deliver(disturbed)
        while kills < KILLS and killed_during_ingest(disturbed, after=chance.random() * duration):
            kills += 1
        ingest(Home(disturbed), load_settings(Home(disturbed)), now=NOW)
        assert contents(disturbed) == expected
        assert not (disturbed / "warehouse" / "raw.scratch").exists()
    with capsys.disabled():
        print(f"\n{kills} kills in {homes} homes, seed {SEED}")


def killed_during_ingest(home: Path, after: float) -> bool:
    """Whether SIGKILL, that many seconds after the beginning, came before the end."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"begins\n"
    try:
        _, errors = child.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        child.kill()
        _, errors = child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), errors.decode()
    return child.returncode != 0


def test_loads_brought_in_together_or_one_by_one_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, one_by_one = tmp_path / "together", tmp_path / "one_by_one"
    for home, files in ((together, 500), (one_by_one, 1)):
        deliver(home)
        monkeypatch.setattr(file_loader, "FILES_AT_ONCE", files)
        ingest(Home(home), load_settings(Home(home)), now=NOW)
    ours, theirs = contents(together), contents(one_by_one)
    names = [name for name, _ in CONTRACTS["orders"].history_columns]
    keys = [names.index(name) for name in ("_customer_key", "_superseded_by")]
    assert [_without(row, keys) for row in ours["orders"]] == [_without(row, keys) for row in theirs["orders"]]
    assert ours["quarantine"] == theirs["quarantine"]
    assert {row[RESOLVED_BY] is None for row in ours["quarantine"]} == {True, False}
    # a version that never was current is replaced by the winner of its own transaction
    assert sorted(_without(row, keys) for row in ours["orders_history"]) == sorted(
        _without(row, keys) for row in theirs["orders_history"]
    )


def _without(row: tuple[Any, ...], positions: list[int]) -> str:
    return repr([value for position, value in enumerate(row) if position not in positions])
