"""A link that is lost and files that are damaged cost no generation, and what is said names the way out."""

import os
import shutil
from pathlib import Path

import duckdb
import pytest

from retention_pipeline.publish import generations
from retention_pipeline.publish.recovery import NoSuchGeneration, recover, restore
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile, damage

ROWS = 300_000


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of three generations, each of several blocks."""
    home = Home(tmp_path_factory.mktemp("three"))
    for number in (1, 2, 3):
        generations.begin(home, full_refresh=True)
        with duckdb.connect(str(home.next_file)) as connection:
            connection.execute(f"create table t as select i + {number} as x, hash(i) as h from range({ROWS}) as r(i)")
        generations.publish(home, number, keep=3)
    return home.root


@pytest.fixture
def home(three: Path, tmp_path: Path) -> Home:
    shutil.copytree(three, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def file_of(home: Home, number: int) -> Path:
    """A generation's file, made writable."""
    path = home.published / f"g{number}.duckdb"
    path.chmod(0o644)
    return path


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def flip(path: Path, share: float) -> None:
    """Turn one byte around."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 0xFF
    path.write_bytes(content)


def kept(home: Home) -> list[tuple[int, bool]]:
    return [(one.number, one.is_current) for one in generations.generations(home)]


def test_without_a_link_no_generation_is_swept(home: Home) -> None:
    home.current.unlink()
    generations.sweep(home)
    assert kept(home) == [(1, False), (2, False), (3, False)]


def test_a_copied_file_in_place_of_the_link_does_not_make_orphans_of_generations(home: Home) -> None:
    home.current.unlink()
    shutil.copy(file_of(home, 2), home.current)
    generations.sweep(home)
    assert [number for number, _ in kept(home)] == [1, 2, 3]


@pytest.mark.parametrize("how", ["lost", "dangling"])
def test_a_lost_link_is_set_to_the_newest_generation_and_it_is_said(home: Home, how: str) -> None:
    home.current.unlink()
    if how == "dangling":
        home.current.symlink_to("g9.duckdb")
    told = recover(home)
    assert told is not None and "generation 3 is the newest that can be read and is current now" in told
    assert ("points to g9.duckdb, which is gone" if how == "dangling" else "current.duckdb is gone") in told
    assert kept(home) == [(1, False), (2, False), (3, True)]
    assert recover(home) is None


def test_a_damaged_generation_is_passed_over(home: Home) -> None:
    home.current.unlink()
    flip(file_of(home, 3), 0.5)
    told = recover(home)
    assert told is not None and "generation 2 is the newest that can be read" in told
    assert (2, True) in kept(home)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.99])
def test_a_current_generation_that_was_cut_off_gives_way_to_the_one_before(home: Home, share: float) -> None:
    cut(file_of(home, 3), share)
    told = recover(home, thorough=True)
    assert told is not None and "(g3.duckdb) is damaged" in told and "generation 2" in told


def test_where_no_generation_can_be_read_all_is_computed_anew_and_nothing_is_deleted(home: Home) -> None:
    for number in (1, 2, 3):
        cut(file_of(home, number), 0.0001)
    told = recover(home)
    assert told is not None and "all figures are computed anew from raw" in told
    assert not home.current.exists()
    assert generations.next_number(home) == 4
    assert [number for number, _ in kept(home)] == [1, 2, 3]


def test_before_the_first_generation_there_is_nothing_to_recover(tmp_path: Path) -> None:
    assert recover(Home(tmp_path)) is None


def test_restore_finds_the_newest_readable_generation_where_the_link_is_lost(home: Home) -> None:
    home.current.unlink()
    flip(file_of(home, 3), 0.5)
    assert restore(home).number == 2
    generations.sweep(home)
    assert kept(home) == [(1, False), (2, True), (3, False)]
    assert generations.next_number(home) == 4


def test_restore_passes_over_a_damaged_generation_and_refuses_one_that_is_named(home: Home) -> None:
    flip(file_of(home, 2), 0.5)
    with pytest.raises(DamagedFile, match=r"g2\.duckdb is damaged .*name another generation"):
        restore(home, 2)
    assert (3, True) in kept(home)
    assert restore(home).number == 1


def test_restore_where_nothing_can_be_read_says_how_to_go_on(home: Home) -> None:
    for number in (1, 2, 3):
        cut(file_of(home, number), 0.0001)
    with pytest.raises(NoSuchGeneration, match=r"computed anew from raw \(retention run"):
        restore(home)


@pytest.mark.parametrize("share", [0.0005, 0.001, 0.3, 0.5, 0.8])
def test_a_flipped_byte_is_seen_wherever_it_is(home: Home, share: float) -> None:
    path = file_of(home, 3)
    assert damage(path) is None
    flip(path, share)
    assert "orrupt" in (damage(path) or "")
