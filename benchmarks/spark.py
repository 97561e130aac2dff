"""The models on DuckDB and on a local Spark, on the same cores: seconds, growth of each model, what is shuffled, skew.

    make bench-spark SIZE=1m       or: python -m benchmarks.spark --size 1m [--only whole] [--keep] [--folder bench]

Measured are a size, a tenth of it, and the size again with a tenth of the orders of one customer and nine tenths of one
channel (skewed); or one of these. Results are printed and kept as JSON in <folder>/spark-<size>.json, or
spark-<size>-<only>.json; docs/performance.md quotes them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks import work
from benchmarks.generate import generate
from benchmarks.measure import machine, measured
from benchmarks.sizes import Size
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.settings import Home
from retention_pipeline.transform.spark.local_server import end_with_sigterm, local_server, why_not

REMOTE = "SPARK_REMOTE"
TICKS = os.sysconf("SC_CLK_TCK")
GROWTH_TARGET = 1.15
SHOWN = 12  # models
MEASURED = ("tenth", "whole", "skewed")
UNITS = {"k": 1_000, "m": 1_000_000}


@dataclass
class OnSpark:
    """One full refresh on Spark: cpu of the pipeline's process and of the cluster; per model its seconds, the
    processor seconds of its tasks and the bytes that they wrote for others to read.
    """

    wall: float
    client_cpu: float
    cluster_cpu: float
    seconds: dict[str, float] = field(default_factory=dict)
    task_cpu: dict[str, float] = field(default_factory=dict)
    shuffled: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Measure, print, keep."""
    arguments = _arguments()
    missing = why_not()
    if missing:
        raise SystemExit(missing)
    end_with_sigterm()
    orders = _orders(arguments.size)
    named = "-".join(["spark", arguments.size, *([arguments.only] if arguments.only else [])])
    folder = Path(arguments.folder).resolve() / named
    shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Any] = {}
    try:
        for name in [arguments.only] if arguments.only else MEASURED:
            count = orders // 10 if name == "tenth" else orders
            root = folder / name
            root.mkdir(parents=True)
            generate(Home(root), Size(name, count))
            if name == "skewed":
                skew(Home(root))
            on_duckdb = measured(f"{name} on DuckDB", work.pipeline_run, root, 0, True)
            print(f"{name}: {count:,} orders, DuckDB {on_duckdb.wall:.0f} s, {on_duckdb.cpu:.0f} CPU s", flush=True)
            on_spark = measure_spark(root, folder / f"cluster-{name}")
            cpu = on_spark.client_cpu + on_spark.cluster_cpu
            print(
                f"  Spark {on_spark.wall:.0f} s, {cpu:.0f} CPU s, of the cluster {on_spark.cluster_cpu:.0f}", flush=True
            )
            print(f"  shuffled: {sum(on_spark.shuffled.values()) / count:.0f} bytes an order", flush=True)
            found[name] = {"orders": count, "duckdb": asdict(on_duckdb), "spark": asdict(on_spark)}
        for line in compared(found):
            print(line)
    finally:
        kept = folder.with_suffix(".json")
        about = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
        kept.write_text(json.dumps(about | found, indent=1, default=str))
        print(f"kept in {kept}")
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


def compared(found: dict[str, Any]) -> list[str]:
    """What the figures say of growth and skew, model by model, by the processor seconds of tasks; of one measurement
    alone these, and the bytes shuffled per order.
    """
    if len(found) == 1:
        [only] = found.values()
        spark = only["spark"]
        slowest = sorted(spark["task_cpu"].items(), key=lambda model: -model[1])[:SHOWN]
        return [f"{m:32} {cpu:9.1f} {spark['shuffled'].get(m, 0) / only['orders']:15.1f}" for m, cpu in slowest]
    tenth, whole, skewed = (found[name]["spark"]["task_cpu"] for name in MEASURED)
    shuffled = found["whole"]["spark"]["shuffled"]
    lines = [f"{'model':32} {'a tenth':>9} {'whole':>9} {'growth / 10':>12} {'skewed':>9} {'bytes an order':>15}"]
    for model in sorted(whole, key=lambda name: -whole[name])[:SHOWN]:
        growth = whole[model] / tenth[model] / 10 if tenth.get(model) else float("nan")
        mark = " !" if growth > GROWTH_TARGET else ""
        lines.append(
            f"{model:32} {tenth.get(model, 0):9.1f} {whole[model]:9.1f} {growth:12.2f} {skewed.get(model, 0):9.1f} "
            f"{shuffled.get(model, 0) / found['whole']['orders']:15.1f}{mark}"
        )
    total = sum(whole.values()) / max(sum(tenth.values()), 1e-9) / 10
    return [*lines, f"growth of all tasks / 10: {total:.2f} (aim: at most {GROWTH_TARGET})"]


