"""raw.duckdb made again from the archive is the one that was there, whatever was lost."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.delivering import SUBSCRIPTION_HEADER, Company, order, orders_csv

from retention_pipeline.ingest import file_loader, source_loader, staging
from retention_pipeline.ingest.rebuild import CannotRebuild, Rebuilt, rebuild_raw
from retention_pipeline.publish.provenance import write_pipeline_loads
from retention_pipeline.settings import parse_settings
from retention_pipeline.warehouse import opened_raw

FIRST = datetime(2024, 5, 1, 3)
DATASETS = ("orders", "subscriptions", "customer_keys", "quarantine")
# Beside these: epochs (another file), deliveries and visits (sightings).
LEDGER = "select * exclude (mode, drift) from raw.ledger order by load_id"


def rebuild(company: Company, **arguments: Any) -> Rebuilt:
    settings = parse_settings(
        {"business": company.business, "sources": company.sources, "max_quarantine_rate": company.max_quarantine_rate}
    )
    return rebuild_raw(company.home, settings, **arguments)


def contents(company: Company) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of raw that says something about data."""
    found = {}
    with opened_raw(company.home) as connection:
        for dataset in DATASETS:
            for table in (dataset, f"{dataset}_history") if dataset in ("orders", "subscriptions") else (dataset,):
                found[table] = connection.execute(f"select * from raw.{table} order by all").fetchall()
        found["ledger"] = connection.execute(LEDGER).fetchall()
    return found


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Four nights: orders, a correction, a file with a bad row, a file that is refused, the same bytes again,
    subscriptions in between.
    """
    company = Company(tmp_path)
    night = iter(FIRST + timedelta(days=day) for day in range(9))
    company.deliver("orders", "1.csv", orders_csv(order("a"), order("b", "20.00")))
    company.deliver("orders", "2.csv", orders_csv(order("c")))
    company.run(now=next(night))
    company.deliver(
        "subscriptions", "1.csv", f"{SUBSCRIPTION_HEADER}\ns1,bert,basic,10,EUR,month,active,2024-01-01,\n".encode()
    )
    company.deliver("orders", "3.csv", orders_csv(order("b", "25.00"), order("d", "much")))
    company.run(now=next(night))
    company.deliver("orders", "4.csv", b"nothing,of,this\n1,2,3\n")
    company.deliver("orders", "5.csv", orders_csv(order("c")))
    company.run(now=next(night))
    company.deliver("orders", "6.csv", orders_csv(order("b", "20.00"), order("e")))
    company.run(now=next(night))
    return company


def test_what_is_rebuilt_is_what_was_there(company: Company) -> None:
    before = contents(company)
    result = rebuild(company)
    assert contents(company) == before
    assert (result.left_out, result.unknown) == ([], [])
    assert result.replaced is not None and result.replaced.exists()


def test_the_night_after_a_rebuild_loads_nothing_twice(company: Company) -> None:
    rebuild(company)
    before = contents(company)
    loads = company.run(now=FIRST + timedelta(days=8)).loads
    assert {load.status for load in loads} == {"already_loaded", "refused"}
    assert contents(company) == before


def test_where_raw_is_damaged_the_order_is_that_of_the_published_generations(company: Company) -> None:
    company.home.published.mkdir()
    with duckdb.connect(str(company.home.published / "g1.duckdb")) as connection:
        write_pipeline_loads(connection, company.home)
    before = contents(company)
    company.home.raw_file.write_bytes(b"no database")
    shutil.rmtree(company.home.root / "landing")
    result = rebuild(company)
    after = contents(company)
    assert {name: rows for name, rows in after.items() if name != "ledger"} == {
        name: rows for name, rows in before.items() if name != "ledger"
    }
    assert [path.name.split(".")[0] for path in result.unknown] == [
        row[4] for row in before["ledger"] if row[14] == "refused"
    ]


def test_loads_of_a_copy_and_of_what_it_was_copied_from_are_loaded_in_the_order_of_their_nights(
    company: Company,
) -> None:
    """raw put back from a backup: what the published figures had stands in the generation, what came after in raw."""
    shutil.copy(company.home.raw_file, company.home.warehouse / "aside")
    company.deliver("orders", "7.csv", orders_csv(order("f", "50.00")))
    company.run(now=FIRST + timedelta(days=5))
    company.home.published.mkdir()
    with duckdb.connect(str(company.home.published / "g1.duckdb")) as connection:
        write_pipeline_loads(connection, company.home)
    shutil.move(company.home.warehouse / "aside", company.home.raw_file)
    (company.home.root / "landing/orders/7.csv").unlink()
    company.deliver("orders", "8.csv", orders_csv(order("f", "9000.00"), order("g")))
    company.run(now=FIRST + timedelta(days=6))
    rebuild(company)
    assert company.query("select amount from raw.orders where order_id in ('f', 'g') order by all") == [(10,), (9000,)]
    assert company.query("select amount from raw.orders_history where order_id = 'f'") == [(50,)]


def test_a_copy_that_is_gone_is_refused_by_name_or_left_out(company: Company) -> None:
    before = contents(company)
    gone = next(row[4] for row in before["ledger"] if row[3].endswith("6.csv"))
    next((company.home.archive / "orders").glob(f"{gone}.*")).unlink()
    with pytest.raises(CannotRebuild, match=r"6\.csv.*its copy is not in(?s:.)*--without-missing"):
        rebuild(company)
    assert contents(company) == before
    result = rebuild(company, without_missing=True)
    assert len(result.left_out) == 1
    assert company.query("select count(*) from raw.orders where order_id = 'e'") == [(0,)]


def test_without_any_ledger_nothing_is_made(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.source("orders")
    with pytest.raises(CannotRebuild, match=r"No ledger, no generation(?s:.)*landing folders: retention run --home"):
        rebuild(company)
    assert not company.home.raw_file.exists()


def breaks_once(monkeypatch: pytest.MonkeyPatch, error: Exception, *, on: bytes) -> None:
    """Reading a file with these bytes in it ends in `error`, of any kind of reader."""
    read = staging.stage_file

    def stage_file(connection: Any, contract: Any, source: Any, archived: Any, **arguments: Any) -> Any:
        if on in archived.plain.read_bytes():
            raise error
        return read(connection, contract, source, archived, **arguments)

    monkeypatch.setattr(source_loader, "stage_file", stage_file)


ERRORS = [duckdb.InternalException("INTERNAL Error: information loss"), duckdb.InvalidInputException("no such thing")]


@pytest.mark.parametrize("error", ERRORS)
def test_an_archived_pull_that_duckdb_cannot_read_is_refused_with_its_reason(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(tmp_path)
    path = tmp_path / "shop.duckdb"
    company.source("orders", type="duckdb", path=str(path), table="orders")
    add = "insert into orders values ('{}', 'c', '2024-05-05T10:00:00Z', 10.5, 'EUR', 'paid')"
    for statement in (
        "create table orders (order_id text, customer_id text, ordered_at text, amount text, "
        "currency text, status text)",
        add.format("o1"),
        add.format("o2"),
    ):
        with duckdb.connect(str(path)) as connection:
            connection.execute(statement)
        if "insert" in statement:
            company.run()
    breaks_once(monkeypatch, error, on=b"o2")
    result = rebuild(company)
    assert [(load.status, load.error) for load in result.loads] == [
        ("loaded", None),
        ("refused", f"the file cannot be read: {error}"),
    ]
    assert company.query("select order_id from raw.orders") == [("o1",)]


@pytest.mark.parametrize("error", ERRORS)
def test_an_archived_file_that_duckdb_cannot_read_is_refused_with_its_reason(
    error: Exception, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_loader, "stage_small_files", lambda *_, **__: {})
    breaks_once(monkeypatch, error, on=b"25.00")
    before = company.query("select count(*) from raw.ledger")
    result = rebuild(company)
    assert [load.error for load in result.loads if load.file_name.endswith("3.csv")] == [
        f"the file cannot be read: {error}"
    ]
    assert company.query("select count(*) from raw.ledger") == before
    assert company.query("select order_id from raw.orders order by all") == [("a",), ("b",), ("c",), ("e",)]


def test_a_disk_that_fails_changes_nothing(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(company)
    monkeypatch.setattr(file_loader, "stage_small_files", lambda *_, **__: {})
    breaks_once(monkeypatch, OSError(5, "Input/output error"), on=b"25.00")
    with pytest.raises(CannotRebuild, match=r"3\.csv: cannot be read: Input/output error(?s:.)*--without-missing"):
        rebuild(company)
    assert contents(company) == before
    assert len(rebuild(company, without_missing=True).left_out) == 1
