"""Why figures of complete periods may have changed in a run: rows that came or went, rates, settings, definitions.

Temporary tables of the open `next.duckdb`, with the generation before it attached as `published`, raw as `raw_store`,
and its rows named (raw_rows.py):

run_rows         one row per row of raw that came, was replaced or was deleted since the published generation and may be
                 behind what changed (if none may: of all rows), and customer it belonged or belongs to: customer_key
                 (0: nobody), dataset, row_key, load_id, cause, first_day (the earliest business day on which the row
                 counts in one of its versions; null: always)
kpi_causes       one row per KPI, basis, segment dimension, cause that may move it and dataset of its rows (empty: it
                 has none); first_day: periods that end before it (horizon_days on) are not moved; null: any may be

A cause that may move a cell is not yet one that did: restatements.py.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import duckdb

from retention_pipeline.contracts import CONTRACTS, FACT_COLUMNS
from retention_pipeline.contracts.columns import Contract
from retention_pipeline.freshness.figures import MONEY_SETTING, horizon_days
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reach import Reach, datasets_behind, datasets_of_dimension
from retention_pipeline.ingest.checks import business_day
from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.settings import Settings
from retention_pipeline.transform.arguments import resolved_segments
from retention_pipeline.warehouse import has_table, sql_text, tables_in

LATE, CORRECTED, DELETED, MERGE, ATTRIBUTE = "late", "corrected", "deleted", "merge", "attribute"
FX, SETTINGS, DEFINITION, BACKFILL = "fx", "settings", "definition", "backfill"
# In this order, where one figure has several: what changes the meaning, then what changes the rows.
CAUSES = (DEFINITION, SETTINGS, MERGE, DELETED, CORRECTED, LATE, ATTRIBUTE, FX, BACKFILL)
OF_ROWS = (LATE, CORRECTED, DELETED, MERGE, ATTRIBUTE, FX)
# In SQL: the branches of a case that gives a cause its place, and the list of causes of rows.
ORDER = " ".join(f"when '{cause}' then {number}" for number, cause in enumerate(CAUSES))
CAUSES_OF_ROWS = ", ".join(sql_text(cause) for cause in OF_ROWS)
WITHOUT_FIGURES = frozenset({"kpi_targets", "kpi_benchmarks", "memberships"})
# Settings that move every figure; the others are named by the KPIs.
OF_ALL_FIGURES = frozenset({"timezone", "week_start", "fiscal_year_start", "data_start", "history_start"})
OF_SEGMENTS = frozenset({"segments", "max_segment_values"})
OF_NO_FIGURE = frozenset({"cohort_max_age", "grains", "industry"})


def find_rows(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    before: Publication,
    now: Publication,
    *,
    by_content: bool,
    applied: int,
    until: Reach | None = None,
) -> None:
    """run_rows. `applied`: the last load that the published generation contains; by_content: load numbers of raw and of
    the generation are not comparable, so loads are told by what was in them. until: rows that count from a day of it
    on are not behind anything that changed, as most rows of a night.
    """
    datasets, timezone = settings.connected_datasets, settings.business.timezone
    known = tables_in(connection, database="published")
    if by_content and "pipeline_loads" in known:
        loads = """select load_id from raw_store.raw.ledger where status = 'loaded' and (dataset, sha256) not in
            (select (dataset, sha256) from published.main.pipeline_loads where sha256 is not null)"""
    else:
        loads = f"select load_id from raw_store.raw.ledger where load_id > {applied}"
    connection.execute(f"create or replace temp table new_loads as {loads}")
    there = tables_in(connection, database="raw_store", schema="raw")
    wanted = [name for name in CONTRACTS if name in datasets and name in there and name not in WITHOUT_FIGURES]
    owners = [
        f"select alias_key, customer_key from {place}"
        for place, is_there in (
            ("main.int_identities", has_table(connection, "int_identities")),
            ("published.main.int_identities", "int_identities" in known),
        )
        if is_there
    ] or ["select null as alias_key, null as customer_key where false"]
    identities = " union ".join(owners)
    for reaching in (until, None) if until else (None,):
        versions = [one for name in wanted for one in _versions(connection, name, there, timezone, reaching)]
        if "customer_aliases" in wanted:
            versions.append(_merges_in_effect(timezone, before, now))
        _name_versions(connection, versions)
        _tell_causes(connection, identities, reaching)
        if connection.execute("select 1 from run_rows limit 1").fetchall():
            break


def _name_versions(connection: duckdb.DuckDBPyConnection, versions: list[str]) -> None:
    """run_versions: SQL of versions of rows."""
    connection.execute(
        "create or replace temp table run_versions (raw_key bigint, dataset varchar, row_key varchar, load_id bigint, "
        "first_day date, is_current boolean)"
    )
    if versions:
        connection.execute(f"insert into run_versions {' union all '.join(versions)}")


def _tell_causes(connection: duckdb.DuckDBPyConnection, identities: str, until: Reach | None) -> None:
    """run_rows from run_versions; identities: SQL of the keys of customers, by the keys in raw."""
    reaching = until.is_within if until else "true"
    key = "(dataset, row_key)"
    connection.execute(f"""
        create or replace temp table run_rows as
        with versions as (
            from run_versions where {reaching} or {key} in (select {key} from run_versions where {reaching})
        ),
        causes as (
            select dataset, row_key, max(load_id) as load_id, min(first_day) as first_day,
                case
                    when dataset = 'customer_aliases' then '{MERGE}'
                    when dataset = 'customers' then '{ATTRIBUTE}'
                    when dataset = 'fx_rates' then '{FX}'
                    when bool_and(is_current) then '{LATE}'
                    when bool_or(is_current) then '{CORRECTED}'
                    else '{DELETED}'
                end as cause
            from versions group by dataset, row_key
        ),
        identities as ({identities}),
        keys as (
            select dataset, row_key, raw_key as customer_key from versions
            union
            select versions.dataset, versions.row_key, identities.customer_key
            from versions inner join identities on versions.raw_key = identities.alias_key
        )
        select keys.customer_key, causes.* from keys
        inner join causes on keys.dataset = causes.dataset and keys.row_key = causes.row_key""")


def _versions(
    connection: duckdb.DuckDBPyConnection, dataset: str, there: set[str], timezone: str, until: Reach | None
) -> list[str]:
    """SQL: the versions of a dataset's rows that new loads brought, and those of before that they replaced. until: rows
    that certainly count from a day of it on may be left out, as most of a night that brings a million.
    """
    contract = CONTRACTS[dataset]
    column = FACT_COLUMNS.get(dataset)
    day, reaching = "cast(null as date)", ""
    replaced = "_superseded_by in (select load_id from new_loads) and _load_id not in (select load_id from new_loads)"
    has_history = f"{dataset}_history" in there
    if column:
        is_instant = any(one.name == column and one.kind == "instant" for one in contract.columns)
        day = business_day(column, timezone) if is_instant else f"cast({column} as date)"
        # A row of two versions may count before that day by the other one.
        is_of_one = (
            not has_history
            or not connection.execute(f"select 1 from raw_{dataset}_history where {replaced} limit 1").fetchall()
        )
        if until and is_instant and is_of_one:
            reaching = f"and ({column} is null or {column} < {_begins(until.of(dataset), timezone)})"
    found = []
    for said in _owners(contract):
        found.append(
            f"select {said}, _load_id as load_id, {day} as first_day, true as is_current "
            f"from raw_{dataset} where _load_id in (select load_id from new_loads) {reaching}"
        )
        if has_history:
            found.append(f"select {said}, _superseded_by, {day}, false from raw_{dataset}_history where {replaced}")
    return found


def _begins(day: date, timezone: str) -> str:
    """SQL: a moment (UTC) that no instant or bare date of before this business day reaches; two hours later than the
    day begins, as clocks may be put back at midnight.
    """
    midnight = f"timestamp '{day}'"
    return f"greatest({midnight}, timezone('UTC', timezone({sql_text(timezone)}, {midnight})) + interval 2 hour)"


def _merges_in_effect(timezone: str, before: Publication, now: Publication) -> str:
    """SQL: the aliases that were there, and count since (or no longer) because of the day on which they begin to."""
    days = f"date '{min(before.as_of, now.as_of)}' and date '{max(before.as_of, now.as_of) - timedelta(days=1)}'"
    return " union all ".join(
        f"select {said}, _load_id, cast(null as date), true from raw_customer_aliases "
        f"where {business_day('valid_from', timezone)} between {days} "
        "and _load_id not in (select load_id from new_loads)"
        for said in _owners(CONTRACTS["customer_aliases"])
    )


def _owners(contract: Contract) -> list[str]:
    """SQL: what a row is known by, once for each customer that it names."""
    row_key = " || ' ' || ".join(f"coalesce(cast({name} as varchar), '')" for name in contract.key)
    return [
        f"coalesce({owner}, 0) as raw_key, '{contract.dataset}' as dataset, {row_key} as row_key"
        for owner in list(contract.customer_columns.values()) or ["0"]
    ]


def find_causes(
    connection: duckdb.DuckDBPyConnection, settings: Settings, before: Publication, now: Publication, *, fx: bool
) -> None:
    """kpi_causes. fx: a rate differs from what the published generation has."""
    came = connection.execute(
        "select dataset, cause, case when count(first_day) = count(*) then min(first_day) end from run_rows "
        "group by all"
    ).fetchall()
    changed = changed_settings(before.settings, now.settings)
    if before.settings_fingerprint == now.settings_fingerprint:
        changed = set()
    is_new_code = before.code_fingerprint != now.code_fingerprint or before.kpi_fingerprint != now.kpi_fingerprint
    dimensions = ["all", *resolved_segments(settings.segments, settings.connected_datasets)]
    rows: list[tuple[Any, ...]] = []
    for kpi in KPIS:
        horizon = horizon_days(kpi, settings)
        for basis in kpi.bases or kpi.family.bases:
            of_everybody = datasets_behind(kpi, basis)
            for dimension in dimensions:
                needed = of_everybody | datasets_of_dimension(dimension)
                place = (kpi.id, basis, dimension)
                rows += [
                    (*place, cause, dataset, first_day, horizon)
                    for dataset, cause, first_day in came
                    if dataset in needed and dataset != "fx_rates"
                ]
                if fx and "fx_rates" in needed:
                    rows.append((*place, FX, "fx_rates", None, horizon))
                if is_moved(kpi, dimension, changed):
                    rows.append((*place, SETTINGS, "", None, horizon))
                if is_new_code:
                    rows.append((*place, DEFINITION, "", None, horizon))
                if now.kind == "backfill":
                    rows.append((*place, BACKFILL, "", None, horizon))
    connection.execute(
        "create or replace temp table kpi_causes (kpi varchar, basis varchar, segment_dimension varchar, "
        "cause varchar, dataset varchar, first_day date, horizon_days integer)"
    )
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(f"insert into kpi_causes select {', '.join(['unnest(?)'] * len(columns))}", columns)


def rates_differ(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether rates are others than those of the published generation, on days that both have."""
    if not (has_table(connection, "int_fx_rates") and has_table(connection, "int_fx_rates", database="published")):
        return False
    found = connection.execute("""
        select 1 from main.int_fx_rates as now
        inner join published.main.int_fx_rates as before
            on now.currency = before.currency and now.rate_date = before.rate_date
        where now.rate is distinct from before.rate limit 1""").fetchall()
    return bool(found)


