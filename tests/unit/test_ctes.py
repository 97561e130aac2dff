"""Unused CTEs are left out of a query, and nothing else."""

import duckdb
import pytest

from retention_pipeline.read.ctes import without_unused

CHAIN = """
with a as (
    select 1 as x, ')' as bracket /* ( */
), -- and (
b as (select x + 1 as x from (select x from a)),
c as (select 5 as y)
select x from b"""


def test_what_is_read_through_others_stays_and_the_rest_goes() -> None:
    text = without_unused(CHAIN.replace("-- and (", ""))
    assert "5 as y" not in text and "')'" in text
    assert duckdb.execute(text).fetchall() == [(2,)]


@pytest.mark.parametrize("query", ["select 1", "with recursive t as (select 1) select * from t", CHAIN])
def test_a_query_of_another_form_means_the_same(query: str) -> None:
    assert duckdb.execute(without_unused(query)).fetchall() == duckdb.execute(query).fetchall()
