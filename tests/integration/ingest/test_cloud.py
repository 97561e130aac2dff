"""Objects of an S3-compatible store as files: listed, fetched once per change, loaded as files are."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.cli.check import check_sources
from retention_pipeline.ingest import cloud
from retention_pipeline.ingest.landing import names_of
from retention_pipeline.settings import SettingsError, parse_settings

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")
SECRET = "hunter2-is-secret"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bucket `shop` of a store that nobody else uses, by a file system of its own."""
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    system.mkdir("shop")
    yield system
    system.rm("shop", recursive=True)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects that are fetched, in order."""
    names: list[str] = []
    fetch = cloud.Store.fetch

    def noted(store: cloud.Store, entry: Any, *given: Any) -> Any:
        names.append(entry.name)
        return fetch(store, entry, *given)

    monkeypatch.setattr(cloud.Store, "fetch", noted)
    monkeypatch.setattr("retention_pipeline.ingest.ledger.RACY_SECONDS", -10.0)
    return names


def put(bucket: Any, name: str, *rows: str) -> None:
    bucket.pipe_file(f"shop/{name}", orders_csv(*rows))


def checked(company: Company) -> list[tuple[str, bool, str]]:
    return check_sources(company.home, parse_settings({"business": company.business, "sources": company.sources}))


def test_an_object_is_fetched_once_per_change(company: Company, bucket: Any, fetched: list[str]) -> None:
    company.source("orders", path="s3://shop/in/*.csv")
    put(bucket, "in/export_10.csv", order("b"))
    put(bucket, "in/export_9.csv", order("a"))
    put(bucket, "in/_hidden.csv", order("x"))
    put(bucket, "in/other.txt", order("x"))
    loads = company.run().loads
    assert [(load.file_name, load.status, load.new) for load in loads] == [
        ("s3://shop/in/export_9.csv", "loaded", 1), ("s3://shop/in/export_10.csv", "loaded", 1),
    ]  # fmt: skip
    assert len(list((company.home.archive / "orders").iterdir())) == 2
    assert fetched == ["s3://shop/in/export_9.csv", "s3://shop/in/export_10.csv"]
    fetched.clear()
    assert [load.status for load in company.run().loads] == ["already_loaded"] * 2
    assert fetched == []
    put(bucket, "in/export_9.csv", order("a"), order("c"))
    assert sorted(load.status for load in company.run().loads) == ["already_loaded", "loaded"]
    assert fetched == ["s3://shop/in/export_9.csv"]
    assert company.query("select count(*) from raw.orders") == [(3,)]
    assert list(company.home.warehouse.rglob("fetched/*")) == []
    company.assert_balanced()


def test_changed_settings_read_from_the_archive(company: Company, bucket: Any, fetched: list[str]) -> None:
    company.source("orders", path="s3://shop/in/*")
    bucket.pipe_file("shop/in/a.csv", orders_csv(order("a")))
    company.run()
    fetched.clear()
    company.source("orders", path="s3://shop/in/*", columns={"channel": {"constant": "web"}})
    assert company.run().loads[0].load_id == 2
    assert company.query("select channel from raw.orders") == [("web",)]
    assert fetched == []


def test_a_file_can_be_loaded_again_by_its_address(company: Company, bucket: Any) -> None:
    company.source("orders", path="s3://shop/in/*")
    put(bucket, "in/a.csv", order("a"))
    company.run()
    settings = parse_settings({"business": company.business, "sources": company.sources})
    assert names_of(company.home, settings, ["s3://shop/in/a.csv"]) == ["s3://shop/in/a.csv"]


def test_check_reads_the_newest_object_and_keeps_nothing(company: Company, bucket: Any) -> None:
    company.source("orders", path="s3://shop/in/*.csv")
    put(bucket, "in/a.csv", order("a"))
    [(_, is_good, text)] = checked(company)
    assert is_good and "1 file, the newest is s3://shop/in/a.csv" in text and "order_id a, customer_id anna" in text
    assert not company.home.raw_file.exists() and not company.home.archive.exists()
    company.source("orders", path="s3://shop/none/*.csv")
    [(_, is_good, text)] = checked(company)
    assert not is_good and text.startswith("no file matches s3://shop/none/*.csv")


def test_a_store_that_does_not_answer_fails_the_source_and_the_others_load(
    company: Company, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:1/{SECRET}")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    # Each further attempt waits longer.
    monkeypatch.setitem(cloud._OPTIONS["s3"]["config_kwargs"], "retries", {"max_attempts": 1})
    company.source("orders", path="s3://shop/in/*.csv")
    company.deliver("fx_rates", "a.csv", b"date,currency,rate_to_reporting\n2024-01-01,USD,1.1\n")
    failed, loaded = company.run().loads
    assert (failed.status, failed.file_name, loaded.status) == ("failed", "s3://shop/in/*.csv", "loaded")
    assert "cannot be listed: Could not connect to the endpoint URL" in (failed.error or "")
    assert SECRET not in (failed.error or "")
    [(_, is_good, text), _] = checked(company)
    assert not is_good and "cannot be listed" in text and SECRET not in text


def test_a_store_that_falls_silent_is_not_waited_for(
    company: Company, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        company.source("orders", path="s3://shop/in/*.csv", max_read_time="1m")
        monkeypatch.setattr(cloud, "time", SimpleNamespace(monotonic=_hurrying(time.monotonic, 59.0)))
        began = time.monotonic()
        [load] = company.run().loads
        assert time.monotonic() - began < cloud.SILENT_SECONDS
    assert load.status == "failed"
    assert "not everything had come after 1 minutes (max_read_time)" in (load.error or "")


def _hurrying(clock: Callable[[], float], by: float) -> Callable[[], float]:
    """A clock that is ahead by so many seconds from its second reading on."""
    readings = [0]

    def ahead() -> float:
        readings[0] += 1
        return clock() + (by if readings[0] > 1 else 0)

    return ahead


def test_an_object_that_changes_while_it_is_fetched_is_left_for_the_next_run(
    company: Company, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.source("orders", path="s3://shop/in/*.csv")
    put(bucket, "in/a.csv", order("a"))
    listed = cloud.Store.listed

    def and_then_it_changes(store: cloud.Store, pattern: str) -> list[cloud.Stored]:
        found = listed(store, pattern)
        put(bucket, "in/a.csv", order("b"))
        return found

    monkeypatch.setattr(cloud.Store, "listed", and_then_it_changes)
    assert company.run().loads == []
    monkeypatch.setattr(cloud.Store, "listed", listed)
    assert company.run().loads[0].new == 1


def test_a_store_whose_package_is_missing_names_it(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    company.source("orders", path="gs://shop/in/*.csv")
    [load] = company.run().loads
    assert load.error == (
        "cannot be listed: gs:// needs the Python package gcsfs: pip install 'retention-pipeline[cloud]'"
    )


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("s3://AKIA:hunter2@shop/in/*.csv", "credentials come from environment variables, never from a path"),
        ("https://shop.example/hunter2.csv", "a path is one of files, or begins with s3://, gs://, az://"),
    ],
)
def test_paths_that_cannot_be_are_refused_without_being_repeated(path: str, problem: str) -> None:
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
    with pytest.raises(SettingsError, match=problem) as caught:
        parse_settings({"business": business, "sources": {"orders": {"type": "files", "path": path}}})
    assert "hunter2" not in str(caught.value)


def test_signed_addresses_and_secrets_of_the_environment_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=abcdef")
    said = cloud._said(Exception("bad AccountKey=abcdef at https://x.blob/y?sv=1&sig=s3cr3t now\nmore"))
    assert said == "bad … at https://x.blob/y now"