def changed_settings(before: str, now: str) -> set[str]:
    """The names of settings that differ between two publications' settings; unknown ones of before: all."""
    old, new = flat_settings(before), flat_settings(now)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def flat_settings(text: str) -> dict[str, Any]:
    """The settings of a publication (JSON) by their own names; `datasets`: those connected."""
    moving = json.loads(text)
    settings = dict(moving.get("settings") or {})
    business = settings.pop("business", None) or {}
    extra = {"segments": moving.get("segments"), "datasets": moving.get("datasets")} if moving else {}
    return {**settings, **business, **extra}


def is_moved(kpi: Kpi, dimension: str, changed: set[str]) -> bool:
    """Whether a KPI's figures of a segment dimension may move with any of these settings."""
    of_kpi = OF_ALL_FIGURES | set(kpi.settings) | {"datasets"}
    if kpi.sample:
        of_kpi |= {"min_n"}
    if kpi.unit == "money" or MONEY_SETTING in kpi.settings:
        of_kpi |= {"reporting_currency"}
    if dimension != "all":
        of_kpi |= OF_SEGMENTS | {"engagement_cuts", "mau_days", "csat_positive", "active_events"}
    known = OF_ALL_FIGURES | OF_SEGMENTS | OF_NO_FIGURE | {name for one in KPIS for name in one.settings}
    known |= {"datasets", "min_n", "reporting_currency"}
    return bool(changed & of_kpi or changed - known)
