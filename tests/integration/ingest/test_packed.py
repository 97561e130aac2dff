"""Pulls in the archive: packed, without repeating what is unchanged, and whole again when they are read."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.delivering import Company

from retention_pipeline.ingest import packed
from retention_pipeline.ingest.kept_copies import known_as_lost, remove_old_copies
from retention_pipeline.ingest.packed import Unpacked, base_of, copy_in, in_order, pack_pulls, without
from retention_pipeline.ingest.rebuild import CannotRebuild, rebuild_raw
from retention_pipeline.run.copies import look_at_copies
from retention_pipeline.settings import Settings, parse_settings
from retention_pipeline.warehouse import opened_raw

FIRST = datetime(2024, 5, 1, 3)
ROWS, NIGHTS = 4_000, 9


def row(number: int, state: str, dice: random.Random) -> str:
    return f"{number},customer {dice.randrange(10**6)},2024-03-01 12:00:00,{dice.random():.4f},EUR,{state}\n"


def tables(nights: int) -> list[bytes]:
    """A table of some rows, night by night: a few change, some go at the front, some come at the end."""
    dice = random.Random(7)
    rows = [row(number, "paid", dice) for number in range(ROWS)]
    states = []
    for night in range(nights):
        rows[night * 7 + 900] = row(night, "refunded", dice)
        del rows[:3]
        rows += [row(ROWS + night, "paid", dice)]
        states.append("".join(["number,who,at,amount,currency,status\n", *rows]).encode())
    return states


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Segments of 16 kB, so that a small table has many."""
    monkeypatch.setattr(packed, "SEGMENT", 1 << 14)
    monkeypatch.setattr(packed, "MARGIN", 1 << 13)
    (tmp_path / "orders").mkdir()
    return tmp_path / "orders"


def packed_nights(folder: Path, contents: list[bytes]) -> list[str]:
    checksums = list(dict.fromkeys(sha256(content).hexdigest() for content in contents))
    for number, content in enumerate(contents):
        (folder / f"{sha256(content).hexdigest()}.csv").write_bytes(content)
        pack_pulls(folder, checksums[: number + 1], folder.parent / "scratch")
    return checksums


def test_a_copy_repeats_nothing_of_the_one_before_and_is_whole(folder: Path) -> None:
    contents = tables(NIGHTS)
    checksums = packed_nights(folder, contents)
    files = [copy_in(folder, one) for one in checksums]
    assert all(path is not None and packed.is_packed(path) for path in files)
    first, *others = [path.stat().st_size for path in files if path]
    assert max(others) < first / 20
    assert [base_of(path) for path in files if path] == [
        None if number == 0 else checksums[number & (number - 1)] for number in range(NIGHTS)
    ]
    with Unpacked(folder.parent / "scratch") as unpacked:
        for path, content in zip(files, contents, strict=True):
            assert path and unpacked.plain(path).read_bytes() == content
    assert not (folder.parent / "scratch").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a,b\n" * 5_000, bytes(range(256)) * 200], ids=range(5))
def test_whatever_the_bytes_they_come_back(folder: Path, content: bytes) -> None:
    contents = [b"a,b\n1,2\n" * 3_000, content, content + b"x"]
    checksums = packed_nights(folder, contents)
    with Unpacked(folder.parent / "scratch") as unpacked:
        for one, bytes_then in zip(checksums, contents, strict=True):
            path = copy_in(folder, one)
            assert path and unpacked.plain(path).read_bytes() == bytes_then


