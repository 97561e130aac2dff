"""Pulls from a real PostgreSQL server as deliveries: one that brings nothing new, one that fails, one that fell."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from support.shop_database import Shop

from retention_pipeline.freshness.sources import SourceState, source_states
from retention_pipeline.ingest import ingest
from retention_pipeline.settings import parse_settings

FIRST = datetime(2024, 5, 1, 3)


def night(shop: Shop, number: int, **changes: Any) -> SourceState:
    """Pull in night `number`; the state of the source afterwards."""
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
    settings = parse_settings({"business": business, "sources": {"orders": {**shop.source, **changes}}})
    now = FIRST + timedelta(days=number)
    ingest(shop.home, settings, now=now)
    (state,) = source_states(shop.home, settings, now=now, as_of=now.date())
    return state


@pytest.mark.parametrize("cursor", [{}, {"cursor": "updated_at", "overlap_hours": 0}])
def test_a_pull_that_brings_nothing_new_is_a_delivery(shop: Shop, cursor: dict[str, Any]) -> None:
    shop.source.update(max_age="30h", **cursor)
    shop.add(1)
    for number in (0, 1, 2):
        state = night(shop, number)
        assert (state.state, state.last_delivery) == ("fresh", FIRST + timedelta(days=number))


def test_a_server_that_does_not_answer_is_failed_then_stale_too_then_fresh(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop.source.update(max_age="30h")
    shop.add(1)
    night(shop, 0)
    monkeypatch.setenv("SHOP", "postgresql://shop:hunter2@127.0.0.1:1/shop")
    failed, later = night(shop, 1), night(shop, 4)
    assert (failed.state, failed.fresh_until, failed.lacks) == ("failed", date(2024, 5, 1), True)
    assert "max_age" not in failed.why and "max_age 30 h" in later.why
    assert "hunter2" not in failed.why + later.why
    monkeypatch.setenv("SHOP", shop.dsn)
    assert night(shop, 5).state == "fresh"


def test_a_table_that_lost_rows_has_shrunk_until_they_are_back(shop: Shop) -> None:
    shop.source.update(max_shrink=0.2)
    for number in range(10):
        shop.add(number)
    night(shop, 0)
    assert night(shop, 1).state == "fresh"  # the same bytes again
    shop.write("delete from orders where order_id::text > '00000000-0000-0000-0000-000000000004'")
    fell, still = night(shop, 2), night(shop, 3)
    assert (fell.state, fell.fell_by, fell.fresh_until) == ("shrunken", 0.5, date(2024, 5, 2))
    assert (still.state, still.fresh_until) == ("shrunken", date(2024, 5, 2))
    for number in range(20, 25):
        shop.add(number)
    assert night(shop, 4).state == "fresh"
