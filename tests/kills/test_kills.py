"""SIGKILL at any moment costs nothing but the run: the next one ends in the same tables as if nothing had happened, and
whoever opens the published warehouse meanwhile finds the last good generation, whole.

Kills follow one another without a run that goes through in between: one at each named step, or five at random moments.
After each of them a reader looks at every table, and every such row ends with a run that is compared with an
undisturbed one. The first row meets a full disk and a second run besides.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pytest

from kills.contents import differences, published_contents
from kills.deliveries import FIRST_DAY, NIGHT_DAY, deliver_night, make_home
from kills.nights import Ended, NightRun, looks_abandoned, random_moment, statuses
from kills.warm import Warm
from kills.watcher import NotWhole, Watch
from retention_pipeline.run.operations import status
from retention_pipeline.run.state import read_state
from retention_pipeline.settings import Home

ORDERS = int(os.environ.get("RETENTION_KILLS_ORDERS", "1000"))
PER_STEP = int(os.environ.get("RETENTION_KILLS_PER_STEP", "1"))
AT_RANDOM = int(os.environ.get("RETENTION_RANDOM_KILLS", "2"))
IN_FIRST_RUNS = int(os.environ.get("RETENTION_FIRST_RUN_KILLS", "0"))
pytestmark = pytest.mark.proof
SEED = int(os.environ.get("RETENTION_KILLS_SEED", "20250102"))
SECONDS_BETWEEN_LOOKS = float(os.environ.get("RETENTION_SECONDS_BETWEEN_LOOKS", "2"))
IN_A_ROW = 5

# Where the first, second and third kill of a step is, in each case another point of retention_pipeline/testing.py.
# A number is a share of dbt's models and tests.
POINTS: dict[str, tuple[str | float, ...]] = {
    "ingest": ("committed:1", "staged:2", "ingest"),
    "copy": ("copying", "begin", "copy"),
    "dbt": (0.5, 0.1, 0.9),
    "KPIs": ("computed", "figures", "computed"),
    "audit": ("audited", "audit", "audited"),
    "history": ("history", "history", "history"),
    "rename": ("rename", "checkpoint", "link"),
}
AFTER_PUBLICATION = ("exporting", "archiving", "exports")


@dataclass
class Trial:
    """The homes before and after an undisturbed night, and what all kills together came to."""

    folder: Path
    unrun: Home
    before: Home
    after: Home
    cpu: dict[str, float]
    nodes: int
    warm: Warm
    tell: Callable[[str], None]
    at_points: Counter[str] = field(default_factory=Counter)
    at_moments: Counter[str] = field(default_factory=Counter)
    in_first_runs: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    looks: int = 0
    thorough: int = 0

    @property
    def known(self) -> Path:
        """What a reader may see."""
        return self.folder / "known.json"

    def copy_of(self, home: Home) -> Home:
        """A home of its own, to be killed in."""
        copied = self.folder / "killed"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(home.root, copied, symlinks=True)
        return Home(copied)

    def watch(self, home: Home) -> Watch:
        return Watch(home, self.known, SECONDS_BETWEEN_LOOKS)

    def point(self, where: str | float) -> str:
        return f"node:{max(1, round(where * self.nodes))}" if isinstance(where, float) else where

    def so_far(self) -> str:
        """One line."""
        kills = self.at_points.total() + self.at_moments.total() + self.in_first_runs.total()
        return (
            f"{kills} kills, {self.compared} runs after them ended as an undisturbed one; the published file was "
            f"opened {self.looks:,} times and whole, {self.thorough} times all of it was read"
        )

    def table(self) -> str:
        """Kills per step, in words."""
        lines = [f"\n{'step':<10}{'at named points':>17}{'at random':>11}{'in first runs':>15}"]
        for step in (*POINTS, "exports", "end"):
            counts = [kills[step] for kills in (self.at_points, self.at_moments, self.in_first_runs)]
            lines.append(f"{step:<10}{counts[0]:>17}{counts[1]:>11}{counts[2]:>15}")
        totals = [kills.total() for kills in (self.at_points, self.at_moments, self.in_first_runs)]
        lines.append(f"{'all':<10}{totals[0]:>17}{totals[1]:>11}{totals[2]:>15}")
        lines.append(f"{ORDERS:,} orders, seed {SEED}: {self.so_far()}")
        return "\n".join(lines)


def went_through(home: Home, day: date, warm: Warm) -> Ended:
    """An undisturbed run."""
    run = NightRun(home, day, warm=warm)
    run.wait_for_start_up()
    ended = run.end()
    assert ended.code == 0, ended.said
    return ended


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    forks = Warm()
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, tell: Callable[[str], None], warm: Warm) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("kills")
    unrun, before, after = (Home(folder / name) for name in ("unrun", "before", "after"))
    make_home(unrun.root, ORDERS)
    shutil.copytree(unrun.root, before.root)
    cpu = {"first run": went_through(before, FIRST_DAY, warm).cpu}
    counts = deliver_night(before, ORDERS)
    assert min(counts.values()) > 1, counts
    shutil.copytree(before.root, after.root, symlinks=True)
    cpu["night"] = went_through(after, NIGHT_DAY, warm).cpu
    (log,) = (after.runs / str(_state(after)["run_id"]) / "dbt").glob("run_results.json")
    nodes = len(json.loads(log.read_text())["results"])
    made = Trial(folder, unrun, before, after, cpu, nodes, warm, tell)
    known = [_state(home) | {"tables": published_contents(home.current.resolve())} for home in (before, after)]
    made.known.write_text(json.dumps(known))
    yield made
    tell(made.table())
    shutil.rmtree(folder, ignore_errors=True)


def _state(home: Home) -> dict[str, str | int]:
    state = read_state(home.current.resolve())
    assert state is not None
    return {"as_of": state.as_of.isoformat(), "applied_load_id": state.applied_load_id, "run_id": state.run_id}


def look_after_a_kill(home: Home, watch: Watch, ended: Ended) -> None:
    """What must hold when nothing has been done about a kill yet."""
    watch.look()
    seen = status(home)
    assert seen.writer is None, "the lock is stuck"
    assert seen.waiting_loads is not None, "raw.duckdb cannot be read"
    # Once it has published, a run has succeeded, whatever becomes of its Parquet copies.
    assert ended.step in {"start-up", "exports", "end"} or seen.runs[0]["status"] == "killed"


def a_full_disk_fails_in_one_message(home: Home) -> None:
    """No file may grow to more than half of the published one, so that the copy breaks off."""
    failed = NightRun(home, NIGHT_DAY, largest_file=home.current.resolve().stat().st_size // 2).end()
    assert failed.code == 1 and "space" in failed.said and "Traceback" not in failed.said, failed.said
    assert not home.next_file.exists()


def finish(trial: Trial, home: Home, watch: Watch, *, day: date = NIGHT_DAY, second: bool = False) -> None:
    """The undisturbed run after kills, and the comparison. `second`: another run is started meanwhile, and refused."""
    # What the last night noted about itself is that of the whole night only if no killed run had published it.
    without = ("night_",) if is_published(home) else ()
    run = NightRun(home, day, warm=trial.warm)
    run.wait_for_start_up()
    if second:
        refused = NightRun(home, day).end()
        assert refused.code == 1
        assert f"another process writes to {home.root}: process {run.pid} on" in refused.said
    ended = run.end()
    assert ended.code == 0, ended.said
    watch.look()
    assert not differences(home, trial.after if day == NIGHT_DAY else trial.before, without=without)
    assert not looks_abandoned(home)
    assert statuses(home).keys() <= {"succeeded", "killed", "failed"}
    trial.compared += 1
    trial.looks += watch.seen.looks
    trial.thorough += watch.seen.thorough
    trial.tell(trial.so_far())


def is_published(home: Home) -> bool:
    """Whether the night's generation is current, or what a killed first run left will be."""
    if not home.current.exists():
        return home.published.exists() and any(home.published.glob("g*.duckdb"))
    return _state(home)["as_of"] == NIGHT_DAY.isoformat()


