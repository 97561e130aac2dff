"""SIGINT and SIGTERM at random moments of a night, start-up included: the command ends in one line with exit code 130,
without a traceback; readers see the generation before, or the new one whole; and the next run ends in the tables of a
home that was never stopped.

The environment sets RETENTION_SIGNALS (how many, a third of them in start-up), RETENTION_SIGNAL_SECONDS (no new one
after so long) and RETENTION_KILLS_SEED.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kills.contents import Contents, differences, published_contents
from kills.mixed_home import FIRST, Shop
from kills.nights import cpu_seconds, looks_abandoned
from kills.warm import REPOSITORY, Warm
from retention_pipeline.settings import Home

pytestmark = pytest.mark.proof
SEED = int(os.environ.get("RETENTION_KILLS_SEED", "20250102"))
SIGNALS = int(os.environ.get("RETENTION_SIGNALS", "6"))
SECONDS = float(os.environ.get("RETENTION_SIGNAL_SECONDS", "36000"))
STOPPED = 130
IN_A_ROW = 6  # signals in one home before a run may go through
AT_MOST = 600.0


class Night:
    """A night that is stopped, again and again."""

    def __init__(self, folder: Path, warm: Warm) -> None:
        self.folder, self.warm, self.log = folder, warm, folder / "log"
        self.before, self.after, self.home = (Home(folder / name) for name in ("before", "after", "stopped"))
        shop = Shop(SEED, None)
        shop.open(self.before.root)
        assert self.run(self.before, 0) == 0, self.said()
        shop.deliver(self.before, 1)
        shutil.copytree(self.before.root, self.after.root, symlinks=True)
        began = time.monotonic()
        assert self.run(self.after, 1) == 0, self.said()
        self.seconds = time.monotonic() - began
        self.contents = [contents(home) for home in (self.before, self.after)]

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def begin_again(self) -> None:
        shutil.rmtree(self.home.root, ignore_errors=True)
        shutil.copytree(self.before.root, self.home.root, symlinks=True)

    def arguments(self, home: Home, night: int) -> list[str]:
        return ["run", "--home", str(home.root), "--as-of", (FIRST + timedelta(days=night)).isoformat()]

    def run(self, home: Home, night: int, number: int | None = None, after: float = 0.0) -> int:
        """One run, with a signal after as many seconds; its exit code."""
        process = self.warm.start(self.arguments(home, night), self.log)
        code = self.warm.ended(AT_MOST if number is None else after)
        if code is None and number is not None:
            os.kill(process, number)
            code = self.warm.ended(AT_MOST)
        assert code is not None, f"a run did not end: {self.said()}"
        return code

    def in_start_up(self, number: int, after: float) -> int:
        """A command as a shell starts it, with a signal while it still imports; its exit code."""
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", "from retention_pipeline.cli.entry import main; main()",
                 *self.arguments(self.home, 1)],
                stdout=log, stderr=log, cwd=REPOSITORY,
            )  # fmt: skip
            # Until Python itself has started (in a third of a second of its own time) a signal ends it in silence.
            while cpu_seconds(process.pid) < after and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(number)
            return process.wait(AT_MOST)

    def problems(self, code: int) -> list[str]:
        """What is not as promised after a signal."""
        said, found = self.said(), []
        if code == 0:
            return [] if contents(self.home) == self.contents[1] else ["exit code 0, but the night is not published"]
        if code != STOPPED:
            found.append(f"exit code {code}")
        if "Traceback" in said or "Error" in said or said.count("Stopped") != 1:
            found.append("not one line")
        if contents(self.home) not in self.contents:
            found.append("readers see something else")
        return found


def contents(home: Home) -> Contents:
    """What is published, without what a night notes about itself: a second run of the same night has less to do."""
    published = published_contents(home.current.resolve(), with_pulls=True)
    return {table: rows for table, rows in published.items() if not table.startswith("night_")}


def test_a_signal_at_any_moment_ends_a_run_in_one_line(tmp_path: Path, tell: Callable[[str], None]) -> None:
    chance = random.Random(SEED)
    warm = Warm()
    failed: list[str] = []
    began, stopped = time.monotonic(), 0
    try:
        night = Night(tmp_path, warm)
        tell(f"\na night takes {night.seconds:.1f} s; seed {SEED}")
        for one in range(SIGNALS):
            if time.monotonic() - began > SECONDS:
                break
            if one % IN_A_ROW == 0:
                night.begin_again()
            number = chance.choice((signal.SIGINT, signal.SIGTERM))
            if one % 3 == 0:
                where, after = "start-up", chance.uniform(0.15, 2.5)
                code = night.in_start_up(number, after)
            else:
                where, after = "run", chance.uniform(0, night.seconds)
                code = night.run(night.home, 1, number, after)
            found = night.problems(code)
            stopped += code == STOPPED
            tell(f"{one} {number.name} {where} after {after:.2f} s: exit {code}, {found or 'as promised'}")
            if found:
                failed.append(f"{where} {after}: {found}\n{night.said()}")
            if one % IN_A_ROW == IN_A_ROW - 1 or one == SIGNALS - 1:
                is_published = contents(night.home) == night.contents[1]
                assert night.run(night.home, 1) == 0, night.said()
                without = ("night_",) if is_published else ()
                differing = differences(night.home, night.after, without=without, with_pulls=True)
                failed += [*differing, *looks_abandoned(night.home)]
                tell(f"the next run: {differing or 'the tables of a home that was never stopped'}")
    finally:
        warm.close()
    tell(f"{stopped} runs stopped, {len(failed)} not as promised")
    assert not failed, "\n".join(failed)
