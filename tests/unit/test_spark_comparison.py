"""What compares Spark's tables with DuckDB's sees a row too many, too few or another, and a column."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from support.spark_home import differing_rows

ROWS = "select * from (values (1, 0.5::double, 'a'), (2, null, 'b'), (2, null, 'b')) as rows(n, rate, name)"


@pytest.mark.parametrize(
    ("query", "is_equal"),
    [
        (f"from ({ROWS}) order by n desc", True),
        (f"select n, rate + 1e-13 as rate, name from ({ROWS})", True),
        (f"select n, rate + 1e-6 as rate, name from ({ROWS})", False),
        (f"select distinct * from ({ROWS})", False),
        (f"from ({ROWS}) union all from ({ROWS}) where n = 1", False),
        (f"select n, rate, upper(name) as name from ({ROWS})", False),
        (f"select n, rate from ({ROWS})", False),
    ],
)
def test_a_difference_is_seen(query: str, is_equal: bool, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.duckdb" for name in ("ours", "theirs")}
    for file, rows in zip(files.values(), (ROWS, query), strict=True):
        with duckdb.connect(str(file)) as connection:
            connection.execute(f"create table sums as {rows}")
    assert (differing_rows(files["ours"], files["theirs"], ["sums"]) == {}) is is_equal