def test_a_damaged_copy_spoils_those_that_build_on_it_and_no_other(folder: Path) -> None:
    checksums = packed_nights(folder, tables(NIGHTS))
    hit = copy_in(folder, checksums[4])
    assert hit
    content = bytearray(hit.read_bytes())
    content[len(content) // 2] ^= 0x40
    hit.write_bytes(content)
    with Unpacked(folder.parent / "scratch") as unpacked:
        whole = {path.name.split(".")[0] for path in in_order(folder.iterdir()) if unpacked.is_whole(path)}
    assert [number for number, one in enumerate(checksums) if one not in whole] == [4, 5, 6, 7]


def test_those_that_stay_stand_alone_when_the_others_leave(folder: Path) -> None:
    contents = tables(NIGHTS)
    checksums = packed_nights(folder, contents)
    without(folder, set(checksums[:5]), folder.parent / "scratch")
    assert [copy_in(folder, one) is not None for one in checksums] == [False] * 5 + [True] * 4
    with Unpacked(folder.parent / "scratch") as unpacked:
        assert all(unpacked.is_whole(path) for path in folder.iterdir())


# --- in nights ---


class Shop:
    """A company whose orders stand in a DuckDB file that is pulled as a whole."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.home = company.home
        self.file = company.home.root / "shop.duckdb"
        company.sources["orders"] = {"type": "duckdb", "path": "shop.duckdb", "table": "orders", "timezone": "UTC"}
        self.change(
            "create table orders as select i as order_id, 'c' || i % 90 as customer_id,"
            " timestamp '2024-03-01' + to_minutes(i::int) as ordered_at, (hash(i) % 10000 / 100)::decimal(18, 2) as"
            " amount, 'EUR' as currency, 'paid' as status from range(2000) as r(i)"
        )

    def change(self, *statements: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            for one in statements:
                connection.execute(one)

    def night(self, number: int, *statements: str) -> Any:
        self.change(*statements)
        return self.company.run(now=FIRST + timedelta(days=number)).loads

    def settings(self, **more: Any) -> Settings:
        return parse_settings({"business": self.company.business, "sources": self.company.sources, **more})

    def copies(self) -> list[Path]:
        return sorted((self.home.archive / "orders").iterdir())

    def raw(self) -> dict[str, list[tuple[Any, ...]]]:
        with opened_raw(self.home) as connection:
            return {
                table: connection.execute(f"select * from raw.{table} order by all").fetchall()
                for table in ("orders", "orders_history", "customer_keys", "quarantine")
            }


@pytest.fixture
def shop(company: Company) -> Shop:
    """Six nights: changes, a row that comes, the state before once more, a night without any change."""
    shop = Shop(company)
    shop.night(0)
    shop.night(1, "update orders set amount = 1 where order_id = 7")
    shop.night(2, "insert into orders values (5000, 'new', timestamp '2024-05-02', 5, 'EUR', 'paid')")
    shop.night(3, "update orders set amount = 2 where order_id = 7")
    shop.night(4, "update orders set amount = 1 where order_id = 7")
    shop.night(5)
    return shop


def test_nights_leave_packed_pulls_from_which_raw_is_rebuilt_exactly(shop: Shop) -> None:
    assert len(shop.copies()) == 4 and all(packed.is_packed(path) for path in shop.copies())
    assert sum(path.stat().st_size for path in shop.copies()) < 1.2 * max(path.stat().st_size for path in shop.copies())
    before = shop.raw()
    assert look_at_copies(shop.home).damaged == {} and look_at_copies(shop.home).missing == {}
    assert rebuild_raw(shop.home, shop.settings()).left_out == []
    assert shop.raw() == before
    assert len(shop.copies()) == 4
    assert not [path for path in shop.home.warehouse.iterdir() if "scratch" in path.name or "unpacked" in path.name]


def test_copies_that_an_earlier_version_or_a_killed_run_left_are_packed_by_the_next(shop: Shop) -> None:
    with Unpacked(shop.home.warehouse / "scratch") as unpacked:
        plain = {path: unpacked.plain(path).read_bytes() for path in shop.copies()}
    for path, content in plain.items():
        path.unlink()
        path.with_name(f"{path.name.split('.')[0]}.csv").write_bytes(content)
    before = shop.raw()
    shop.night(6)
    assert len(shop.copies()) == 4 and all(packed.is_packed(path) for path in shop.copies())
    rebuild_raw(shop.home, shop.settings())
    assert shop.raw() == before


def test_a_pull_that_was_not_loaded_leaves_no_copy(shop: Shop) -> None:
    shop.company.sources["orders"]["deletes"] = "compare_keys"
    [load] = shop.night(6, "delete from orders where order_id < 1000")
    assert load.status == "failed" and "max_delete" in load.error
    assert len(shop.copies()) == 4


def test_copies_older_than_the_setting_leave_and_the_others_stay_whole(shop: Shop) -> None:
    settings = shop.settings(keep={"archive": "3d"})
    assert remove_old_copies(shop.home, shop.settings(), FIRST + timedelta(days=900)) == 0
    assert remove_old_copies(shop.home, settings, FIRST + timedelta(days=5)) == 2  # the third came again, on night 4
    assert remove_old_copies(shop.home, settings, FIRST + timedelta(days=5)) == 0
    found = look_at_copies(shop.home)
    assert (len(found.files), found.damaged, found.missing) == (2, {}, {})
    assert len(known_as_lost(shop.home)) == 2
    with pytest.raises(CannotRebuild):
        rebuild_raw(shop.home, settings)
    before = shop.raw()["orders"]
    rebuild_raw(shop.home, settings, without_missing=True)
    assert [line[:5] for line in shop.raw()["orders"]] == [line[:5] for line in before]
