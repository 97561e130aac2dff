"""A disk that fills up at twenty points of a night: the run ends in one line with the path, the cause and what helps,
readers see the generation before (or the new one, whole), and the run after space was freed ends in the tables of a
home whose disk was never full.

The home lies on a file system of its own in memory, so the test needs the right to mount one. The environment sets
RETENTION_FULL_DISKS (how many of the points, from the first on) and RETENTION_KILLS_SEED.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kills.contents import differences, published_contents
from kills.mixed_home import FIRST, Shop
from kills.nights import looks_abandoned
from kills.test_kills_of_mixed_sources import _is_in
from kills.warm import Warm, kill_group
from retention_pipeline.settings import Home

pytestmark = pytest.mark.long
SEED = int(os.environ.get("RETENTION_KILLS_SEED", "20250102"))
POINTS = int(os.environ.get("RETENTION_FULL_DISKS", "20"))
DISK = 160 << 20
AT_MOST = 600.0  # seconds of a run
POLL = 0.005
# Room left before the run begins, as a share of what it needs; then steps, and seconds after they begin.
ROOMS = (0.0, 0.002, 0.02, 0.1, 0.3, 0.6, 0.9)
STEPS = (
    *(("start", 0.0), ("ingest", 0.0), ("ingest", 0.3), ("build", 0.0), ("build", 0.5), ("build", 1.5)),
    *(("figures", 0.0), ("audit", 0.0), ("history", 0.0), ("publish", 0.0), ("publish", 0.1)),
    *(("exports", 0.0), ("exports", 0.2)),
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Nights:
    """Runs of one night on the disk, each from the same home."""

    def __init__(self, disk: Path, folder: Path, warm: Warm) -> None:
        self.disk, self.folder, self.warm = disk, folder, warm
        self.home, self.filler = Home(disk / "home"), disk / "filler"
        self.shop = Shop(SEED, None)
        self.need = 0

    def make_references(self) -> None:
        """The home before the night, and after one on a disk with room."""
        self.shop.open(self.home.root)
        assert self.run(0, lambda: None) == 0, self.said()
        self.shop.deliver(self.home, 1)
        shutil.copytree(self.home.root, self.before.root, symlinks=True)
        free = least = self.free()

        def watched() -> None:
            nonlocal least
            least = min(least, self.free())

        assert self.run(1, watched) == 0, self.said()
        self.need = free - least
        shutil.copytree(self.home.root, self.after.root, symlinks=True)
        self.contents = [published_contents(one.current.resolve()) for one in (self.before, self.after)]

    @property
    def before(self) -> Home:
        return Home(self.folder / "before")

    @property
    def after(self) -> Home:
        return Home(self.folder / "after")

    def begin_again(self) -> None:
        """The home as it was before the night."""
        self.filler.unlink(missing_ok=True)
        shutil.rmtree(self.home.root)
        shutil.copytree(self.before.root, self.home.root, symlinks=True)

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def free(self) -> int:
        seen = os.statvfs(self.disk)
        return seen.f_bavail * seen.f_frsize

    def fill(self, room: int) -> None:
        """Leave as many bytes."""
        with self.filler.open("ab") as file:
            while (more := self.free() - room) > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), more)
                except OSError:  # the run has taken some of it meanwhile
                    continue

    def run(self, night: int, look: Callable[[], None]) -> int:
        """One run, with a look at it all the time; its exit code."""
        arguments = ["run", "--home", str(self.home.root), "--as-of", (FIRST + timedelta(days=night)).isoformat()]
        process = self.warm.start(arguments, self.folder / "log")
        until = time.monotonic() + AT_MOST
        while (code := self.warm.ended(POLL)) is None:
            look()
            if time.monotonic() > until:
                kill_group(process)
                raise TimeoutError(f"a run did not end:\n{self.said()}")
        return code

    def run_until_full(self, step: str, seconds: float, room: int) -> int:
        """A run during which the disk fills up, as many seconds after a step has begun; its exit code."""
        known = set(self.home.runs.glob("*.json"))
        begun: list[float] = []
        done: list[bool] = []

        def look() -> None:
            if not begun and _is_in(step, self.home, known):
                begun.append(time.monotonic())
            if begun and not done and time.monotonic() - begun[0] >= seconds:
                self.fill(room)
                done.append(True)

        return self.run(1, look)

    def problems(self, code: int) -> list[str]:
        """What is not as promised after a run on a full disk."""
        said, found = self.said(), []
        if any(sign in said for sign in ("Traceback", "Errno", "Exception while", "exception_type")):
            found.append("a traceback, or a bare number of an error")
        published = published_contents(self.home.current.resolve())
        if published not in self.contents:
            found.append("readers see something else")
        if code == 0 and published != self.contents[1]:
            found.append("exit code 0, but nothing new is published")
        if code not in (0, 1):
            found.append(f"exit code {code}")
        last = " ".join(said.replace("│", " ").split())
        if code and not ("pace" in last and f"retention run --home {self.home.root}" in last):
            found.append("not one line with cause and cure")
        self.filler.unlink(missing_ok=True)
        if self.run(1, lambda: None):
            found.append(f"the next run does not go through: {self.said()}")
        else:
            without = ("night_",) if published == self.contents[1] else ()
            found += differences(self.home, self.after, without=without, with_pulls=True)
            found += looks_abandoned(self.home)
        return found


def test_a_disk_that_fills_up_anywhere(disk: Path, tmp_path: Path, tell: Callable[[str], None]) -> None:
    chance = random.Random(SEED)
    warm = Warm()
    nights = Nights(disk, tmp_path, warm)
    failed = []
    try:
        nights.make_references()
        tell(f"\na night needs {nights.need:,} bytes; seed {SEED}")
        points = [("before", share) for share in ROOMS] + list(STEPS)
        for step, at in points[:POINTS]:
            nights.begin_again()
            if step == "before":
                nights.fill(int(at * nights.need))
                code = nights.run(1, lambda: None)
            else:
                code = nights.run_until_full(step, at, chance.choice((0, 0, 20_000, 100_000)))
            said = nights.said()
            found = nights.problems(code)
            tell(f"{step} {at}: exit {code}, {found or 'as promised'}\n    {' '.join(said.split())[-600:]}")
            if found:
                failed.append(f"{step} {at}: {found}\n{said}")
    finally:
        warm.close()
    assert not failed, "\n".join(failed)
