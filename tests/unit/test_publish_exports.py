"""The Parquet copies of published tables (publish/exports.py)."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from retention_pipeline.publish import exports
from retention_pipeline.settings import Home

TABLE = """
create table periods as
select {few} as few, {many} as many, case when n % 3 <> 0 then 'it''s' end as empty_or_not, n as number
from range(300) as numbers(n)
"""


@pytest.mark.parametrize("rows", [1, 1_000_000], ids=["many rows", "few rows"])
def test_a_copy_has_the_rows_and_types_of_its_table_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(exports, "MANY_ROWS", rows)
    home = Home(tmp_path)
    home.published.mkdir()
    with duckdb.connect(str(home.current)) as connection:
        connection.execute(TABLE.format(few="['', 'week', 'a, \"b\"'][1 + n % 3]", many="'text ' || n"))
    files, problems = exports.export_tables(home)
    assert (files, problems) == ([exports.export_folder(home) / "periods.parquet"], [])
    with duckdb.connect(str(home.current), read_only=True) as connection:
        copied = f"'{files[0]}'"
        for one, other in [("periods", copied), (copied, "periods")]:
            assert connection.execute(f"from {one} except all from {other}").fetchall() == []
        assert (
            connection.execute(f"describe from {copied}").fetchall()
            == connection.execute("describe periods").fetchall()
        )