def skew(home: Home) -> None:
    """Give one customer a tenth of all orders, and one channel nine tenths."""
    with open_raw(home.raw_file) as connection:
        connection.execute("update raw.orders set customer_id = 'C0', _customer_key = 1 where hash(order_id) % 10 = 0")
        connection.execute("update raw.orders set channel = 'web' where hash(order_id) % 10 <> 1")


def measure_spark(root: Path, folder: Path) -> OnSpark:
    """A full refresh of a home on a cluster of its own."""
    home = Home(root)
    settings = yaml.safe_load(home.settings_file.read_text(encoding="utf-8"))
    on_spark = {"engine": "spark", "spark": {"remote": {"env": REMOTE}}}
    home.settings_file.write_text(yaml.safe_dump(settings | on_spark), encoding="utf-8")
    events = folder / "events"
    events.mkdir(parents=True)
    told = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri()}
    told |= {"spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false"}
    with local_server(folder, settings=told) as address, _variable(REMOTE, address):
        before = cpu_of_processes_in(folder)
        done = measured("on Spark", work.pipeline_run, root, 0, True)
        cluster_cpu = cpu_of_processes_in(folder) - before
    tasks, shuffled = by_model(next(path for path in events.iterdir() if path.is_file()))
    log = next(iter(sorted(home.runs.glob("*/dbt/spark.log"), key=lambda path: path.stat().st_mtime, reverse=True)))
    seconds = {
        line[2]: float(line[1]) for line in re.finditer(r"^ *([\d.]+) s +\w+ +(\w+)", log.read_text(), re.MULTILINE)
    }
    return OnSpark(done.wall, done.cpu, cluster_cpu, seconds, tasks, shuffled)


def by_model(event_log: Path) -> tuple[dict[str, float], dict[str, int]]:
    """Processor seconds of tasks, and bytes written to shuffles, per model, which its jobs are tagged with."""
    model_of: dict[int, str] = {}
    seconds, shuffled = Counter[str](), Counter[str]()
    with event_log.open(encoding="utf-8") as lines:
        for line in lines:
            if '"SparkListenerJobStart"' in line:
                event = json.loads(line)
                tagged = re.search(r"_Tag_(\w+)", (event.get("Properties") or {}).get("spark.job.tags", ""))
                for stage in event["Stage IDs"]:
                    model_of[stage] = tagged[1] if tagged else ""
            elif '"SparkListenerTaskEnd"' in line:
                event = json.loads(line)
                metrics = event.get("Task Metrics")
                model = model_of.get(event["Stage ID"], "")
                if metrics and model:
                    spent = metrics["Executor CPU Time"] + metrics["Executor Deserialize CPU Time"]
                    seconds[model] += spent / 1e9
                    shuffled[model] += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
    return dict(seconds), dict(shuffled)


def cpu_of_processes_in(folder: Path) -> float:
    """User and system seconds of the processes that work in a folder: those of the cluster."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(folder):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:  # it ended
            continue
    return total


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _orders(size: str) -> int:
    return int(size[:-1]) * UNITS[size[-1]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the models on DuckDB and on a local Spark.")
    parser.add_argument("--size", default="1m", help="orders: 100k, 1m, 10m")
    parser.add_argument("--only", choices=MEASURED, help="one of the three")
    parser.add_argument("--folder", default="bench", help="where the data go (removed afterwards)")
    parser.add_argument("--keep", action="store_true", help="leave the data and the warehouses there")
    arguments = parser.parse_args()
    if not re.fullmatch(r"[1-9]\d*[km]", arguments.size):
        parser.error("--size: a number of orders such as 100k or 10m is expected")
    return arguments


if __name__ == "__main__":
    main()