@pytest.mark.parametrize("turn", range(PER_STEP))
def test_killed_at_every_named_step_the_next_run_ends_in_the_same_tables(turn: int, trial: Trial) -> None:
    home = trial.copy_of(trial.before)
    steps = [(step, points[turn % len(points)]) for step, points in POINTS.items()]
    if turn == PER_STEP - 1 > 0:
        steps += [("exports", point) for point in AFTER_PUBLICATION]
    with trial.watch(home) as watch:
        for step, where in steps:
            ended = NightRun(home, NIGHT_DAY, stop_at=trial.point(where), warm=trial.warm).end()
            assert ended.was_killed, f"{where} was not reached: {ended.said}"
            trial.at_points[step] += 1
            look_after_a_kill(home, watch, ended)
            assert is_published(home) == (where in ("link", *AFTER_PUBLICATION))
            if where in ("copying", "copy", "computed", "checkpoint"):
                assert "next.duckdb" in looks_abandoned(home)
            elif where == "rename":
                assert looks_abandoned(home) == ["g2.duckdb"]
        if turn == 0:
            a_full_disk_fails_in_one_message(home)
            watch.look()
        finish(trial, home, watch, second=turn == 0)


def test_killed_at_random_moments_the_next_run_ends_in_the_same_tables(trial: Trial) -> None:
    chance = random.Random(SEED)
    while (left := AT_RANDOM - trial.at_moments.total()) > 0:
        home = trial.copy_of(trial.before)
        with trial.watch(home) as watch:
            for _ in range(min(IN_A_ROW, left)):
                ended = NightRun(home, NIGHT_DAY, warm=trial.warm).kill_after(
                    *random_moment(chance, trial.cpu["night"])
                )
                if not ended.was_killed:  # it was quicker than the moment
                    assert ended.code == 0, ended.said
                    break
                trial.at_moments[ended.step] += 1
                look_after_a_kill(home, watch, ended)
            finish(trial, home, watch)


