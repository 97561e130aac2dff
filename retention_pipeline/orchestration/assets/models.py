"""dbt's models as assets and its data tests as asset checks, in the one op that builds on a copy of the generation.

The copy and dbt are one op, so that a second try starts from a fresh copy. What dbt does is told in transform/build.py.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, build_dbt_asset_specs

from retention_pipeline.orchestration.assets.previews import table_metadata
from retention_pipeline.orchestration.assets.raw import raw_key
from retention_pipeline.orchestration.run_context import POOL, RunContext, failure
from retention_pipeline.run import steps
from retention_pipeline.transform import BuildError, NodeResult
from retention_pipeline.transform.engine import TEXTS
from retention_pipeline.transform.selection import absent_models, excluded_nodes

GROUPS = ("staging", "intermediate", "marts")  # in the order of the data
SECONDS_BETWEEN_LINES = 30.0
DONE = frozenset({"success", "pass", "warn"})


class Translator(DagsterDbtTranslator):
    """dbt's folders become groups, period tables get the monthly partitions, sources are the raw assets."""

    def __init__(self, months: dg.PartitionsDefinition) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
        self.months = months

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return raw_key(dbt_resource_props["name"])
        return dg.AssetKey(dbt_resource_props["name"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The model's folder; what a night has touched is intermediate, too."""
        folder = dbt_resource_props["fqn"][1]
        return folder if folder in GROUPS else "intermediate"

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> dg.PartitionsDefinition | None:
        is_model = dbt_resource_props["resource_type"] == "model"
        return self.months if is_model and is_period_table(dbt_resource_props["name"]) else None


def is_period_table(model: str) -> bool:
    """Whether a model holds sums per period, so that a month of it can be brought up to date."""
    return model.startswith("period_")


def check_keys(
    manifest: Mapping[str, Any], assets: set[dg.AssetKey], excluded: Collection[str] = ()
) -> dict[str, dg.AssetCheckKey]:
    """The asset check that each data test of the project is, by the test's id. `assets`: those that a run makes;
    `excluded`: names of tests that it leaves out.

    A test is a check of its model; where that is only a view inside others (staging), of the raw table that it reads,
    else (its dataset is not connected) of a model that reads it. A rule across models is one of the last that it names.
    """
    found = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "test" or node["name"] in excluded:
            continue
        named = [node["attached_node"]] if node.get("attached_node") else node["depends_on"]["nodes"]
        near = [*reversed(named), *_upstream(manifest, named), *_downstream(manifest, named)]
        asset = next((key for key in map(partial(_asset_key, manifest), near) if key in assets), None)
        if asset is not None:
            found[unique_id] = dg.AssetCheckKey(asset, node["name"])
    return found


def _asset_key(manifest: Mapping[str, Any], unique_id: str) -> dg.AssetKey:
    if unique_id.startswith("source."):
        return raw_key(manifest["sources"][unique_id]["name"])
    return dg.AssetKey(manifest["nodes"][unique_id]["name"])


def _upstream(manifest: Mapping[str, Any], nodes: list[str]) -> list[str]:
    return [
        parent
        for node in nodes
        if node in manifest["nodes"]
        for parent in manifest["nodes"][node]["depends_on"]["nodes"]
    ]


def _downstream(manifest: Mapping[str, Any], nodes: list[str]) -> list[str]:
    return [child for node in nodes for child in manifest["child_map"].get(node, []) if child.startswith("model.")]


def _without_deps_on(absent: set[dg.AssetKey], specs: Sequence[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """The assets of a home that does not build some of them."""
    return [
        spec.replace_attributes(deps=[dep for dep in spec.deps if dep.asset_key not in absent])
        for spec in specs
        if spec.key not in absent
    ]


def in_groups_that_lead_one_way(specs: Sequence[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """The assets in groups without a cycle: one that reads from a later group than its own stands in that."""
    by_key = {spec.key: spec for spec in specs}
    found: dict[dg.AssetKey, int] = {}

    def place(key: dg.AssetKey) -> int:
        if key not in found:
            near = [place(dep.asset_key) for dep in by_key[key].deps if dep.asset_key in by_key]
            found[key] = max([GROUPS.index(by_key[key].group_name or GROUPS[0]), *near])
        return found[key]

    return [spec.replace_attributes(group_name=GROUPS[place(spec.key)]) for spec in specs]


def last_models(models: dg.AssetsDefinition) -> list[dg.AssetKey]:
    """Models that no other model reads."""
    read = {dependency.asset_key for spec in models.specs for dependency in spec.deps}
    return [spec.key for spec in models.specs if spec.key not in read]


def raw_tables(manifest: Mapping[str, Any]) -> set[str]:
    """Tables of schema raw that the models read."""
    return {source["name"] for source in manifest["sources"].values()}


def model_assets(
    manifest: Mapping[str, Any], datasets: list[str], months: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The models that these datasets give in one op. `datasets`: those that have a raw asset."""
    absent = absent_models(manifest, datasets)
    excluded = frozenset(excluded_nodes(manifest, absent))
    specs = in_groups_that_lead_one_way(
        _without_deps_on(
            {dg.AssetKey(name) for name in absent},
            build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=Translator(months)),
        )
    )
    checks = check_keys(
        manifest, {spec.key for spec in specs} | {raw_key(dataset) for dataset in datasets}, excluded=excluded
    )
    node_count = sum(
        node["resource_type"] in {"model", "seed", "test"} and node["name"] not in excluded
        for node in manifest["nodes"].values()
    )

    model_count = sum(
        node["resource_type"] == "model"
        and node["name"] not in {*excluded, *TEXTS}
        and node["config"]["materialized"] not in ("ephemeral", "view")
        for node in manifest["nodes"].values()
    )

    @dg.multi_asset(
        name="warehouse_models",
        specs=specs,
        check_specs=[
            dg.AssetCheckSpec(
                key.name,
                asset=key.asset_key,
                description=manifest["nodes"][test].get("description") or None,
                blocking=manifest["nodes"][test]["config"]["severity"].lower() == "error",
            )
            for test, key in checks.items()
        ],
        can_subset=True,
        allow_arbitrary_check_specs=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        op_tags={"stage": "transform"},
    )
    def warehouse_models(context: dg.AssetExecutionContext, night: dg.ResourceParam[RunContext]) -> Iterator[Any]:
        report = night.reporter(context)
        expected = {test: key for test, key in checks.items() if key in context.selected_asset_check_keys}
        failed: BuildError | None = None
        with night.step(context, may_retry=True) as run:
            try:
                built = steps.build_step(
                    night.home,
                    night.settings,
                    run,
                    progress=report.say,
                    on_event=_count_nodes(report.moment, node_count),
                    on_made=count_models(report.say, report.moment, model_count),
                    assembly=night.assembly,
                )
            except BuildError as error:
                failed = error
        if failed is not None:
            yield from _check_results(failed.nodes, expected)
            raise failure(failed)
        yield from _check_results(built.dbt.nodes, expected)
        engine = night.settings.engine
        models = [node for node in built.dbt.nodes if node.kind in {"model", "seed"} and node.status in DONE]
        metadata = table_metadata(night.home.next_file, [node.name for node in models])
        for node in models:
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(node.name),
                metadata={"engine": engine, "seconds": round(node.seconds, 3), **metadata.get(node.name, {})},
            )

    return warehouse_models


def _check_results(nodes: list[NodeResult], checks: Mapping[str, dg.AssetCheckKey]) -> Iterator[dg.AssetCheckResult]:
    """dbt's test results as results of the checks that stand for them."""
    for node in nodes:
        if node.unique_id in checks and node.status != "skipped":
            yield dg.AssetCheckResult(
                asset_key=checks[node.unique_id].asset_key,
                check_name=checks[node.unique_id].name,
                passed=node.status == "pass",
                severity=dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata={"failing_rows": node.failures or 0, **({"message": node.message} if node.message else {})},
            )


def count_models(
    say: Callable[[str], None],
    moment: Callable[[str], None],
    model_count: int,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[str], None]:
    """A listener to the names of models made elsewhere; a line of how far it is stays from time to time, for nobody
    sees the moments in a log.
    """
    done, told_at = 0, clock()

    def listen(name: str) -> None:
        nonlocal done, told_at
        done += 1
        moment(f"Spark {done} of {model_count}: {name}")
        if clock() - told_at >= SECONDS_BETWEEN_LINES:
            told_at = clock()
            say(f"Spark: {done} of {model_count} models")

    return listen


def _count_nodes(moment: Callable[[str], None], node_count: int) -> Callable[[Any], None]:
    """A listener to dbt's events that tells how far it is."""
    done = 0

    def listen(event: Any) -> None:
        nonlocal done
        if event.info.name in {"LogModelResult", "LogSeedResult", "LogTestResult"}:
            done += 1
            moment(f"dbt {done} of {node_count}: {event.data.node_info.node_name}")

    return listen
