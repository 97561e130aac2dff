"""raw/<dataset>: one asset per dataset that has a source. One current row per key in raw.duckdb, history beside it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from retention_pipeline import formatting
from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.orchestration.assets.previews import markdown_table
from retention_pipeline.orchestration.run_context import POOL, RunContext
from retention_pipeline.run import steps

SHOWN_LOADS = 20
ACCEPTED = "every_file_accepted"


def raw_key(table: str) -> dg.AssetKey:
    """The asset that a table of schema raw belongs to: a dataset's history is written with its current rows."""
    dataset = table.removesuffix("_history")
    return dg.AssetKey(["raw", dataset if dataset in CONTRACTS else table])


def raw_assets(datasets: list[str]) -> list[dg.AssetsDefinition]:
    """One asset per dataset; each loads what was delivered for it since the last run."""
    return [_raw_asset(dataset) for dataset in datasets]


def shared_table_specs(tables: set[str], datasets: list[str]) -> list[dg.AssetSpec]:
    """Tables of raw to which every load adds, such as customer_keys: shown in the graph, made by the loads."""
    return [
        dg.AssetSpec(
            raw_key(table),
            deps=[raw_key(dataset) for dataset in datasets],
            description="Written by the loads of all datasets.",
            group_name="raw",
        )
        for table in sorted(tables)
        if raw_key(table).path[-1] not in CONTRACTS
    ]


def _raw_asset(dataset: str) -> dg.AssetsDefinition:
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
        yield dg.MaterializeResult(asset_key=key, metadata=_loads_metadata(result))

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
    if result.refused:  # which and why stands at the end of the run, and in the metadata
        lines.append(f"{dataset}: {_files_and_pulls(result.refused)} not loaded")
    return lines


def _files_and_pulls(loads: list[Any]) -> str:
    pulls = sum(load.is_pull for load in loads)
    counts = (("file", len(loads) - pulls), ("pull", pulls))
    return " and ".join(formatting.counted(count, word) for word, count in counts if count)


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
