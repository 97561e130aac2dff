"""The pieces of work that are measured, each a function that a fresh process can call: paths in, a small dict out."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import yaml

from benchmarks import baseline_pandas
from benchmarks.generate import generate, write_night
from benchmarks.sizes import AS_OF, BACKFILLED, SIZES
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened_raw

BASELINE_TABLES = ("bridge", "orders_by_month", "cohorts", "mrr")


def make_data(root: Path, size: str, moving: bool = False) -> dict[str, Any]:
    """raw.duckdb of a size; `moving` as in generate."""
    return {"rows": generate(Home(root), SIZES[size], moving)}


def baseline_sql(root: Path) -> dict[str, Any]:
    """baseline.sql into baseline_sql.duckdb beside the home."""
    with by_hand(root, "baseline.sql", "baseline_sql") as connection:
        return {"rows": _counts(connection)}


@contextmanager
def by_hand(root: Path, script: str, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database <name>.duckdb beside the home, made anew by a script of this folder from the home's raw tables."""
    target = root / f"{name}.duckdb"
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{Home(root).raw_file}' as raw_store (read_only)")
        connection.execute(Path(__file__).with_name(script).read_text(encoding="utf-8"))
        yield connection


def baseline_in_pandas(root: Path) -> dict[str, Any]:
    """baseline_pandas into baseline_pandas.duckdb beside the home."""
    target = root / "baseline_pandas.duckdb"
    target.unlink(missing_ok=True)
    tables = baseline_pandas.compute(Home(root))
    with duckdb.connect(str(target)) as connection:
        for name, frame in tables.items():
            connection.register("frame", frame)
            connection.execute(f"create table {name} as select * from frame")
        return {"rows": _counts(connection)}


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    counts = {}
    for name in BASELINE_TABLES:
        row = connection.execute(f"select count(*) from {name}").fetchone()
        counts[name] = int(row[0]) if row else 0
    return counts


def pipeline_run(root: Path, days_later: int, full_refresh: bool) -> dict[str, Any]:
    """One run of the job; what it did, second by second."""
    return _launched(root, as_of=AS_OF + timedelta(days=days_later), full_refresh=full_refresh, allow_future=True)


def _launched(root: Path, **asked: Any) -> dict[str, Any]:
    from retention_pipeline.orchestration.launch import launch

    home = Home(root)
    record = launch(home, load_settings(home), say=lambda text: None, **asked).record
    return {
        "mode": record["mode"],
        "steps": [(step["step"], step["wall"], step["cpu"]) for step in record["steps"]],
        "models": _slowest(home, record["run_id"]),
        "rows": record["row_counts"],
        "bytes": home.current.stat().st_size,
        "kpi_rows": record["kpi_rows"],
        "kpi_rows_changed": record["kpi_rows_changed"],
    }


def full_refresh_with(root: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """A full refresh of the same raw tables under other settings, in a home of its own that is removed afterwards."""
    other = Home(root.with_name(f"{root.name}-variant"))
    shutil.rmtree(other.root, ignore_errors=True)
    other.raw_file.parent.mkdir(parents=True)
    try:
        given = yaml.safe_load(Home(root).settings_file.read_text(encoding="utf-8"))
        other.settings_file.write_text(yaml.safe_dump(given | settings), encoding="utf-8")
        os.link(Home(root).raw_file, other.raw_file)
        return pipeline_run(other.root, 0, full_refresh=True)
    finally:
        shutil.rmtree(other.root)


def backfill(root: Path) -> dict[str, Any]:
    """The sums of 36 of the 60 months anew, and how many tables differed (none should)."""
    from retention_pipeline.publish.differences import compare_generations
    from retention_pipeline.run.operations import kept_open

    home = Home(root)
    first, last = BACKFILLED
    with kept_open(home.current.resolve()) as before:
        done = _launched(root, months=(f"{first:%Y-%m}", f"{last:%Y-%m}"), command="backfill")
        return done | {"differences": len(compare_generations(before, home.current.resolve(), first, last))}


def _slowest(home: Home, run_id: str) -> list[tuple[str, float]]:
    """Models and tests that took longest, with their seconds."""
    results = json.loads((home.runs / run_id / "dbt" / "run_results.json").read_text(encoding="utf-8"))["results"]
    found = [(one["unique_id"].split(".")[2], one["execution_time"]) for one in results]
    return sorted(found, key=lambda one: -one[1])[:15]


def deliver_night(root: Path, size: str) -> dict[str, Any]:
    """The CSV file of a night."""
    return {"rows": write_night(Home(root), SIZES[size])}


def differences(root: Path, baseline: str) -> dict[str, int]:
    """Rows per table in which the published warehouse and a baseline differ; money to a cent in a million."""
    home = Home(root)
    questions = {
        "bridge": """
            select period_start as key, customers_start, customers_new, customers_reactivated, customers_lost
            from current.period_customers where grain = 'month' and basis = 'order' and segment_dimension = 'all'""",
        "orders_by_month": """
            select period_start as key, orders, order_revenue, ordering_customers
            from current.period_orders where grain = 'month' and basis = 'order' and segment_dimension = 'all'""",
        "cohorts": """
            select (cohort_start, age) as key, active
            from current.cohort_retention
            where grain = 'month' and basis = 'order' and segment_dimension = 'all' and active > 0 and age <= 60""",
        "mrr": """
            select period_start as key, mrr_new, mrr_reactivation, mrr_expansion, mrr_contraction, mrr_churn
            from current.period_mrr
            where grain = 'month' and segment_dimension = 'all' and currency = 'all'""",
    }
    keys = {"cohorts": "(cast(cohort_start as date), age)"}
    before_as_of = f"month < date '{AS_OF}'"
    found = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.current.resolve()}' as current (read_only)")
        connection.execute(f"attach '{root / baseline}.duckdb' as baseline (read_only)")
        for table, question in questions.items():
            columns = [row[0] for row in connection.execute(f"describe {question}").fetchall()][1:]
            by_hand = (
                f"select {keys.get(table, 'cast(month as date)')} as key, {', '.join(columns)} from baseline.{table}"
                f" where {'true' if table == 'cohorts' else before_as_of}"
            )
            unequal = " or ".join(
                f"abs(coalesce(mine.{name}, 0)::double - coalesce(theirs.{name}, 0)::double)"
                f" > 1e-8 * greatest(1, abs(coalesce(theirs.{name}, 0)::double))"
                for name in columns
            )
            row = connection.execute(
                f"select count(*) from ({question}) as mine full join ({by_hand}) as theirs using (key) where {unequal}"
            ).fetchone()
            found[table] = int(row[0]) if row else -1
    return found


def raw_rows(root: Path) -> dict[str, int]:
    """Rows per raw table."""
    counts = {}
    with opened_raw(Home(root)) as connection:
        for dataset in ("orders", "subscriptions", "customers"):
            row = connection.execute(f"select count(*) from raw.{dataset}").fetchone()
            counts[dataset] = int(row[0]) if row else 0
    return counts
