"""The table `data_quality`. One row per dataset, measure and detail: how fresh, how complete and how clean the input
is.

dataset    a dataset of the contracts, or 'all'
measure    see MEASURES
detail     the reason, column or file that the row is about; '' where there is none
value      a count, or a share where the measure says so; null where only the instant matters
moment     an instant (naive UTC) or a day, where the measure has one
note       words for people
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb

from retention_pipeline.contracts import CONTRACTS, FACT_COLUMNS
from retention_pipeline.freshness.sources import SourceState
from retention_pipeline.ingest.lake_tables import LakeTable, lake_tables
from retention_pipeline.kpis.goals import IMPOSSIBLE, impossible
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import opened_raw, tables_in

MEASURES = {
    "missing_dataset": "the dataset has no source; what depends on it is absent from the results",
    "rows": "current rows in raw",
    "last_load": "when the last file or pull was loaded that brought rows",
    "last_delivery": "when a source last delivered, whether its rows were new or known",
    "stale": "a source that did not deliver for longer than its max_age; days since the last delivery",
    "shrunken": "a source whose last delivery was smaller than usual by more than its max_shrink; the share by which",
    "failed": "a source that could not be loaded in the last run",
    "latest_fact": "the latest instant in the data, before as_of or not",
    "earliest_fact": "the earliest instant in the data",
    "quarantined": "refused rows that were not resolved, per reason",
    "refused_file": "files and pulls that were not loaded, and why, until all of their source load",
    "drift_added": "columns of the last loads that the contract does not know, kept in _extra",
    "drift_missing": "optional columns that one of the last loads did not have, and others before them had",
    "without_customer": "rows that name no customer",
    "not_in_customers": "share of customers with an order or a subscription that have no row in customers",
    "excluded_orders": "orders that do not count, per reason, with their gross amount",
    "impossible": f"targets or benchmarks that cannot be, left out in pairs: {IMPOSSIBLE['kpi_targets']}",
    "excluded_answers": "answers of kind csat on scales that csat_positive does not list, per scale",
    "overlapping_phases": "phases of a subscription that were ended where the next begins",
}
LISTED_FILES = 10_000

CREATE = """
create or replace table data_quality (
    dataset varchar not null,
    measure varchar not null,
    detail varchar not null,
    value double,
    moment timestamp,
    note varchar
)
"""
Row = tuple[str, str, str, float | None, datetime | None, str | None]


def write_data_quality(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    settings: Settings,
    *,
    states: Sequence[SourceState] = (),
    now: datetime,
) -> int:
    """Create `data_quality` in the open warehouse from raw, from its own tables and from the states of the sources at
    `now` (naive UTC); returns the number of rows.
    """
    connected = settings.connected_datasets
    rows: list[Row] = [
        (dataset, "missing_dataset", "", 1.0, None, MEASURES["missing_dataset"])
        for dataset in CONTRACTS
        if dataset not in connected
    ]
    if home.raw_file.exists():
        with opened_raw(home) as raw:
            present = tables_in(raw, schema="raw")
            in_lake = lake_tables(raw, settings)
            for dataset in connected:
                if dataset in in_lake:
                    rows += _about_lake(in_lake[dataset])
                elif dataset in present:
                    rows += _about_rows(raw, dataset)
            if "ledger" in present:
                rows += _about_loads(raw, has_visits="source_visits" in present)
            if "quarantine" in present:
                rows += _about_quarantine(raw, in_lake)
            here = present - set(in_lake)
            if {"customers"} <= set(connected) & here:
                rows += _about_customers(raw, [name for name in ("orders", "subscriptions") if name in here])
    rows += _about_sources(states, now)
    rows += _about_exclusions(connection, settings)
    rows += [(table, "impossible", "", float(count), None, None) for table, count in impossible(connection).items()]
    connection.execute(CREATE)
    if rows:
        connection.executemany("insert into data_quality values (?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


def _about_rows(raw: duckdb.DuckDBPyConnection, dataset: str) -> list[Row]:
    columns = {name for (name,) in raw.execute(f"select column_name from (describe raw.{dataset})").fetchall()}
    fact = FACT_COLUMNS.get(dataset)
    if fact not in columns:
        fact = None
    # Questions that DuckDB answers from what it knows of blocks; min and max, or all at once, would read every row.
    (count,) = _one(raw, f"select count(*) from raw.{dataset}")
    without, earliest, latest = 0, None, None
    if "customer_id" in columns:
        (without,) = _one(raw, f"select count(*) from raw.{dataset} where customer_id is null")
    if fact:
        first = f"select cast({fact} as timestamp) from raw.{dataset} where {fact} is not null order by {fact}"
        earliest, latest = _one(raw, f"select ({first} limit 1), ({first} desc limit 1)")
    return _rows_of(dataset, count, without, earliest, latest)


def _about_lake(table: LakeTable) -> list[Row]:
    return _rows_of(table.dataset, table.rows, table.without_customer, table.earliest, table.latest)


def _rows_of(
    dataset: str, count: int, without_customer: int, earliest: datetime | None, latest: datetime | None
) -> list[Row]:
    rows: list[Row] = [(dataset, "rows", "", float(count), None, None)]
    fact = FACT_COLUMNS.get(dataset, "")
    if earliest is not None:
        rows.append((dataset, "earliest_fact", fact, None, earliest, None))
        rows.append((dataset, "latest_fact", fact, None, latest, None))
    if without_customer:
        rows.append((dataset, "without_customer", "", float(without_customer), None, None))
    return rows


def _about_sources(states: Sequence[SourceState], now: datetime) -> list[Row]:
    """When each source delivered, and one row for each that is not fresh; `detail` names the source."""
    rows: list[Row] = [
        (state.dataset, "last_delivery", state.source, None, state.last_delivery, None)
        for state in states
        if state.last_delivery is not None
    ]
    for state in states:
        if state.state == "fresh":
            continue
        value: float | None = 1.0
        if state.state == "shrunken":
            value = state.fell_by
        elif state.state == "stale":
            value = (now - state.last_delivery) / timedelta(days=1) if state.last_delivery else None
        rows.append((state.dataset, state.state, state.source, value, state.last_delivery, state.why))
    return rows


def _about_loads(raw: duckdb.DuckDBPyConnection, *, has_visits: bool) -> list[Row]:
    rows: list[Row] = [
        (dataset, "last_load", "", None, finished, None)
        for dataset, finished in raw.execute(
            "select dataset, max(finished_at) from raw.ledger where status = 'loaded' group by dataset order by dataset"
        ).fetchall()
    ]
    gone = """
            and not exists (
                select 1 from raw.source_visits as visit
                where visit.dataset = refused.dataset and visit.source = refused.source
                    and visit.error is null and visit.visited_at > refused.finished_at
            )
    """
    refused = raw.execute(
        f"""
        select dataset, file_name, max(finished_at), max_by(error, load_id)
        from raw.ledger as refused
        where status <> 'loaded' and not exists (
            select 1 from raw.ledger as later
            where later.dataset = refused.dataset and later.file_name = refused.file_name
                and later.status = 'loaded' and later.load_id > refused.load_id
        ) {gone if has_visits else ""}
        group by dataset, file_name
        order by max(load_id) desc
        limit {LISTED_FILES}
        """
    ).fetchall()
    rows += [(dataset, "refused_file", name or "", 1.0, finished, error) for dataset, name, finished, error in refused]
    drifts = raw.execute(
        """
        with loads as (
            select dataset, source, load_id, finished_at, cast(drift as json) as drift,
                cast(json_extract(drift, '$.given') as varchar[]) as given,
                finished_at = max(finished_at) over (partition by dataset, source) as is_last
            from raw.ledger where status = 'loaded' and drift is not null
        ),
        listed as (
            select *, unnest(cast(json_extract(drift, '$.columns') as varchar[])) as column_name, 'added' as kind
            from loads where is_last
            union all
            select *, unnest(cast(json_extract(drift, '$.missing') as varchar[])), 'missing' from loads where is_last
            union all
            select last.*, once.column_name, 'missing'
            from loads as last join (
                select distinct dataset, source, unnest(given) as column_name from loads
            ) as once on once.dataset = last.dataset and once.source = last.source
            where last.is_last and not list_contains(last.given, once.column_name)
        )
        select dataset, kind, column_name, any_value(finished_at) from listed
        group by dataset, kind, column_name
        order by dataset, kind, column_name
        """
    ).fetchall()
    rows += [(dataset, f"drift_{kind}", column, 1.0, finished, None) for dataset, kind, column, finished in drifts]
    return rows


def _about_quarantine(raw: duckdb.DuckDBPyConnection, in_lake: Mapping[str, LakeTable] | None = None) -> list[Row]:
    """Of a dataset in the lake raw has the first refused rows alone, and how many there are of each kind."""
    found = raw.execute(
        """
        select dataset, regexp_replace(reason, ': ''.*'' is', ': … is') as reason_without_value,
            count(*), max(loaded_at),
            max_by(
                file_name || coalesce(' line ' || line, '') || ': ' || reason, (load_id, line, byte_position, reason)
            )
        from raw.quarantine
        where resolved_by is null
        group by dataset, reason_without_value
        order by dataset, reason_without_value
        """
    ).fetchall()
    return [
        (
            dataset,
            "quarantined",
            reason,
            float(in_lake[dataset].reasons.get(reason, count) if in_lake and dataset in in_lake else count),
            loaded,
            f"for example {example}",
        )
        for dataset, reason, count, loaded, example in found
    ]


def _about_customers(raw: duckdb.DuckDBPyConnection, datasets: list[str]) -> list[Row]:
    rows: list[Row] = []
    for dataset in datasets:
        if not _one(raw, f"select exists (from raw.{dataset})")[0]:
            continue  # all customers would be looked up for nobody
        known, missing = _one(
            raw,
            f"""
            select count(*), count(*) filter (where not listed)
            from (
                select _customer_key in (select _customer_key from raw.customers) as listed
                from raw.{dataset} where _customer_key is not null group by _customer_key
            )
            """,
        )
        if known:
            rows.append((dataset, "not_in_customers", "", missing / known, None, f"{missing:,} of {known:,} customers"))
    return rows


def excluded_orders(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Of data_quality, how many orders do not count: reason, orders and amount (in words) of each."""
    found = connection.execute(
        "select detail, cast(value as bigint), note from data_quality where measure = 'excluded_orders' order by detail"
    ).fetchall()
    return [{"reason": reason, "orders": orders, "amount": amount} for reason, orders, amount in found]


