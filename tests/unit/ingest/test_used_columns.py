"""Which columns a query may read: more rather than fewer, for what is not kept cannot be asked for."""

from __future__ import annotations

import duckdb
import pytest

from retention_pipeline.ingest.used_columns import used_columns


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('select max("Name") filter (where r.Paid > 1), count(*) from rows as r group by all', {"name", "r", "paid"}),
        ("with p as (select a from rows) select p.a from p join rows using (id) order by b", {"p", "a", "id", "b"}),
        ("select list_transform(a, lambda n: n + b) from rows qualify row_number() over (order by c) = 1",
         {"a", "n", "b", "c"}),
        ("select a from rows union all by name select b from rows", {"a", "b"}),
        ("select * from rows", None),
        ("select columns('a.*') from rows", None),
        ("select #1 from rows", None),
        ("select r from rows as r", None),
        ("select unnest(rows) from rows", None),
        ("select x from rows natural join people", None),
        ("select x from rows as r (x, y)", None),
        ("pivot rows on a using sum(b)", None),
        ("select name from (unpivot rows on a into name n value v)", None),
        ("select x from (describe rows)", None),
    ],
)  # fmt: skip
def test_the_columns_that_a_query_may_read(query: str, names: set[str] | None) -> None:
    with duckdb.connect() as connection:
        assert used_columns(connection, query) == names
