"""What the benchmark of Spark reads from its event log, and says of growth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.generate import generate
from benchmarks.sizes import Size
from benchmarks.spark import by_model, compared, skew
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened_raw


def test_tasks_count_for_the_model_whose_tag_their_job_has(tmp_path: Path) -> None:
    def job(stages: list[int], tags: str | None) -> dict[str, object]:
        properties = {"spark.job.tags": tags} if tags else None
        return {"Event": "SparkListenerJobStart", "Stage IDs": stages, "Properties": properties}

    def task(stage: int, seconds: float, written: int) -> dict[str, object]:
        metrics = {"Executor CPU Time": seconds * 1e9, "Executor Deserialize CPU Time": 0.5e9}
        metrics["Shuffle Write Metrics"] = {"Shuffle Bytes Written": written}  # type: ignore[assignment]
        return {"Event": "SparkListenerTaskEnd", "Stage ID": stage, "Task Metrics": metrics}

    tags = (
        "SparkConnect_OperationTag_User_me_Session_1_Operation_2,SparkConnect_SessionTag_User_me_Session_1_Tag_int_mrr"
    )
    events = [job([1, 2], tags), task(1, 1.0, 10), task(2, 2.0, 20), job([3], None), task(3, 9.0, 90)]
    events.append({"Event": "SparkListenerTaskEnd", "Stage ID": 2})  # one that failed has no metrics
    log = tmp_path / "app"
    log.write_text("\n".join(json.dumps(event) for event in events))
    assert by_model(log) == ({"int_mrr": 4.0}, {"int_mrr": 30})


def test_what_grows_faster_than_its_rows_is_marked() -> None:
    def spark(orders: int, **task_cpu: float) -> dict[str, object]:
        return {"orders": orders, "spark": {"task_cpu": task_cpu, "shuffled": {"a": orders * 8}}}

    found = {"tenth": spark(10, a=1.0, b=1.0), "whole": spark(100, a=10.0, b=13.0), "skewed": spark(100, a=30.0)}
    _, first, second, total = compared(found)
    assert first.split() == ["b", "1.0", "13.0", "1.30", "0.0", "0.0", "!"]
    assert second.split() == ["a", "1.0", "10.0", "1.00", "30.0", "8.0"]
    assert total.startswith("growth of all tasks / 10: 1.15 ")


ENDS_WITH_ITS_SERVER = """
import sys
import time
from pathlib import Path
from retention_pipeline.transform.spark.local_server import _started, end_with_sigterm
from benchmarks.measure import measured

folder = Path(sys.argv[1])
if __name__ == "__main__":
    end_with_sigterm()
    with _started(folder, folder, "server", ["server"]):
        measured("waits", time.sleep, 60)
"""


def children_of(process: int) -> list[int]:
    """Ids of what a process has started and is still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[1] == str(process):
                found.append(int(path.parent.name))
    return found


def is_so_within(seconds: float, is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_so()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
def test_a_signal_ends_the_server_and_the_work_with_the_benchmark(tmp_path: Path) -> None:
    """Spark's processes are in a session of their own: nobody else would end them."""
    server = tmp_path / "bin" / "server"
    server.parent.mkdir()
    server.write_text("#!/bin/sh\nexec sleep 60\n")
    server.chmod(0o700)
    script = tmp_path / "script.py"
    script.write_text(ENDS_WITH_ITS_SERVER)
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=os.environ | {"PYTHONPATH": paths})
    try:
        assert is_so_within(60, lambda: len(children_of(process.pid)) == 3)  # the third is multiprocessing's
        begun = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert is_so_within(10, lambda: not any(Path(f"/proc/{one}").exists() for one in begun))
    finally:
        process.kill()


def test_a_skewed_home_has_a_customer_and_a_channel_of_most_orders(tmp_path: Path) -> None:
    home = Home(tmp_path)
    generate(home, Size("tiny", 2_000))
    skew(home)
    with opened_raw(home) as raw:
        [(first, web, keys)] = raw.execute("""
            select avg(cast(customer_id = 'C0' as integer)), avg(cast(channel = 'web' as integer)),
                count(*) filter ((customer_id, _customer_key) not in (from raw.customer_keys))
            from raw.orders""").fetchall()
    assert 0.1 < first < 0.2
    assert web > 0.9
    assert keys == 0
