"""raw.duckdb: every dataset has its tables, whatever is connected, and one run writes at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest import IngestError, open_raw


def test_every_dataset_has_its_tables_from_the_first_run(company: Company) -> None:
    result = company.run()
    assert (result.loads, result.max_load_id) == ([], 0)
    tables = {
        table: columns
        for table, columns in company.query(
            """
            select table_name, list(column_name || ' ' || lower(data_type) order by ordinal_position)
            from duckdb_columns where schema_name = 'raw' group by all
            """.replace("duckdb_columns", "duckdb_columns()").replace("ordinal_position", "column_index")
        )
    }
    for contract in CONTRACTS.values():
        assert tables[contract.dataset] == [f"{name} {kind}" for name, kind in contract.raw_columns]
        history = [f"{name} {kind}" for name, kind in contract.history_columns]
        assert tables[f"{contract.dataset}_history"] == history
    assert {"customer_keys", "ledger", "deliveries", "quarantine", "watermarks"} < tables.keys()


@pytest.mark.parametrize(
    "says", ["drop table raw.layout", "update raw.layout set layout = 'that of an earlier version'"]
)
def test_a_file_of_an_earlier_version_gets_the_tables_and_columns_that_it_lacks(company: Company, says: str) -> None:
    company.load("orders", orders_csv(order("a")))
    with open_raw(company.home.raw_file) as connection:
        connection.execute("drop table raw.tickets; alter table raw.orders drop column channel")
        connection.execute(says)
    assert company.load("orders", orders_csv(order("a"), order("b")), "b.csv").new == 1
    assert company.query("select order_id, channel from raw.orders order by all") == [("a", None), ("b", None)]
    assert company.query("select count(*) from raw.tickets") == [(0,)]


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_a_contract_is_sound(contract) -> None:  # type: ignore[no-untyped-def]
    assert contract.grain.startswith("One row per ")
    assert len(set(contract.names)) == len(contract.names)
    assert set(contract.key) <= set(contract.names)
    assert set(contract.customer_columns) <= set(contract.names)
    assert ("customer_id" in contract.names) == ("customer_id" in contract.customer_columns)
    assert all(bool(column.accept) == (column.kind == "enum") for column in contract.columns)
    assert not any(column.required and column.default for column in contract.columns)


def test_a_second_writer_is_told_who_is_first(company: Company) -> None:
    company.load("orders", orders_csv(order("a")))
    program = f"""
import sys
from pathlib import Path
from retention_pipeline.ingest import open_raw
connection = open_raw(Path({str(company.home.raw_file)!r}))
print("open", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(IngestError, match=f"is in use by process {holder.pid}; only one run at a time"):
        company.run()
    holder.communicate(b"")
    assert company.run().max_load_id == 1


def test_a_file_that_is_no_database_is_one_clear_line(company: Company) -> None:
    company.home.warehouse.mkdir()
    company.home.raw_file.write_bytes(b"no database" * 1000)
    with pytest.raises(IngestError, match="cannot be opened"):
        open_raw(company.home.raw_file)


def test_progress_names_each_file_that_is_loaded(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a")))
    said: list[str] = []
    company.run(progress=said.append)
    company.run(progress=said.append)
    assert said == ["landing/orders/a.csv: loading"]


def test_a_source_without_files_says_so(company: Company) -> None:
    company.source("orders", path=["landing/orders/*.csv", "landing/old/*.csv"])
    said: list[str] = []
    assert company.run(progress=said.append).loads == []
    assert said == ["orders: no files at landing/orders/*.csv, landing/old/*.csv"]


def test_a_run_can_be_limited_to_datasets(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a")))
    company.deliver("fx_rates", "a.csv", b"date,currency,rate_to_reporting\n2024-01-01,USD,1.1\n")
    assert [load.dataset for load in company.run(datasets=["fx_rates"]).loads] == ["fx_rates"]


DATASETS = {
    "payments": "payment_id,invoice_id,customer_id,attempted_at,status\np1,i1,anna,2024-03-01,failed\n",
    "surveys": "response_id,customer_id,responded_at,kind,score,scale_max\nr1,anna,2024-03-01,nps,9,10\n",
    "emails": "message_id,customer_id,event,occurred_at,is_machine\nm1,anna,opened,2024-03-01T10:00:00Z,yes\n",
    "tickets": "ticket_id,customer_id,opened_at,resolved_at\nt1,anna,2024-03-01T10:00:00Z,2024-03-02T10:00:00Z\n",
    "memberships": "customer_id,program,joined_at,left_at\nanna,gold,2024-03-01,\n",
    "kpi_targets": "kpi,grain,start_on,due_on,target\nnps,month,2024-01-01,2024-12-31,60\n",
    "kpi_benchmarks": "kpi,grain,industry,value,source,year\nnps,month,retail,41.5,a study,2023\n",
    "acquisition_costs": "month,amount,currency,acquisition_channel\n2024-03-01,1000,EUR,ads\n",
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_further_dataset_loads(company: Company, dataset: str) -> None:
    load = company.load(dataset, DATASETS[dataset].encode())
    assert (load.status, load.new, load.bad) == ("loaded", 1, 0)
    again = company.load(dataset, DATASETS[dataset].replace("\n", "\r\n").encode(), "again.csv")
    assert again.unchanged == 1


@pytest.mark.parametrize(
    ("dataset", "row", "reason"),
    [
        ("surveys", "r1,anna,2024-03-01,nps,11,10", "score is outside the scale"),
        ("surveys", "r1,anna,2024-03-01,nps,4,5", "scale_max of an nps answer is not 10"),
        ("surveys", "r1,anna,2024-03-01,nps,7.5,10", "score: '7.5' is not a whole number"),
        ("tickets", "t1,anna,2024-03-02T10:00:00Z,2024-03-01T10:00:00Z", "resolved_at is before opened_at"),
        ("kpi_targets", "nps,month,2024-12-31,2024-01-01,60", "due_on is not after start_on"),
        ("acquisition_costs", "2024-03-02,1000,EUR,ads", "month is not the first day of a month"),
    ],
)
def test_rules_of_the_further_datasets(company: Company, dataset: str, row: str, reason: str) -> None:
    header = DATASETS[dataset].split("\n")[0]
    company.load(dataset, f"{header}\n{row}\n".encode())
    assert company.reasons() == [(2, reason)]
