"""The benchmark of one size: data, baselines, full refreshes (also of fewer segments and grains), backfill, an empty
night, one with orders; the same where half of the customers change a segment every month; the ratios.

    make bench SIZE=10m            or: python -m benchmarks.run --size 10m [--keep] [--only baselines] [--folder bench]

Results are printed and kept as JSON in <folder>/results-<size>.json; docs/performance.md quotes them.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import work
from benchmarks.measure import Measured, machine, measured
from benchmarks.sizes import SIZES

# Bytes of disk per order that the data, the warehouse and its copies need at most; asked for before the start.
BYTES_PER_ORDER = 120
LARGEST_FOR_PANDAS = 10_000_000

# Full refreshes under other settings: without segments, and the very output of the baselines, months for everyone.
VARIANTS: dict[str, dict[str, Any]] = {
    "full refresh, segments: []": {"segments": []},
    "full refresh, segments: [], grains: [month]": {"segments": [], "grains": ["month"]},
}

# baseline.sql makes four core tables; with baseline_further.sql, what the pipeline publishes of orders besides.
SAME_OUTPUT = "baseline_sql, further tables of orders, too"

# Before the name of a step: what it is of a home where every other customer changes country every month.
MOVING = "half moving monthly: "

console = Console()


def main() -> None:
    """Measure, print, keep."""
    arguments = _arguments()
    size = SIZES[arguments.size]
    root = Path(arguments.folder).resolve() / size.name
    free = shutil.disk_usage(root.parent if root.parent.exists() else root.parent.parent).free
    if free < BYTES_PER_ORDER * size.orders:
        sys.exit(
            f"{size.name} needs about {BYTES_PER_ORDER * size.orders / 1e9:.1f} GB of disk, {free / 1e9:.1f} are free"
        )
    moving = root.with_name(f"{root.name}-moving")
    for folder in (root, moving):
        shutil.rmtree(folder, ignore_errors=True)
    steps: list[Measured] = []

    def step(name: str, function: Any, *parts: Any) -> Measured:
        console.print(f"{name} ...", style="dim", markup=False)
        done = measured(name, function, *parts)
        console.print(f"{name}: {done.wall:.1f} s, {done.cpu:.1f} CPU s, {done.peak_mb:,} MB", markup=False)
        steps.append(done)
        return done

    found: dict[str, Any] = {}
    try:
        step("generate", work.make_data, root, size.name)
        step("baseline_sql", work.baseline_sql, root)
        step(SAME_OUTPUT, work.baseline_sql_further, root)
        if size.orders <= LARGEST_FOR_PANDAS:
            step("baseline_pandas", work.baseline_in_pandas, root)
        if arguments.only != "baselines":
            step("full refresh", work.pipeline_run, root, 0, True)
            found["differences_to_baseline_sql"] = work.differences(root, "baseline_sql_further")
            if size.orders <= LARGEST_FOR_PANDAS:
                found["differences_to_baseline_pandas"] = work.differences(root, "baseline_pandas")
            for name, settings in VARIANTS.items():
                step(name, work.full_refresh_with, root, settings)
            step("backfill, 36 of 60 months", work.backfill, root)
            step("night, nothing new", work.pipeline_run, root, 1, False)
            work.deliver_night(root, size.name)
            with_orders = f"night, {size.night_orders:,} orders"
            step(with_orders, work.pipeline_run, root, 2, False)
            work.make_data(moving, size.name, True)
            step(MOVING + "full refresh", work.pipeline_run, moving, 0, True)
            step(MOVING + "night, nothing new", work.pipeline_run, moving, 1, False)
            work.deliver_night(moving, size.name)
            step(MOVING + with_orders, work.pipeline_run, moving, 2, False)
    finally:
        kept = _report(size.name, steps, found, root.parent)
        console.print(f"[dim]kept in {kept}[/dim]")
        if not arguments.keep:
            for folder in (root, moving):
                shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the pipeline against two baselines.")
    parser.add_argument("--size", choices=list(SIZES), default="1m")
    parser.add_argument("--folder", default="bench", help="where the data go (removed afterwards)")
    parser.add_argument("--keep", action="store_true", help="leave the data and the warehouse there")
    parser.add_argument("--only", choices=["baselines"], help="leave out the pipeline")
    return parser.parse_args()


def _report(size: str, steps: list[Measured], found: dict[str, Any], folder: Path) -> Path:
    table = Table(title=f"{size} orders", title_justify="left")
    for name in ("step", "wall s", "CPU s", "peak MB"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for one in steps:
        table.add_row(one.step, f"{one.wall:.1f}", f"{one.cpu:.1f}", f"{one.peak_mb:,}", style="bold")
        for name, wall, cpu in one.result.get("steps", []):
            table.add_row(f"  {name}", f"{wall:.1f}", f"{cpu:.1f}", "")
    console.print(table)
    for one in steps:
        if one.result.get("models"):
            console.print(
                f"Slowest in dbt, {one.step}: " + ", ".join(f"{n} {s:.1f} s" for n, s in one.result["models"][:8])
            )
    ratios = _ratios({one.step: one for one in steps})
    for name, value in {**ratios, **found}.items():
        console.print(f"{name}: {value}")
    kept = folder / f"results-{size}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {name: version(name) for name in ("duckdb", "dbt-core", "dbt-duckdb", "pandas")},
        "steps": [asdict(one) for one in steps],
        "ratios": ratios,
        **found,
    }
    kept.write_text(json.dumps(content, indent=1, default=str))
    return kept


def _ratios(steps: dict[str, Measured]) -> dict[str, float]:
    full = steps.get("full refresh")
    if full is None:
        return {}
    ratios = {}
    for baseline in ("baseline_sql", "baseline_pandas"):
        if baseline in steps:
            ratios[f"full refresh / {baseline}, CPU"] = round(full.cpu / steps[baseline].cpu, 2)
    without_segments, as_baselines = (steps.get(name) for name in VARIANTS)
    if without_segments:
        ratios["full refresh / the same with segments: [], CPU"] = round(full.cpu / without_segments.cpu, 2)
    for baseline in ("baseline_sql", SAME_OUTPUT):
        if as_baselines and baseline in steps:
            build = sum(cpu for name, _, cpu in as_baselines.result["steps"] if name == "build")
            by_hand = steps[baseline].cpu
            ratios[f"full refresh of months for everyone / {baseline}, CPU"] = round(as_baselines.cpu / by_hand, 2)
            ratios[f"its build / {baseline}, CPU"] = round(build / by_hand, 2)
    for name, one in steps.items():
        if name.startswith(("night", "backfill")):
            ratios[f"{name} / full refresh, CPU"] = round(one.cpu / full.cpu, 3)
        if name.startswith(MOVING):
            ratios[f"{name} / without, CPU"] = round(one.cpu / steps[name.removeprefix(MOVING)].cpu, 2)
    return ratios


if __name__ == "__main__":
    main()
