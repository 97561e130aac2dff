"""raw.duckdb and a published generation that do not belong together: nothing wrong is published, and it is said why."""

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest
from support import tiny_warehouse as tiny
from support.tiny_runs import LATE, night

from retention_pipeline.publish.provenance import RawLacksLoads
from retention_pipeline.read.published import open_published
from retention_pipeline.run import operations
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile, damage

FEBRUARY = date(2024, 2, 1)


def wrong(home: Home, project: Path) -> list[str]:
    return [one.rule for one in operations.check(home, tiny.settings(), assembly=tiny.assembly(project)).violations]


def test_a_generation_says_which_raw_and_which_loads_it_was_made_from(home: Home, project: Path) -> None:
    night(home, project)
    with duckdb.connect(str(home.current), read_only=True) as connection:
        raw_id, epoch = connection.execute("select raw_id, raw_epoch from pipeline_state").fetchall()[0]
        loads = connection.execute("select load_id, file_name, rows from pipeline_loads").fetchall()
    assert len(raw_id) == 16 and epoch == 1
    assert loads == [(1, "1.csv", 3)]
    assert wrong(home, project) == []


def test_a_copy_of_raw_put_back_is_seen_although_its_load_ids_go_on(home: Home, project: Path) -> None:
    """Load 2 of the copy is not load 2 of the published figures."""
    night(home, project)
    shutil.copy(home.raw_file, home.root / "aside")
    tiny.deliver(home, "2.csv", LATE)
    night(home, project)
    shutil.copy(home.root / "aside", home.raw_file)
    tiny.deliver(home, "3.csv", [("5", "eve", "2024-03-02", 9)])
    before = tiny.figures(home.current)
    assert wrong(home, project) == ["raw_and_published_belong_together"]
    result = night(home, project)
    assert result.mode.name == "full refresh"
    assert result.mode.reason == "raw.duckdb is an earlier copy of the one that g2 was made from"
    assert dict(tiny.figures(home.current))[date(2024, 3, 1)] == dict(before)[date(2024, 3, 1)] + 1
    assert dict(tiny.figures(home.current))[FEBRUARY] == dict(before)[FEBRUARY]
    assert night(home, project).mode.name == "night"


def test_what_raw_no_longer_holds_is_told_and_nothing_published_without_it(home: Home, project: Path) -> None:
    night(home, project)
    shutil.copy(home.raw_file, home.root / "aside")
    tiny.deliver(home, "2.csv", LATE)
    night(home, project)
    before = tiny.figures(home.current)
    shutil.copy(home.root / "aside", home.raw_file)
    (home.root / "landing/2.csv").unlink()
    tiny.deliver(home, "3.csv", [("5", "eve", "2024-03-02", 9)])
    for _ in range(2):
        with pytest.raises(RawLacksLoads) as caught:
            night(home, project)
    said = str(caught.value)
    assert "does not hold 1 load of it:\n  orders: 2.csv, 1 row, loaded " in said
    assert "retention rebuild --home" in said and "retention run --full-refresh" in said
    assert tiny.figures(home.current) == before
    told: list[str] = []
    result = night(home, project, full_refresh=True, progress=told.append)
    assert any("does not hold 1 load of it; the figures are made without:\n  orders: 2.csv" in line for line in told)
    assert result.generation == 3
    assert dict(tiny.figures(home.current))[FEBRUARY] == dict(before)[FEBRUARY] - 1
    assert night(home, project).mode.name == "night"


def test_a_deleted_raw_whose_files_are_all_there_is_a_full_refresh(home: Home, project: Path) -> None:
    night(home, project)
    before = tiny.figures(home.current)
    home.raw_file.unlink()
    result = night(home, project)
    assert result.mode.reason == "raw.duckdb is not the one that g1 was made from"
    assert tiny.figures(home.current) == before


def test_a_deleted_raw_whose_files_are_gone_publishes_nothing(home: Home, project: Path) -> None:
    night(home, project)
    home.raw_file.unlink()
    (home.root / "landing/1.csv").unlink()
    tiny.deliver(home, "2.csv", LATE)
    with pytest.raises(RawLacksLoads, match=r"raw\.duckdb is not the one .* does not hold 1 load"):
        night(home, project)


