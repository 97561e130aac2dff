"""How a model's query becomes the statements that make its table on Spark."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from retention_pipeline.transform.spark.statements import FEW_READS, Model, in_parts, statements_of

# `twice` is read twice by each of three that are read twice: eleven reads of orders in all.
NESTED = """
-- a comment with ( in it
with orders as (
    select * from shop.orders
),

twice as (  /* ) */
    select customer, sum(amount) as amount, ')' as sign from orders group by customer
),

pairs as (
    select a.customer, a.amount + b.amount as amount from twice as a inner join twice as b on a.customer = b.customer
),

fours as (
    with inner_one as (select * from pairs)
    select a.customer, a.amount + b.amount as amount
    from inner_one as a inner join pairs as b on a.customer = b.customer
)

select a.customer, a.amount + b.amount as amount, '__grain__' as grain
from fours as a inner join fours as b on a.customer = b.customer
"""


def model(sql: str, materialized: str = "table", flow_keys: tuple[str, ...] = ()) -> Model:
    return Model("model.retention.sums", "sums", materialized, flow_keys, (), sql)


def rows_of(statements: list[str]) -> list[tuple[object, ...]]:
    """What the statements leave in gen.sums: they are SQL that both engines read, but for the format."""
    with duckdb.connect() as connection:
        connection.execute("create schema shop; create schema gen")
        connection.execute(
            "create table shop.orders as select * from (values (1, 2), (1, 3), (2, 5)) as o(customer, amount)"
        )
        for statement in statements:
            connection.execute(statement.replace("using parquet ", ""))
        return connection.execute("from gen.sums order by all").fetchall()


def test_what_is_named_twice_and_is_work_is_computed_once() -> None:
    tables, _ = in_parts(NESTED, "gen.sums__", {})
    assert [name for name, _ in tables] == ["gen.sums__twice", "gen.sums__pairs", "gen.sums__fours"]
    assert tables[1][1].count("from gen.sums__twice") == 1


def test_a_query_that_reads_few_tables_stays_as_it_is() -> None:
    few = "with a as (select sum(n) as n from t) select * from a union all select * from a"
    assert in_parts(few, "gen.sums__", {}) == ([], few)
    many = few + " union all select * from a" * FEW_READS
    assert [name for name, _ in in_parts(many, "gen.sums__", {})[0]] == ["gen.sums__a"]


@pytest.mark.parametrize("parts", [in_parts, lambda sql, prefix, made: ([], sql)], ids=["in parts", "as a whole"])
def test_the_parts_have_the_rows_of_the_whole(parts: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention_pipeline.transform.spark.statements.in_parts", parts)
    statements = statements_of(model(NESTED), "gen", ["customer", "amount", "grain"], ["week", "month"])
    assert rows_of(statements.making) == [(c, 8 * a, g) for c, a in ((1, 5), (2, 5)) for g in ("month", "week")]


def test_grains_share_what_names_none_of_them() -> None:
    statements = statements_of(model(NESTED), "gen", ["customer", "amount", "grain"], ["week", "month"])
    assert len(statements.making) == 3 + 2
    assert statements.making[-2].startswith("create table gen.sums using parquet as")
    assert statements.making[-1].startswith("insert into gen.sums\n")
    assert statements.dropping == [f"drop table if exists gen.sums__week_{one}" for one in ("twice", "pairs", "fours")]


def test_sums_that_are_all_zero_are_no_rows() -> None:
    sums = "select customer, sum(amount) - 5 as rest from shop.orders where amount <> 3 group by customer"
    statements = statements_of(model(sums, "contributions", ("customer",)), "gen", ["customer", "rest"], ["week"])
    assert rows_of(statements.making) == [(1, -3)]
