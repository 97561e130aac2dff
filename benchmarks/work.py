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
# What baseline_further.sql adds.
FURTHER_TABLES = ("orders_further", "gaps", "median_waits", "order_ranks", "tenures", "exclusions", "survival")


def make_data(root: Path, size: str, moving: bool = False) -> dict[str, Any]:
    """raw.duckdb of a size; `moving` as in generate."""
    return {"rows": generate(Home(root), SIZES[size], moving)}


def baseline_sql(root: Path) -> dict[str, Any]:
    """baseline.sql into baseline_sql.duckdb beside the home."""
    with by_hand(root, "baseline_sql", "baseline.sql") as connection:
        return {"rows": _counts(connection, BASELINE_TABLES)}


def baseline_sql_further(root: Path) -> dict[str, Any]:
    """baseline.sql and baseline_further.sql into baseline_sql_further.duckdb beside the home."""
    with by_hand(root, "baseline_sql_further", "baseline.sql", "baseline_further.sql") as connection:
        return {"rows": _counts(connection, BASELINE_TABLES + FURTHER_TABLES)}


@contextmanager
def by_hand(root: Path, name: str, *scripts: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database <name>.duckdb beside the home, made anew by scripts of this folder from the home's raw tables."""
    target = root / f"{name}.duckdb"
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{Home(root).raw_file}' as raw_store (read_only)")
        for script in scripts:
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
        return {"rows": _counts(connection, BASELINE_TABLES)}


def _counts(connection: duckdb.DuckDBPyConnection, tables: tuple[str, ...]) -> dict[str, int]:
    counts = {}
    for name in tables:
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


_MONTHS = "grain = 'month' and segment_dimension = 'all'"
# Per table of the baselines: its key, the columns that are compared, and the pipeline's rows with the same columns.
COMPARED = {
    "bridge": (
        "month",
        "customers_start, customers_new, customers_reactivated, customers_lost",
        f"select *, period_start as month from current.period_customers where {_MONTHS} and basis = 'order'",
    ),
    "orders_by_month": (
        "month",
        "orders, order_revenue, ordering_customers",
        f"select *, period_start as month from current.period_orders where {_MONTHS}",
    ),
    "cohorts": (
        "cohort_start, age",
        "active",
        f"select * from current.cohort_retention where {_MONTHS} and basis = 'order' and active > 0 and age <= 60",
    ),
    "mrr": (
        "month",
        "mrr_new, mrr_reactivation, mrr_expansion, mrr_contraction, mrr_churn",
        f"select *, period_start as month from current.period_mrr where {_MONTHS} and currency = 'all'",
    ),
    "orders_further": (
        "month",
        "ordering_customers, repeat_customers, buyers_returning, returning_customers, first_time_buyers, "
        "new_customer_orders, new_customer_revenue, repurchased_30d, repurchased_60d, repurchased_90d, "
        "repurchased_180d, repurchased_365d, purchase_gaps, purchase_gap_days, ordering_customers_previous, "
        "buyers_to_date, repeat_buyers_to_date, repeat_buyers_by_orders_to_date, revenue_to_date, "
        "purchase_days_365d, order_revenue_365d, ordering_customers_365d, loyal_customers, refunds_by_refund_date",
        f"select *, period_start as month from current.period_orders where {_MONTHS}",
    ),
    "gaps": (
        "month, gap_days",
        "purchase_gaps",
        f"select *, period_start as month from current.period_purchase_gaps where {_MONTHS}",
    ),
    "median_waits": (
        "month",
        "next_purchase_median_days",
        f"select *, period_start as month from current.period_orders where {_MONTHS}",
    ),
    "order_ranks": (
        "month, rank",
        "orders, order_revenue",
        f"select *, period_start as month from current.order_value_by_rank where {_MONTHS}",
    ),
    "tenures": (
        "month, tenure_half_years",
        "orders, order_revenue, ordering_customers",
        f"select *, period_start as month from current.revenue_by_tenure where {_MONTHS}",
    ),
    "exclusions": (
        "month, reason",
        "orders, amount",
        "select *, period_start as month, exclusion_reason as reason from current.order_exclusions"
        " where grain = 'month'",
    ),
    "survival": (
        "t",
        "at_risk, events, censored, survival",
        "select * from current.survival_curves where basis = 'order' and segment_dimension = 'all'",
    ),
}


def differences(root: Path, baseline: str) -> dict[str, int]:
    """Rows per table in which the published warehouse and a baseline differ; numbers to a hundred-millionth."""
    home = Home(root)
    found = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.current.resolve()}' as current (read_only)")
        connection.execute(f"attach '{root / baseline}.duckdb' as baseline (read_only)")
        made = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'baseline' and not temporary"
        ).fetchall()
        for (table,) in made:
            key, columns, rows = COMPARED[table]
            before_as_of = f"month < date '{AS_OF}'" if key.startswith("month") else "true"
            dated = key.replace("month", "cast(month as date) as month").replace(
                "cohort_start", "cast(cohort_start as date) as cohort_start"
            )
            unequal = " or ".join(
                f"abs(coalesce(mine.{name}, 0)::double - coalesce(theirs.{name}, 0)::double)"
                f" > 1e-8 * greatest(1, abs(coalesce(theirs.{name}, 0)::double))"
                for name in columns.split(", ")
            )
            row = connection.execute(
                f"select count(*) from (select {dated}, {columns} from ({rows})) as mine full join"
                f" (select {dated}, {columns} from baseline.{table} where {before_as_of}) as theirs using ({key})"
                f" where {unequal}"
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
