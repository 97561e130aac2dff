"""A kill while a database file is created: the file is there as a whole or not at all, for half of one never opens."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retention_pipeline.ingest import open_raw
from retention_pipeline.warehouse import create_database, opened


class Killed(BaseException):
    """The process ends here."""


def make_raw(path: Path) -> None:
    open_raw(path).close()


@pytest.mark.parametrize("make", [make_raw, create_database])
def test_a_file_whose_making_was_cut_short_is_not_there_and_is_made_anew(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made.duckdb"

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            make(path)
    assert not path.exists()
    (left,) = tmp_path.glob("made.duckdb*")
    os.truncate(left, 5000)  # as it is when the kill comes between two writes
    make(path)
    with opened(path, read_only=True) as connection:
        connection.execute("select count(*) from duckdb_tables()")
    assert [file.name for file in tmp_path.glob("made*")] == ["made.duckdb"]
