"""dbt's models as assets and its data tests as asset checks, in the one op that builds on a copy of the generation.

The copy and dbt are one op, so that a second try starts from a fresh copy. What dbt does is told in transform/build.py.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from retention_pipeline import pipeline
from retention_pipeline.assets.night import POOL, RESOURCE, Night, failure
from retention_pipeline.assets.previews import table_metadata
from retention_pipeline.transform import BuildError, NodeResult

DONE = frozenset({"success", "pass", "warn"})


class Translator(DagsterDbtTranslator):
    """dbt's folders become groups, period tables get the monthly partitions, sources are the raw assets."""

    def __init__(self, months: dg.PartitionsDefinition) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
        self.months = months

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return dg.AssetKey(dbt_resource_props["name"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """staging, intermediate, marts."""
        return dbt_resource_props["fqn"][1] if len(dbt_resource_props["fqn"]) > 2 else "models"

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> dg.PartitionsDefinition | None:
        is_model = dbt_resource_props["resource_type"] == "model"
        return self.months if is_model and is_period_table(dbt_resource_props["name"]) else None


def is_period_table(model: str) -> bool:
    """Whether a model holds sums per period, so that a month of it can be brought up to date."""
    return model.startswith("period_")


def model_assets(manifest: Mapping[str, Any], months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """All models of the project in one op."""
    translator = Translator(months)
    steps = sum(node["resource_type"] in {"model", "seed", "test"} for node in manifest["nodes"].values())

    @dbt_assets(
        manifest=manifest,
        name="warehouse_models",
        dagster_dbt_translator=translator,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={RESOURCE},
        pool=POOL,
        op_tags={"stage": "transform"},
    )
    def warehouse_models(context: dg.AssetExecutionContext) -> Iterator[Any]:
        night: Night = getattr(context.resources, RESOURCE)
        report = night.reporter(context)
        checks = _Checks(manifest, translator, context)
        failed: BuildError | None = None
        with night.step(context, may_retry=True) as run:
            try:
                built = pipeline.build_step(
                    night.home,
                    night.settings,
                    run,
                    progress=report.say,
                    on_event=_count_nodes(report.moment, steps),
                    assembly=night.assembly,
                )
            except BuildError as error:
                failed = error
        if failed is not None:
            yield from checks.results(failed.nodes)
            raise failure(failed)
        yield from checks.results(built.dbt.nodes)
        models = [node for node in built.dbt.nodes if node.kind in {"model", "seed"} and node.status in DONE]
        metadata = table_metadata(night.home.next_file, [node.name for node in models])
        for node in models:
            yield dg.Output(
                None,
                output_name=dg.AssetKey(node.name).to_python_identifier(),
                metadata={"seconds": round(node.seconds, 3), **metadata.get(node.name, {})},
            )

    return warehouse_models


class _Checks:
    """dbt's test results as results of the asset checks that stand for them."""

    def __init__(self, manifest: Mapping[str, Any], translator: Translator, context: dg.AssetExecutionContext) -> None:
        self.manifest, self.translator = manifest, translator
        self.expected = context.selected_asset_check_keys

    def results(self, nodes: list[NodeResult]) -> Iterator[dg.AssetCheckResult]:
        for node in nodes:
            if node.kind != "test" or node.status == "skipped":
                continue
            key = get_asset_check_key_for_test(self.manifest, self.translator, node.unique_id, project=None)
            if key is not None and key in self.expected:
                warns = node.status == "warn"
                yield dg.AssetCheckResult(
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=node.status == "pass",
                    severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
                    metadata={
                        "failing_rows": node.failures or 0,
                        **({"message": node.message} if node.message else {}),
                    },
                )


def _count_nodes(moment: Callable[[str], None], steps: int) -> Callable[[Any], None]:
    """A listener to dbt's events that tells how far it is."""
    done = 0

    def listen(event: Any) -> None:
        nonlocal done
        if event.info.name in {"LogModelResult", "LogSeedResult", "LogTestResult"}:
            done += 1
            moment(f"dbt {done} of {steps}: {event.data.node_info.node_name}")

    return listen
