"""All assets of a home put together: which datasets have a raw asset, what KPIs are computed from, what must run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.orchestration.assets.figures import alerts_asset, figure_assets, report_asset
from retention_pipeline.orchestration.assets.models import is_period_table, last_models, model_assets, raw_tables
from retention_pipeline.orchestration.assets.raw import raw_assets, shared_table_specs
from retention_pipeline.settings import Settings


@dataclass(frozen=True)
class Graph:
    """assets: everything for Definitions. needed: the assets without which a run publishes nothing."""

    assets: list[dg.AssetsDefinition | dg.AssetSpec]
    needed: frozenset[dg.AssetKey]


def asset_graph(manifest: Mapping[str, Any], settings: Settings, months: dg.PartitionsDefinition) -> Graph:
    """From raw files to snapshot. Without any source the graph shows every dataset that the models read."""
    read = raw_tables(manifest)
    datasets = settings.connected_datasets or sorted(read & CONTRACTS.keys())
    models = model_assets(manifest, datasets, months)
    public = {node["name"] for node in manifest["nodes"].values() if node["fqn"][1] == "marts"}
    marts = [spec.key for spec in models.specs if spec.key.path[-1] in public]
    period_tables = [key for key in marts if is_period_table(key.path[-1])]
    figures = figure_assets(marts, last_models(models), period_tables, months)
    return Graph(
        assets=[
            *raw_assets(datasets, read),
            models,
            *figures,
            report_asset(),
            *alerts_asset(settings.alerts),
            *shared_table_specs(read, datasets),
        ],
        needed=frozenset(key for asset in (models, *figures) for key in asset.keys),
    )
