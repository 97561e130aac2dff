"""A company of a few orders, a dbt project of three models, stand-ins for ingest and KPIs: what tests publish.

A customer is active in the months in which they order. `build` makes the models' tables without dbt, whose runner takes
most of such a run; what dbt says and keeps is tested with it. Run as a program (`python -m support.tiny_warehouse HOME
AS_OF PROJECT`) it does one run, so that a test can have it killed.
"""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from retention_pipeline.ingest.identity import begin_epoch, create_identity
from retention_pipeline.kpis.store import COLUMNS
from retention_pipeline.run.frame import Assembly
from retention_pipeline.settings import Home, Settings, parse_settings
from retention_pipeline.transform import BuildResult
from retention_pipeline.transform.build import row_counts
from retention_pipeline.warehouse import attach, opened, sql_text
from support.plain_run import run

NOW = datetime(2024, 5, 1, 2, 0)
Order = tuple[str, str, str, int]  # order_id, customer_id, day, amount

PROFILES = """
retention:
  target: duckdb
  outputs:
    duckdb:
      type: duckdb
      path: "{{ env_var('RETENTION_WAREHOUSE_FILE') }}"
      schema: main
      threads: 2
      attach:
        - {path: "{{ env_var('RETENTION_RAW_FILE') }}", alias: raw_store, read_only: true}
        - {path: "{{ env_var('RETENTION_PREVIOUS_FILE') }}", alias: previous, read_only: true}
"""
PROJECT = """
name: tiny
version: "1.0"
profile: retention
flags: {send_anonymous_usage_stats: false}
models: {tiny: {+materialized: table, staging: {+materialized: view, +schema: staging}}}
vars: {as_of: "2024-01-01"}
"""
SCHEMA = """
{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}
"""
STAGING = """
select order_id, customer_id, cast(ordered_at as date) as ordered_date, amount from raw_store.raw.orders
where ordered_at < cast('{{ var("as_of") }}' as date)
"""
PERIODS = """
select 'month' as grain, cast(month as date) as period_start, cast(month + interval 1 month as date) as period_end,
    month + interval 1 month <= cast('{{ var("as_of") }}' as date) as is_complete,
    least(cast(month + interval 1 month as date), cast('{{ var("as_of") }}' as date)) as close_date
from (
    select unnest(generate_series(date_trunc('month', min(ordered_date)), cast('{{ var("as_of") }}' as date) - 1,
        interval 1 month)) as month
    from {{ ref('stg_orders') }}
)
"""
PERIOD_CUSTOMERS = """
with months as (
    select distinct customer_id, cast(date_trunc('month', ordered_date) as date) as month from {{ ref('stg_orders') }}
),
firsts as (select customer_id, min(month) as first_month from months group by customer_id),
states as (
    select periods.period_start, firsts.customer_id,
        exists (select 1 from months where customer_id = firsts.customer_id
            and month = cast(periods.period_start - interval 1 month as date)) as before,
        exists (select 1 from months where customer_id = firsts.customer_id and month = periods.period_start) as after,
        firsts.first_month = periods.period_start as is_first
    from {{ ref('periods') }} as periods cross join firsts
)
select 'month' as grain, period_start, 'order' as basis, 'all' as segment_dimension, 'all' as segment_value,
    cast(count(*) filter (where before) as bigint) as customers_start,
    cast(count(*) filter (where after) as bigint) as customers_end,
    cast(count(*) filter (where before and after) as bigint) as customers_retained,
    cast(count(*) filter (where after and not before and is_first) as bigint) as customers_new,
    cast(count(*) filter (where after and not before and not is_first) as bigint) as customers_reactivated,
    cast(count(*) filter (where before and not after) as bigint) as customers_lost,
    cast(0 as bigint) as customers_transient,
    cast(count(*) filter (where before or after) as bigint) as customers_active,
    cast(0 as bigint) as customers_moved_in, cast(0 as bigint) as customers_moved_out,
    cast(count(*) filter (where is_first) as bigint) as customers_joined,
    cast(0 as bigint) as customers_referred,
    cast(count(*) filter (where before and not after) as bigint) as churn_events,
    cast(count(*) as bigint) as customers_known
from states group by period_start
"""
AMOUNTS_ARE_POSITIVE = "select order_id, amount from {{ ref('stg_orders') }} where amount <= 0"


@dataclass
class Load:
    """As ingest reports a load."""

    dataset: str
    source: str
    file_name: str
    status: str
    new: int
    changed: int = 0
    bad: int = 0
    error: str | None = None
    hints: list[str] = field(default_factory=list)


@dataclass
class Ingested:
    """As ingest reports a run."""

    loads: list[Load] = field(default_factory=list)
    refused: list[Load] = field(default_factory=list)


@dataclass
class Computed:
    """As the KPI code reports a computation."""

    rows: int
    changed: int
    changed_months: list[date]


def make_project(folder: Path) -> Path:
    """Write the dbt project."""
    for name, content in {
        "profiles.yml": PROFILES,
        "dbt_project.yml": PROJECT,
        "macros/schema.sql": SCHEMA,
        "models/staging/stg_orders.sql": STAGING,
        "models/periods.sql": PERIODS,
        "models/period_customers.sql": PERIOD_CUSTOMERS,
        "tests/assert_amounts_are_positive.sql": AMOUNTS_ARE_POSITIVE,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def settings(**changes: Any) -> Settings:
    """Settings of a shop with orders alone."""
    content = {
        "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR", **changes.pop("business", {})},
        "sources": {"orders": {"type": "files", "path": "landing/*.csv"}},
        "exchange_from_rows": 0,
        "segments": [],
        **changes,
    }
    return parse_settings(content)


