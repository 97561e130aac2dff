"""`delivery: whole`: each file is the whole table, and what is not in the newest one is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.settings import SettingsError, parse_settings


@pytest.fixture
def company(tmp_path) -> Company:  # type: ignore[no-untyped-def]
    company = Company(tmp_path)
    company.source("orders", delivery="whole", path="landing/orders/*.csv")
    return company


def deliver(company: Company, *ids: str, name: str = "export.csv", day: int = 1) -> list[str]:
    """Deliver orders, run, and tell which orders there are."""
    company.deliver("orders", name, orders_csv(*(id if "," in id else order(id) for id in ids)))
    company.last = company.run(now=datetime(2024, 5, day, 3)).loads  # type: ignore[attr-defined]
    company.assert_balanced()
    return orders(company)


def orders(company: Company) -> list[str]:
    return [id for (id,) in company.query("select order_id from raw.orders order by 1")]


def test_what_is_no_longer_in_the_newest_file_is_gone(company: Company) -> None:
    assert deliver(company, "a", "b") == ["a", "b"]
    assert deliver(company, "b", "c", day=2) == ["b", "c"]
    assert company.query("select order_id, _superseded_by from raw.orders_history") == [("a", 2)]
    assert deliver(company, "a", "b", day=3) == ["a", "b"]  # the very bytes of the first one
    assert company.run().loads[0].status == "already_loaded"


def test_several_files_follow_each_other_by_name(company: Company) -> None:
    company.deliver("orders", "9.csv", orders_csv(order("a"), order("b")))
    assert deliver(company, "b", "c", name="10.csv") == ["b", "c"]
    assert deliver(company, "a", "b", name="11.csv", day=2) == ["a", "b"]
    assert [load.status for load in company.run().loads] == ["already_loaded"] * 3
    assert deliver(company, "z", name="8.csv", day=3) == ["a", "b"]
    refused = company.last[0]  # type: ignore[attr-defined]
    assert (
        refused.error == "it is older by its name than landing/orders/11.csv, which holds the whole (delivery: whole)"
    )


def test_other_sources_of_the_dataset_keep_theirs(company: Company) -> None:
    company.sources["other"] = {"type": "files", "path": "landing/other/*.csv", "dataset": "orders"}
    (company.home.root / "landing/other").mkdir(parents=True)
    (company.home.root / "landing/other/1.csv").write_bytes(orders_csv(order("x")))
    deliver(company, "a", "b")
    assert deliver(company, "b", day=2) == ["b", "x"]


def test_rows_that_are_refused_now_are_not_gone(company: Company) -> None:
    deliver(company, "a", "b", "c")
    assert deliver(company, order("a", "ten"), "b", day=2) == ["a", "b"]
    assert deliver(company, order("", "1"), "b", day=3) == ["a", "b"]
    [load] = company.last  # type: ignore[attr-defined]
    assert load.hints == [
        "rows without a key were refused, so there is no telling which are gone; nothing was deleted (delivery: whole)"
    ]
    assert deliver(company, day=4) == ["a", "b"]
    [load] = company.last  # type: ignore[attr-defined]
    assert load.hints == ["the file has no rows at all; nothing was deleted (delivery: whole)"]


def test_changed_settings_and_a_rebuild_end_in_the_same_rows(company: Company) -> None:
    for day, ids in enumerate((["a", "b"], ["b", "c"], ["a", "b"]), start=1):
        deliver(company, *ids, day=day)
    settings = parse_settings({"business": company.business, "sources": company.sources})
    rebuild_raw(company.home, settings)
    assert orders(company) == ["a", "b"]
    company.sources["orders"]["round_amounts"] = True
    company.run(now=datetime(2024, 5, 4, 3))
    assert orders(company) == ["a", "b"]
    company.source("orders", path="landing/orders/*.csv")
    company.run(now=datetime(2024, 5, 5, 3))
    assert orders(company) == ["a", "b", "c"]
    company.source("orders", path="landing/orders/*.csv", delivery="whole")
    company.run(now=datetime(2024, 5, 6, 3))
    assert orders(company) == ["a", "b"]


def test_a_whole_cannot_be_the_whole_of_a_value() -> None:
    source = {"type": "files", "path": "x", "delivery": "whole", "replace_by": "order_id"}
    with pytest.raises(SettingsError, match="replace_by: with delivery: whole"):
        parse_settings({"business": {"timezone": "UTC", "reporting_currency": "EUR"}, "sources": {"orders": source}})


def test_a_delivery_that_would_delete_too_much_stops_its_source_and_changes_nothing(company: Company) -> None:
    ids = [f"o{number}" for number in range(20)]
    assert len(deliver(company, *ids)) == 20
    assert len(deliver(company, *ids[:16], "x", day=2)) == 17  # 4 of 20 are a fifth
    before = company.contents(), company.query("from raw.ledger"), company.query("select count(*) from raw.deliveries")
    company.deliver("customers", "1.csv", b"customer_id,country\nanna,NL\n")
    assert len(deliver(company, *ids[:12], day=3)) == 17
    [stopped] = [load for load in company.last if load.dataset == "orders"]  # type: ignore[attr-defined]
    assert stopped.status == "failed" and stopped.error is not None
    assert "5 of 17 rows would be deleted (29%, allowed 20%)" in stopped.error
    assert "sources.orders.max_delete: 1" in stopped.error
    after = company.contents(), company.query("from raw.ledger where dataset = 'orders'")
    assert (after[0]["orders"], after[1]) == (before[0]["orders"], before[1])
    assert company.query("select count(*) from raw.customers") == [(1,)]
    company.sources["orders"]["max_delete"] = 1
    assert len(deliver(company, *ids[:12], day=4)) == 12
    rebuild_raw(
        company.home,
        parse_settings({"business": company.business, "sources": company.sources | {"orders": stops(company)}}),
    )
    assert len(orders(company)) == 12


def stops(company: Company) -> dict[str, Any]:
    return company.sources["orders"] | {"max_delete": 0}


def test_of_a_few_rows_any_may_go(company: Company) -> None:
    assert deliver(company, "a", "b", "c") == ["a", "b", "c"]
    assert deliver(company, "c", day=2) == ["c"]
