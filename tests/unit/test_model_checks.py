"""Which asset a data test of dbt becomes a check of, for each kind of node that it may be attached to."""

from typing import Any

import dagster as dg

from retention_pipeline.orchestration.assets.models import check_keys


def node(name: str, kind: str = "model", *, reads: tuple[str, ...] = (), of: str | None = None) -> dict[str, Any]:
    return {"name": name, "resource_type": kind, "depends_on": {"nodes": list(reads)}, "attached_node": of}


MANIFEST = {
    "sources": {"source.raw.orders": {"name": "orders"}, "source.raw.fx_rates": {"name": "fx_rates"}},
    "nodes": {
        "model.stg_orders": node("stg_orders", reads=("source.raw.orders",)),
        "model.stg_fx_rates": node("stg_fx_rates", reads=("source.raw.fx_rates",)),
        "model.int_fx_rates": node("int_fx_rates", reads=("model.stg_fx_rates",)),
        "model.periods": node("periods", reads=("model.stg_orders",)),
        "test.of_a_table": node("of_a_table", "test", reads=("model.periods",), of="model.periods"),
        "test.of_a_view": node("of_a_view", "test", reads=("model.stg_orders",), of="model.stg_orders"),
        "test.not_connected": node("not_connected", "test", reads=("model.stg_fx_rates",), of="model.stg_fx_rates"),
        "test.across": node("across", "test", reads=("model.int_fx_rates", "model.periods")),
        "test.of_nothing_made": node("of_nothing_made", "test"),
    },
    "child_map": {"model.stg_fx_rates": ["model.int_fx_rates", "test.not_connected"]},
}
MADE = {dg.AssetKey("periods"), dg.AssetKey("int_fx_rates"), dg.AssetKey(["raw", "orders"])}


def test_a_test_is_a_check_of_its_model_or_of_what_is_nearest_to_it() -> None:
    assert {test: key.asset_key.to_user_string() for test, key in check_keys(MANIFEST, MADE).items()} == {
        "test.of_a_table": "periods",
        "test.of_a_view": "raw/orders",
        "test.not_connected": "int_fx_rates",
        "test.across": "periods",
    }
