"""The benchmark of history and explanations: nights that restate figures, a quiet one, and `retention explain`.

    make bench-history SIZE=10m    or: python -m benchmarks.history --size 10m [--nights 2] [--keep] [--folder bench]

A night brings orders of its day, a tenth of them late over three months (generate.write_night). Told of each night is
what its step `history` took: the reported values, what was restated, why, and the rows behind it. Then the command is
run, each time in a process of its own. Results are printed and kept as JSON in <folder>/results-history-<size>.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks import work
from benchmarks.generate import write_night
from benchmarks.measure import machine, measured
from benchmarks.sizes import SIZES
from retention_pipeline.settings import Home

MONTH = "2024-11"
# One of each kind: state, all buyers to date, recurring revenue, a sum, a percentile, figures of several families.
EXPLAINED = (
    ["customer_churn_rate", MONTH, "--basis", "any"],
    ["customer_churn_rate", MONTH, "--basis", "any", "--customers"],
    ["repeat_customer_rate", MONTH],
    ["repeat_customer_rate", MONTH, "--customers"],
    ["mrr_end", MONTH],
    ["net_revenue_retention", MONTH, "--customers"],
    ["order_revenue", MONTH],
    ["time_between_purchases_median", MONTH],
    ["clv", MONTH],
    ["clv_subscription", MONTH],
)


def main() -> None:
    """Measure, print, keep."""
    arguments = _arguments()
    size, folder = SIZES[arguments.size], Path(arguments.folder).resolve()
    root = folder / f"history-{size.name}"
    shutil.rmtree(root, ignore_errors=True)
    nights: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    try:
        measured("generate", work.make_data, root, size.name)
        settings = yaml.safe_load(Home(root).settings_file.read_text(encoding="utf-8"))
        # Nights of small sizes are nights, too.
        Home(root).settings_file.write_text(yaml.safe_dump(settings | {"exchange_from_rows": 0}), encoding="utf-8")
        nights.append(_night(root, "full refresh", 0, full_refresh=True))
        nights.append(_night(root, "nothing new", 1))
        for number in range(arguments.nights):
            write_night(Home(root), size, number)
            nights.append(_night(root, f"{size.night_orders:,} orders", number + 2))
        for words in EXPLAINED:
            asked.append(_explained(root, words))
            print(json.dumps(asked[-1]), flush=True)
    finally:
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f"results-history-{size.name}.json"
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        said = {"measured_at": moment, "machine": machine(), "nights": nights, "explain": asked}
        kept.write_text(json.dumps(said, indent=1, default=str))
        print(f"kept in {kept}")
        if not arguments.keep:
            shutil.rmtree(root, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure history, restatements and explain.")
    parser.add_argument("--size", choices=list(SIZES), default="1m")
    parser.add_argument("--nights", type=int, default=2, help="nights with orders")
    parser.add_argument("--folder", default="bench", help="where the data go (removed afterwards)")
    parser.add_argument("--keep", action="store_true", help="leave the home there")
    return parser.parse_args()


def _night(root: Path, name: str, days_later: int, *, full_refresh: bool = False) -> dict[str, Any]:
    done = measured(name, work.pipeline_run, root, days_later, full_refresh)
    _, wall, cpu = next(step for step in done.result["steps"] if step[0] == "history")
    said = {"night": name, "cpu": round(done.cpu, 1), "history_cpu": cpu, "history_wall": wall}
    said |= {"figures": done.result["kpi_rows"], "figures_changed": done.result["kpi_rows_changed"]}
    print(json.dumps(said), flush=True)
    return said


def _explained(root: Path, words: list[str]) -> dict[str, Any]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "retention_pipeline.cli", "explain", *words, "--home", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"explain": " ".join(words), "wall": round(time.perf_counter() - start, 2), "cpu": round(cpu, 2)}


if __name__ == "__main__":
    main()