def test_a_restored_generation_still_belongs_to_raw(home: Home, project: Path) -> None:
    night(home, project)
    tiny.deliver(home, "2.csv", LATE)
    night(home, project)
    operations.restore(home)
    assert night(home, project).mode.reason == "on top of generation 1 as of 2024-04-10"


def test_a_generation_of_before_there_were_identities_is_made_anew_once(home: Home, project: Path) -> None:
    path = night(home, project).path
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        for column in ("raw_id", "raw_epoch", "raw_stamp"):
            connection.execute(f"alter table pipeline_state drop column {column}")
        connection.execute("drop table pipeline_loads")
    assert night(home, project).mode.reason == "g1 does not say which raw.duckdb it was made from"
    assert night(home, project).mode.name == "night"


def test_a_lost_link_costs_nothing_and_the_run_goes_on_from_the_newest(home: Home, project: Path) -> None:
    night(home, project)
    tiny.deliver(home, "2.csv", LATE)
    night(home, project)
    home.current.unlink()
    status = operations.status(home)
    assert "current.duckdb is gone; generations 1, 2 are there" in status.problems[0]
    with pytest.raises(DamagedFile, match="retention restore"):
        operations.check(home, tiny.settings(), assembly=tiny.assembly(project))
    told: list[str] = []
    result = night(home, project, progress=told.append)
    assert "generation 2 is the newest that can be read and is current now" in told[0]
    assert (result.generation, result.mode.reason) == (3, "on top of generation 2 as of 2024-04-10")


def flip_where_only_reading_shows_it(path: Path) -> None:
    """Turn a byte around in a block that opening the file does not read."""
    path.chmod(0o644)
    whole = path.read_bytes()
    for block in range(3 * 4096, len(whole), 256 * 1024):
        content = bytearray(whole)
        content[block + 5000] ^= 0xFF
        path.write_bytes(content)
        try:
            with duckdb.connect(str(path), read_only=True) as connection:
                connection.execute("from duckdb_tables()").fetchall()
        except duckdb.Error:
            continue
        if damage(path) is not None:
            return
    raise AssertionError("no such block")


def test_a_byte_flipped_in_the_published_file_is_named_with_the_command_that_helps(home: Home, project: Path) -> None:
    night(home, project)
    night(home, project)
    flip_where_only_reading_shows_it(home.current.resolve())
    told = r"g2\.duckdb is damaged(?s:.)*generation 1, (?s:.)*retention restore --home"
    with pytest.raises(DamagedFile, match=told):
        operations.check(home, tiny.settings(), assembly=tiny.assembly(project))
    with pytest.raises(DamagedFile, match=r"retention restore --home"), open_published(home) as connection:
        for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall():
            connection.execute(f"from {table}").fetchall()
    assert operations.restore(home).number == 1
    assert night(home, project).generation == 3


def test_a_full_refresh_reads_the_published_file_first_and_goes_on_from_another(home: Home, project: Path) -> None:
    night(home, project)
    night(home, project)
    flip_where_only_reading_shows_it(home.current.resolve())
    told: list[str] = []
    assert night(home, project, full_refresh=True, progress=told.append).generation == 3
    assert "(g2.duckdb) is damaged" in told[0] and "generation 1 is the newest" in told[0]


def test_a_damaged_raw_is_named_with_the_command_that_helps(home: Home, project: Path) -> None:
    night(home, project)
    content = bytearray(home.raw_file.read_bytes())
    for at in range(4096 * 3 + 100, len(content), 64 * 1024):
        content[at] ^= 0xFF
    home.raw_file.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"raw\.duckdb is damaged(?s:.)*retention rebuild --home"):
        night(home, project)
    assert "retention rebuild" in operations.status(home).problems[0]
    with pytest.raises(DamagedFile, match="retention rebuild"):
        operations.check(home, tiny.settings(), assembly=tiny.assembly(project))