def deliver(home: Home, name: str, orders: Iterable[Order]) -> None:
    """Put a file of orders in the landing folder."""
    folder = home.root / "landing"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(",".join(str(value) for value in order) + "\n" for order in orders))


def ingest(home: Home, settings: Settings, *, datasets: list[str] | None, now: datetime, progress: Any) -> Ingested:
    """Load each file once, in order of name; a row replaces the one with its key."""
    home.warehouse.mkdir(parents=True, exist_ok=True)
    result = Ingested()
    connection = duckdb.connect()
    connection.execute(f"attach {sql_text(str(home.raw_file))} as raw_store")
    connection.execute("use raw_store")
    connection.execute("create schema if not exists raw")
    connection.execute(
        "create table if not exists raw.orders (order_id varchar, customer_id varchar, ordered_at timestamp, "
        "ordered_at_is_date boolean, amount bigint, _load_id bigint, _customer_key bigint)"
    )
    connection.execute(
        "create table if not exists raw.ledger (load_id bigint, dataset varchar, source varchar, file_name varchar, "
        "sha256 varchar, n_good bigint, status varchar, error varchar, drift varchar, finished_at timestamp, "
        "n_new bigint, n_changed bigint, n_stale bigint)"
    )
    connection.execute("create table if not exists raw.customer_keys (customer_id varchar, customer_key bigint)")
    create_identity(connection)
    for path in sorted((home.root / "landing").glob("*.csv")):
        seen = connection.execute("select 1 from raw.ledger where file_name = ?", [path.name]).fetchall()
        if seen:
            result.loads.append(Load("orders", "orders", path.name, "already_loaded", 0))
            continue
        rows = [line.split(",") for line in path.read_text().splitlines()]
        load_id = connection.execute("select coalesce(max(load_id), 0) + 1 from raw.ledger").fetchall()[0][0]
        connection.execute("begin")
        for order_id, customer_id, day, amount in rows:
            connection.execute("delete from raw.orders where order_id = ?", [order_id])
            connection.execute(
                "insert into raw.orders values (?, ?, ?, false, ?, ?, 1)", [order_id, customer_id, day, amount, load_id]
            )
        connection.execute(
            "insert into raw.ledger values (?, 'orders', 'orders', ?, ?, ?, 'loaded', null, '{}', ?, 0, 0, 0)",
            [load_id, path.name, hashlib.sha256(path.read_bytes()).hexdigest(), len(rows), now],
        )
        begin_epoch(connection, now)
        connection.execute("commit")
        result.loads.append(Load("orders", "orders", path.name, "loaded", len(rows)))
    connection.close()
    return result


def build(home: Home, settings: Settings, *, as_of: date, project_dir: Path, **_: Any) -> BuildResult:
    """`transform.build` of such a project without dbt: its models' tables and views anew, in a night too. No data test
    is run.
    """
    files = {path.stem: path for path in (project_dir / "models").rglob("*.sql")}
    made: dict[str, str] = {}

    def ref(name: str) -> str:
        if name not in made:
            kind, made[name] = ("view", f"staging.{name}") if "staging" in files[name].parts else ("table", name)
            sql = jinja2.Template(files[name].read_text()).render(ref=ref, var={"as_of": as_of.isoformat()}.get)
            connection.execute(f"create or replace {kind} {made[name]} as {sql}")
        return made[name]

    with opened(home.next_file) as connection:
        attach(connection, home.raw_file, "raw_store")
        connection.execute("create schema if not exists staging")
        for name in sorted(files):
            ref(name)
    return BuildResult([], row_counts(home.next_file), {})


def compute_kpis(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    as_of: date,
    run_id: str,
    computed_at: datetime,
    connected_datasets: list[str],
) -> Computed:
    """customers_end alone; rows that did not change stay."""
    connection.execute(
        f"create table if not exists retention_kpis ({', '.join(f'{n} {t}' for n, t in COLUMNS.items())})"
    )
    new = """
        select 'customers_end' as kpi, cells.* exclude (customers_end), customers_end as value, run_id: $run_id
        from (
            select grain, period_start, cast(period_start + interval 1 month as date) as period_end, basis,
                segment_dimension, segment_value, customers_end, period_end <= $as_of as is_complete
            from period_customers
        ) as cells
        where not exists (select 1 from retention_kpis as old where old.period_start = cells.period_start
            and old.value = cells.customers_end and old.is_complete = cells.is_complete)
    """
    changed = connection.execute(f"create or replace temp table changed as {new}", {"run_id": run_id, "as_of": as_of})
    months = connection.execute("select period_start from changed order by 1").fetchall()
    connection.execute("delete from retention_kpis where period_start in (select period_start from changed)")
    changed.execute("insert into retention_kpis by name select * from changed")
    rows = connection.execute("select count(*) from retention_kpis").fetchall()[0][0]
    return Computed(rows, len(months), [month for (month,) in months])


def validate_kpis(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Any]:
    """Nothing to say."""
    return []


def assembly(project: Path, **changes: Any) -> Assembly:
    """A run put together from the stand-ins."""
    parts = {"ingest": ingest, "compute_kpis": compute_kpis, "validate_kpis": validate_kpis} | changes
    return Assembly(project_dir=project, **parts)


def figures(warehouse_file: Path) -> list[tuple[Any, ...]]:
    """What a reader sees: (month, customers at its end)."""
    with duckdb.connect(str(warehouse_file), read_only=True) as connection:
        return connection.execute("select period_start, value from retention_kpis order by 1").fetchall()


if __name__ == "__main__":
    where = Home(Path(sys.argv[1]))
    run(
        where, settings(), date.fromisoformat(sys.argv[2]), now=NOW, assembly=assembly(Path(sys.argv[3])), builder=build
    )