@pytest.mark.skipif(IN_FIRST_RUNS == 0, reason="RETENTION_FIRST_RUN_KILLS is 0")
def test_a_first_run_that_is_killed_leaves_nothing_or_the_whole(trial: Trial) -> None:
    chance = random.Random(SEED + 1)
    home = trial.copy_of(trial.unrun)
    with trial.watch(home) as watch:
        for _ in range(IN_FIRST_RUNS):
            ended = NightRun(home, FIRST_DAY, warm=trial.warm).kill_after(
                *random_moment(chance, trial.cpu["first run"])
            )
            assert ended.was_killed or ended.code == 0, ended.said
            trial.in_first_runs[ended.step] += ended.was_killed
            look_after_a_kill(home, watch, ended)
        finish(trial, home, watch, day=FIRST_DAY)


def test_the_comparison_sees_one_lost_row(trial: Trial) -> None:
    home = trial.copy_of(trial.after)
    assert not differences(home, trial.after)
    for file, table in ((home.current.resolve(), "main.int_mrr_movements"), (home.raw_file, "raw.orders_history")):
        file.chmod(0o644)
        with duckdb.connect() as connection:
            connection.execute(f"attach '{file}' as damaged")
            connection.execute(f"delete from damaged.{table} where rowid = (select max(rowid) from damaged.{table})")
    found = [line.split(":")[0] for line in differences(home, trial.after)]
    assert found == ["int_mrr_movements", "mrr_movements", "raw.orders_history"]  # the second is a view of the first


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("delete from damaged.retention_kpis where rowid = 7", "retention_kpis has"),
        ("update damaged.retention_kpis set value = value + 1 where rowid = 7", "retention_kpis has other rows"),
        ("update damaged.period_customers set customers_end = customers_end + 1 where rowid = 7", "do not close"),
        ("insert into damaged.pipeline_state from damaged.pipeline_state", "pipeline_state has 2 rows"),
        ("drop table damaged.cohort_retention", "no table cohort_retention"),
        ("update damaged.pipeline_state set applied_load_id = 99", "is not known"),
    ],
)
def test_the_watcher_sees_a_generation_that_is_not_whole(trial: Trial, damage: str, said: str) -> None:
    home = trial.copy_of(trial.before)
    file = home.current.resolve()
    file.chmod(0o644)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{file}' as damaged")
        connection.execute("use damaged")
        connection.execute(damage)
    with pytest.raises(NotWhole, match=said), trial.watch(home) as watch:
        watch.look()


def test_the_watcher_sees_a_file_that_is_cut_off_or_gone(trial: Trial) -> None:
    home = trial.copy_of(trial.before)
    with pytest.raises(NotWhole, match=r"No such file|not exist"), trial.watch(home) as watch:
        watch.look()
        home.current.unlink()
        watch.look()
    cut = trial.copy_of(trial.before)
    file = cut.current.resolve()
    file.chmod(0o644)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(NotWhole), trial.watch(cut) as watch:
        watch.look()
