"""The command as a process of its own, as cron starts it: exit codes, what is printed where, kills, two at once."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import dagster as dg
import pytest
from support.command import retention
from support.small_shop import AS_OF, LATE_ORDER, deliver, open_shop

from retention_pipeline.run.lock import writer_lock
from retention_pipeline.settings import Home
from retention_pipeline.testing import VARIABLE

DAY = ("--as-of", AS_OF.isoformat())


def process(home: Home, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`retention <arguments> --home <home>` as cron starts it; what is asked of the home between needs no process."""
    return subprocess.run(
        [sys.executable, "-m", "retention_pipeline.cli", *arguments, "--home", str(home.root)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"} | environment,
        timeout=300,
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, subprocess.CompletedProcess[str]]:
    """A shop after its first run."""
    home = open_shop(tmp_path_factory.mktemp("shop") / "home", months_alone=True)
    return home, process(home, "run", *DAY)


def test_a_run_tells_its_progress_on_standard_error_and_the_figures_on_standard_out(
    shop: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    _, done = shop
    assert done.returncode == 0, done.stderr
    assert "orders: 1 file, 8 new rows" in done.stderr and "published generation 1" in done.stderr
    for part in ("Apr 2024", "Monthly recurring revenue", "Where things are", "What to try next"):
        assert part in done.stdout
    assert "orders: 1 file" not in done.stdout


def test_status_and_check_say_that_all_is_well(shop: tuple[Home, subprocess.CompletedProcess[str]]) -> None:
    home, _ = shop
    status = json.loads(retention(home, "status", "--json").stdout)
    assert (status["published"]["generation"], status["runs"][0]["status"]) == (1, "succeeded")
    checked = retention(home, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_killed_run_leaves_the_figures_and_the_next_one_goes_through(
    shop: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = shop
    before = home.current.resolve()
    deliver(home, "orders", "late.csv", LATE_ORDER)
    killed = process(home, "run", *DAY, **{VARIABLE: "build"})
    assert killed.returncode == -signal.SIGKILL
    assert home.current.resolve() == before
    assert json.loads(retention(home, "status", "--json").stdout)["runs"][0]["status"] == "killed"
    again = retention(home, "run", *DAY, "--json")
    assert again.returncode == 0, again.stderr
    record = json.loads(again.stdout)
    assert (record["status"], record["generation"]) == ("succeeded", 2)
    assert record["seconds"]["build"] > 0
    assert record["restated_by_cause"] == {"late": record["restated"]}
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        statuses = [record.dagster_run.status for record in instance.get_run_records()]
    assert statuses == [
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,  # marked by the run after it; else the queue would wait for it
        dg.DagsterRunStatus.SUCCESS,
    ]


def test_figures_are_shown_as_they_stood_published(shop: tuple[Home, subprocess.CompletedProcess[str]]) -> None:
    home, _ = shop
    asked = retention(home, "query", "select published_at from publications order by all", "--json")
    first, second = (row["published_at"] for row in json.loads(asked.stdout))

    def february(*options: str) -> float:
        answer = retention(home, "kpis", "order_revenue", "--json", *options)
        assert answer.returncode == 0, answer.stderr
        return float(next(row["value"] for row in json.loads(answer.stdout) if row["period_start"] == "2024-02-01"))

    assert february("--known-at", f"{first}Z") == 32
    assert february("--known-at", f"{second}Z") == february() == 40
    headline = retention(home, "kpis", "--known-at", f"{first}Z")
    assert headline.returncode == 0 and "generation 1" in headline.stderr
    before = retention(home, "kpis", "--known-at", "2020-01-01")
    assert before.returncode == 1 and "Nothing had been published yet" in before.stderr
    explained = retention(home, "explain", "order_revenue", "2024-02", "--known-at", f"{first}Z")
    assert explained.returncode == 0, explained.stderr
    assert "buys_once +8: orders 9 (landing/orders/late.csv, line 2)" in explained.stdout


def test_a_second_run_at_the_same_time_ends_at_once_and_names_the_first(
    shop: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = shop
    with writer_lock(home):
        refused = process(home, "run", *DAY)
        reading = retention(home, "kpis", "mrr_end", "--json")
    assert refused.returncode == 1
    assert f"process {os.getpid()}" in refused.stderr and "Traceback" not in refused.stderr
    assert reading.returncode == 0 and json.loads(reading.stdout)


def test_a_file_of_bad_rows_fails_the_run_with_one_message_and_withdraws_nothing(
    shop: tuple[Home, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = shop
    before = home.current.resolve()
    bad = "order_id,customer_id,ordered_at,amount,currency,status\n" + "a,b,not a day,much,EUR,paid\n" * 30
    deliver(home, "orders", "bad.csv", bad)
    phases = home.root / "landing" / "subscriptions" / "subscriptions.csv"
    deliver(home, "subscriptions", "more.csv", phases.read_text())
    failed = retention(home, "run", *DAY)
    for folder, name in (("orders", "bad.csv"), ("subscriptions", "more.csv")):
        (home.root / "landing" / folder / name).unlink()
    assert failed.returncode == 1
    record = json.loads(max(home.runs.glob("*.json")).read_text())
    assert "ingest subscriptions" in [step["step"] for step in record["steps"]]  # its file was looked at all the same
    assert not any(load["file_name"].endswith("more.csv") for load in record["loads"])  # and is one that is known
    assert "bad.csv" in failed.stderr and "Traceback" not in failed.stderr
    assert home.current.resolve() == before


def test_restore_goes_back_one_generation(shop: tuple[Home, subprocess.CompletedProcess[str]]) -> None:
    home, _ = shop
    now = json.loads(retention(home, "status", "--json").stdout)["published"]["generation"]
    restored = retention(home, "restore", "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["generation"] == now - 1
    refused = retention(home, "restore", "99")
    assert refused.returncode == 1 and "99 is not kept" in refused.stderr


@pytest.mark.parametrize("seconds_into_dbt", [0.0, 2.0])
def test_an_interrupted_run_says_so_and_exits_with_130(
    shop: tuple[Home, subprocess.CompletedProcess[str]], seconds_into_dbt: float
) -> None:
    home, _ = shop
    before = home.current.resolve()
    process = subprocess.Popen(
        [sys.executable, "-m", "retention_pipeline.cli", "run", *DAY, "--home", str(home.root)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:  # until dbt is at work
        if "full refresh" in line or "night" in line:
            break
    time.sleep(seconds_into_dbt)
    # Python drops an interrupt that comes while it collects garbage; a person would press again.
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the published figures are as they were" in errors and "Traceback" not in errors
    assert home.current.resolve() == before
