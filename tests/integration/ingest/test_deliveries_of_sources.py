"""What raw tells of deliveries after real loads: when a file counts as delivered, how many rows came, what failed."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.freshness.deliveries import Deliveries, Delivery, deliveries_of
from retention_pipeline.ingest import ledger, open_raw
from retention_pipeline.warehouse import opened_raw

FIRST = datetime(2024, 5, 1, 3)


def night(number: int) -> datetime:
    return FIRST + timedelta(days=number)


def known(company: Company) -> Deliveries:
    with opened_raw(company.home) as connection:
        return deliveries_of(connection, "orders", "orders", is_pull=False, with_rows=True)


def written(path: Path, *, hours_ago: int) -> None:
    os.utime(path, (path.stat().st_mtime - 3600 * hours_ago,) * 2)


def rows(count: int, first: int = 0) -> bytes:
    return orders_csv(*(order(f"o{number}") for number in range(first, first + count)))


@pytest.fixture(params=[-60.0, 60.0], ids=["files have stamps", "files were just written"])
def stamps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a sighting says when the file was written: it does not where the file could still change unseen."""
    monkeypatch.setattr(ledger, "RACY_SECONDS", request.param)
    return bool(request.param < 0)


def test_a_file_that_only_lies_there_is_no_delivery(company: Company, stamps: bool) -> None:
    company.deliver("orders", "a.csv", rows(3))
    company.run(now=night(0))
    company.run(now=night(1))
    company.run(now=night(2))
    assert known(company).last == night(0)


def test_a_new_file_is_a_delivery_and_so_is_a_new_content(company: Company, stamps: bool) -> None:
    company.deliver("orders", "a.csv", rows(3))
    company.run(now=night(0))
    company.deliver("orders", "b.csv", rows(2, first=3))
    company.run(now=night(1))
    assert known(company).last == night(1)
    company.deliver("orders", "a.csv", rows(1))
    company.run(now=night(4))
    assert known(company).last == night(4)


def test_the_same_export_written_again_is_a_delivery_where_it_can_be_told(company: Company, stamps: bool) -> None:
    written(company.deliver("orders", "a.csv", rows(3)), hours_ago=100)
    company.run(now=night(0))
    written(company.deliver("orders", "a.csv", rows(3)), hours_ago=50)
    company.run(now=night(1))
    assert known(company).last == night(1 if stamps else 0)


def test_other_rights_on_a_file_are_no_delivery(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "RACY_SECONDS", -60.0)
    path = company.deliver("orders", "a.csv", rows(3))
    company.run(now=night(0))
    path.chmod(0o600)
    company.run(now=night(1))
    assert company.query("select count(*) from raw.deliveries") == [(2,)]
    assert known(company).last == night(0)


def test_what_is_read_again_by_other_settings_is_no_delivery(company: Company) -> None:
    company.source("orders")
    company.deliver("orders", "a.csv", rows(3))
    company.run(now=night(0))
    company.source("orders", values={"status": {"paid": ["done"]}})
    company.run(now=night(5))
    assert company.query("select count(*) from raw.ledger") == [(2,)]
    assert known(company).last == night(0)


def test_rows_are_counted_per_run_for_new_names_and_per_version_for_replaced_files(company: Company) -> None:
    company.deliver("orders", "a.csv", rows(3))
    company.deliver("orders", "b.csv", rows(4, first=10))
    company.run(now=night(0))
    company.deliver("orders", "c.csv", rows(2, first=20))
    company.run(now=night(1))
    company.deliver("orders", "a.csv", rows(1))
    company.run(now=night(2))
    found = known(company)
    assert found.parts == [Delivery(night(0), 7), Delivery(night(1), 2)]
    assert found.versions == {"landing/orders/a.csv": [Delivery(night(0), 3), Delivery(night(2), 1)]}


def test_a_refused_file_fails_the_source_until_it_is_gone(company: Company) -> None:
    company.deliver("orders", "a.csv", rows(3))
    company.run(now=night(0))
    bad = company.deliver("orders", "bad.csv", b"order_id,amount\n1,2\n")
    company.run(now=night(1))
    company.deliver("orders", "b.csv", rows(2, first=3))
    company.run(now=night(2))
    found = known(company)
    assert (found.failing_since, found.last, found.last_before_failing) == (night(1), night(2), night(0))
    assert "bad.csv: required columns are missing" in (found.error or "")
    bad.unlink()
    company.run(now=night(3))
    assert (known(company).failing_since, known(company).error) == (None, None)


def test_a_step_that_is_tried_again_leaves_one_visit(company: Company) -> None:
    bad = company.deliver("orders", "bad.csv", b"order_id,amount\n1,2\n")
    company.run(now=night(0))
    bad.unlink()
    company.run(now=night(0))
    assert company.query("select visited_at, error from raw.source_visits") == [(night(0), None)]


def test_raw_tables_of_other_makers_tell_nothing(company: Company) -> None:
    company.deliver("orders", "a.csv", rows(3))
    company.run(now=night(0))
    connection = open_raw(company.home.raw_file)
    connection.execute("drop table raw.deliveries")
    assert deliveries_of(connection, "orders", "orders", is_pull=False, with_rows=True) == Deliveries()
    connection.close()
