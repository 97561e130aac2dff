"""Objects at `gs://` and `az://`, in a store in memory that describes them as gcsfs and adlfs do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from support.delivering import Company, order, orders_csv

DESCRIBED: dict[str, dict[str, Any]] = {
    "gs": {"generation": "1795904366823389003", "updated": "2026-11-28T22:19:26.823395Z"},
    "az": {"etag": "0x8DE2E4", "last_modified": datetime(2026, 11, 28, 22, 19, tzinfo=UTC)},
}


class StoreInMemory(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The objects of one scheme; what is written anew is another generation."""

    store: ClassVar[dict[str, Any]] = {}
    written: ClassVar[dict[str, int]] = {}
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__()
        type(self).options = options

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        stripped: str = super()._strip_protocol(str(path).removeprefix(f"{cls.protocol}://"))
        return stripped

    def info(self, path: str, **named: Any) -> dict[str, Any]:
        return self._described(super().info(path, **named))

    def glob(self, path: str, maxdepth: int | None = None, **named: Any) -> dict[str, Any]:
        found = super().glob(path, maxdepth, detail=True)
        return {name.lstrip("/"): self.info(name) for name in found}

    def _described(self, about: dict[str, Any]) -> dict[str, Any]:
        if about["type"] != "file":
            return about
        name = about["name"].lstrip("/")
        marks = DESCRIBED[str(self.protocol)]
        version = {next(iter(marks)): f"{next(iter(marks.values()))}-{self.written.get(name, 0)}"}
        return {"name": name, "size": about["size"], "type": "file"} | marks | version


@pytest.fixture(params=["gs", "az"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreInMemory]:
    own: dict[str, Any] = {"protocol": request.param, "store": {}, "pseudo_dirs": [""], "written": {}}
    kind = type("StoreInMemory", (StoreInMemory,), own)
    fsspec.register_implementation(request.param, kind, clobber=True)
    monkeypatch.setattr("retention_pipeline.ingest.ledger.RACY_SECONDS", -10.0)
    yield kind()
    _registry.pop(request.param)


def put(store: StoreInMemory, name: str, *rows: str) -> None:
    store.pipe_file(name, orders_csv(*rows))
    store.written[name] = store.written.get(name, 0) + 1


def test_objects_of_other_clouds_load_once_per_change(company: Company, store: StoreInMemory) -> None:
    scheme = str(store.protocol)
    put(store, "shop/in/export_10.csv", order("b"))
    put(store, "shop/in/export_9.csv", order("a"))
    put(store, "shop/in/other.txt", order("x"))
    company.source("orders", path=f"{scheme}://shop/in/*.csv")
    assert [(load.file_name, load.status, load.new) for load in company.run().loads] == [
        (f"{scheme}://shop/in/export_9.csv", "loaded", 1),
        (f"{scheme}://shop/in/export_10.csv", "loaded", 1),
    ]
    assert [load.status for load in company.run().loads] == ["already_loaded"] * 2
    put(store, "shop/in/export_9.csv", order("a"), order("c"))
    assert sorted((load.status, load.new) for load in company.run().loads) == [("already_loaded", 0), ("loaded", 1)]
    assert company.query("select order_id from raw.orders order by all") == [("a",), ("b",), ("c",)]
    waits = {name for name in store.options if "timeout" in name}
    assert waits == {"gs": {"requests_timeout"}, "az": {"connection_timeout", "read_timeout"}}[scheme]
    company.assert_balanced()
