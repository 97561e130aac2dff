"""Unused CTEs are left out of a query, and nothing else."""

import duckdb
import pytest

from retention_pipeline.read.ctes import union_of, without_unused
from retention_pipeline.transform.ctes import split_ctes

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


def test_ctes_that_say_the_same_stand_once_and_others_apart() -> None:
    queries = [
        "with a as (select 1 as x), b as (select x + 1 as x from a) select x from b",
        "with a as (select 1 as x), c as (select x + 2 as x from a) select x from c",
        "with a as (select 10 as x), c as (select x + 2 as x from a) select x from c",
        "select 7 as x",
    ]
    text = union_of([(query, lambda relation: f"select x * 2 as x from ({relation})") for query in queries])
    assert text.count("select 1 as x") == 1
    assert sorted(duckdb.execute(text).fetchall()) == [(4,), (6,), (14,), (24,)]


@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
def test_ctes_are_told_apart_whatever_stands_in_them(dialect: str) -> None:
    ctes, rest = split_ctes(f"-- with ( in it\n{CHAIN}", dialect)
    assert [name for name, _ in ctes] == ["a", "b", "c"]
    assert ctes[0][1].strip().startswith("select 1 as x, ')'")
    assert rest.strip() == "select x from b"
    for whole in (
        "select 1",
        "with recursive a as (select 1) select * from a",
        "with a(x) as (select 1) select x from a",
    ):
        assert split_ctes(whole, dialect) == ((), whole)
    with pytest.raises(ValueError, match="is not closed: select 1"):
        split_ctes("with a as (select 1", dialect)


def test_a_backslash_escapes_on_spark_alone() -> None:
    assert split_ctes(r"with a as (select '\') select 1", "duckdb")[0] == (("a", r"select '\'"),)
    assert split_ctes(r"with a as (select '\')') select 1", "spark")[0] == (("a", r"select '\')'"),)
