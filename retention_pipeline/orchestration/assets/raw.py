"""raw/<dataset>: one asset per dataset that has a source. One current row per key in raw.duckdb, history beside it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from retention_pipeline import formatting
from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.freshness.sources import states_in
from retention_pipeline.ingest.lake_tables import lake_tables
from retention_pipeline.orchestration.assets.previews import markdown_table
from retention_pipeline.orchestration.run_context import POOL, RunContext
from retention_pipeline.run import steps
from retention_pipeline.run.records import Run
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import opened_raw

SHOWN_LOADS = 20
ACCEPTED = "every_file_accepted"


def raw_key(table: str) -> dg.AssetKey:
    """The asset that a table of schema raw belongs to: a dataset's history is written with its current rows."""
    dataset = table.removesuffix("_history")
    return dg.AssetKey(["raw", dataset if dataset in CONTRACTS else table])


def raw_assets(datasets: list[str], tables: set[str]) -> list[dg.AssetsDefinition]:
    """One asset per dataset; each loads what was delivered for it since the last run. tables: those of raw that models
    read, of which every load marks those that all datasets share.
    """
    return [_raw_asset(dataset, _shared(tables)) for dataset in datasets]


def _shared(tables: set[str]) -> list[str]:
    return sorted(table for table in tables if raw_key(table).path[-1] not in CONTRACTS)


def shared_table_specs(tables: set[str], datasets: list[str]) -> list[dg.AssetSpec]:
    """Tables of raw to which every load adds, such as customer_keys: shown in the graph, made by the loads."""
    return [
        dg.AssetSpec(
            raw_key(table),
            deps=[raw_key(dataset) for dataset in datasets],
            description="Written by the loads of all datasets.",
            group_name="raw",
        )
        for table in _shared(tables)
    ]


def _raw_asset(dataset: str, shared: list[str]) -> dg.AssetsDefinition:
    key = raw_key(dataset)

    @dg.multi_asset(
        name=f"load_{dataset}",
        specs=[
            dg.AssetSpec(
                key,
                description=f"One row per {', '.join(CONTRACTS[dataset].key)}: its current version.",
                group_name="raw",
                kinds={"duckdb"},
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(ACCEPTED, asset=key, description="No file or pull of the night was refused as a whole.")
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        op_tags={"stage": "ingest", "dataset": dataset},
    )
    def load(context: dg.AssetExecutionContext, night: dg.ResourceParam[RunContext]) -> Iterator[Any]:
        report = night.reporter(context)
        if night.loads_nothing:
            with night.step(context):
                context.log.info("This run loads nothing, it computes from what is there.")
            yield dg.AssetCheckResult(check_name=ACCEPTED, asset_key=key, passed=True)
            yield dg.MaterializeResult(asset_key=key, metadata={"loaded": "nothing, as was asked"})
            return
        with night.step(context, may_retry=True) as run:
            result = steps.ingest_step(
                night.home,
                night.settings,
                run,
                datasets=[dataset],
                reload=night.reload,
                progress=report.moment,
                assembly=night.assembly,
            )
        for table in shared:
            context.log_event(dg.AssetMaterialization(raw_key(table), metadata={"written by": f"load_{dataset}"}))
        for line in what_came(dataset, result):
            report.say(line)
        yield dg.AssetCheckResult(
            check_name=ACCEPTED,
            asset_key=key,
            passed=not result.refused,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "refused": dg.MetadataValue.md(
                    markdown_table(["file", "why"], [[load.file_name, load.error] for load in result.refused])
                )
            }
            if result.refused
            else {},
        )
        now = totals(night.home, night.settings, run, dataset)
        yield dg.MaterializeResult(asset_key=key, metadata=now | _loads_metadata(result))

    return load


def what_came(dataset: str, result: Any) -> list[str]:
    """In words: what was loaded, and how much was not. Nothing for a night without files."""
    loads = [load for load in result.loads if load.status == "loaded"]
    lines = []
    if loads:
        counts = {name: sum(getattr(load, name) for load in loads) for name in ("new", "changed", "stale", "bad")}
        words = {"changed": "changed", "stale": "older than known", "bad": "refused (quarantine)"}
        told = [formatting.counted(counts["new"], "new row")]
        told += [f"{counts[name]:,} {word}" for name, word in words.items() if counts[name]]
        lines.append(f"{dataset}: {_files_and_pulls(loads)}, {', '.join(told)}")
    for what, columns in (
        ("new, kept in _extra", {name for load in loads for name in load.drift.added}),
        ("missing", {name for load in loads for name in load.drift.missing}),
    ):
        if columns:
            lines.append(f"{dataset}: columns {what}: {', '.join(sorted(columns))}")
    lines += [f"{dataset}: {hint}" for load in result.loads for hint in load.hints]
    lines += [f"{dataset}: no file at {path}" for path in getattr(result, "without_files", [])]
    waiting = formatting.few_of_each((dataset, *left) for left in getattr(result, "waiting", []))
    lines += [f"{dataset}: {name} is left for the next run: {why}" for name, why in waiting]
    if result.refused:  # which and why stands at the end of the run, and in the metadata
        lines.append(f"{dataset}: {_files_and_pulls(result.refused)} not loaded")
    return lines


def _files_and_pulls(loads: list[Any]) -> str:
    pulls = sum(load.is_pull for load in loads)
    counts = (("file", len(loads) - pulls), ("pull", pulls))
    return " and ".join(formatting.counted(count, word) for word, count in counts if count)


def totals(home: Home, settings: Settings, run: Run, dataset: str) -> dict[str, Any]:
    """What raw holds of a dataset after the loads: rows, versions that were replaced, refused rows that still miss, and
    how fresh its sources are.
    """
    with opened_raw(home) as raw:
        in_lake = lake_tables(raw, settings).get(dataset)
        [(rows, replaced, missing)] = raw.execute(
            f"""
            select (select count(*) from raw.{dataset}), (select count(*) from raw.{dataset}_history),
                (select count(*) from raw.quarantine where dataset = $1 and resolved_by is null)
            """,
            [dataset],
        ).fetchall()
        names = [name for name in settings.sources if settings.dataset_of(name) == dataset]
        if in_lake is not None:
            rows, replaced, missing = in_lake.rows, in_lake.replaced, sum(in_lake.reasons.values())
        states = [
            [one.source, one.state, one.last_delivery and f"{one.last_delivery:%Y-%m-%d %H:%M:%S}", one.why]
            for one in states_in(raw, settings, names, now=run.started_at, as_of=run.as_of)
        ]
    columns = ["source", "state", "last delivery (UTC)", "why"]
    return {
        "dagster/row_count": rows,
        "replaced versions": replaced,
        "in quarantine": missing,
        "freshness": dg.MetadataValue.md(markdown_table(columns, states)),
    }


def _loads_metadata(result: Any) -> dict[str, Any]:
    loads = [load for load in result.loads if load.status != "already_loaded"]
    sums = {
        name: sum(getattr(load, name) for load in loads)
        for name in ("lines", "new", "changed", "unchanged", "stale", "bad")
    }
    metadata: dict[str, Any] = {"files": len(loads), **sums, "quarantined": sums["bad"]}
    del metadata["bad"]
    if loads:
        columns = ["file_name", "status", "lines", "good", "bad", "new", "changed", "unchanged", "stale", "error"]
        rows = [[getattr(load, column) for column in columns] for load in loads[:SHOWN_LOADS]]
        metadata["loads"] = dg.MetadataValue.md(markdown_table(columns, rows))
    return metadata