def _about_exclusions(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[Row]:
    tables = tables_in(connection)
    rows: list[Row] = []
    if "order_exclusions" in tables:
        rows += [
            (
                "orders",
                "excluded_orders",
                reason,
                float(count),
                None,
                f"{amount:,.2f} {settings.business.reporting_currency}",
            )
            for reason, count, amount in connection.execute(
                "select exclusion_reason, sum(orders), sum(amount) from order_exclusions where grain = 'month'"
                " group by 1 order by 1"
            ).fetchall()
        ]
    if "int_phases" in tables:
        (count,) = _one(connection, "select coalesce(sum(clipped_phases), 0) from int_phases")
        rows.append(("subscriptions", "overlapping_phases", "", float(count), None, None))
    if "int_survey_answers" in tables:
        rows += [
            (
                "surveys",
                "excluded_answers",
                str(scale),
                float(count),
                None,
                "scale_max that csat_positive does not list",
            )
            for scale, count in connection.execute(
                """
                select scale_max, count(*) from int_survey_answers
                where kind = 'csat' and not list_contains(cast($scales as bigint[]), scale_max)
                    and responded_date < (select max(close_date) from periods)
                group by scale_max order by scale_max
                """,
                {"scales": list(settings.business.csat_positive)},
            ).fetchall()
        ]
    return rows


def _one(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    if row is None:
        raise LookupError(statement)
    return row
