"""Customers at as_of: cut-points and overdue buyers against DuckDB's own quantiles on random purchases, dimensions that
bear the name of another column, and the setting `actions`.

Whole companies are in test_companies2.py, small cases beside the models.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

import duckdb
import pytest
from nights.compiled_models import Model, compiled

from retention_pipeline.settings import Settings, SettingsError, parse_settings

AS_OF = date(2024, 5, 17)
MONTH = date(2024, 5, 1)
SOURCES = {name: {"type": "files", "path": f"{name}.csv", "timezone": "UTC"} for name in ("orders", "customers")}
SETTINGS = {
    "business": {"timezone": "UTC", "reporting_currency": "EUR", "activity_window_days": 200},
    "segments": ["country", "mrr"],
    "actions": {"purchase_follow_up": 3},
    "sources": SOURCES,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The models of a shop with orders and customers, as dbt compiles them."""
    folder = tmp_path_factory.mktemp("compiled")
    return {model.name: model for model in compiled(Settings.model_validate(SETTINGS), folder, night=False)}


@pytest.fixture(params=[1, 2, 7, 40])
def shop(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """The facts of so many customers with random purchase days, before and after as_of."""
    random = Random(request.param)
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as next")
    connection.execute("use next")
    connection.execute("create table bought (customer_key bigint, day date, amount decimal(38, 2))")
    for customer in range(1, request.param + 1):
        days = {AS_OF + timedelta(random.randint(-500, 20)) for _ in range(random.choice((1, 1, 2, 3, 8)))}
        rows = [(customer, day, random.choice((5, 5, 19.99, random.randint(1, 500)))) for day in days]
        connection.executemany("insert into bought values (?, ?, ?)", rows)
    connection.execute(
        """
        create table int_customers as
            select distinct customer_key, 'c' || customer_key as customer_id from bought;
        create table int_purchase_days as
            select customer_key, day as purchase_date, 1::bigint as orders, amount as revenue,
                row_number() over per::integer as day_number, lag(day) over per as previous_date,
                lead(day) over per as next_date, sum(amount) over per as revenue_to_date
            from bought window per as (partition by customer_key order by day);
        create table int_active_spans as
            select 'order' as basis, customer_key, purchase_date as start_date, purchase_date + 200 as end_date
            from int_purchase_days;
        create table int_fx_rates (currency varchar, rate_date date, rate decimal(18, 8));
        create table int_profile_spans as
            select 'any' as rule, 'any' as grain, 1 as customer_key, date '0001-01-01' as from_period,
                date '9999-12-31' as to_period, 7 as profile_key;
        create table int_profile_values (profile_key bigint, segment_dimension varchar, segment_value varchar);
        insert into int_profile_values values
            (0, 'country', '(unknown)'), (0, 'mrr', '(unknown)'), (7, 'country', 'NL'), (7, 'mrr', 'high');
        """
    )
    yield connection
    connection.close()


def made(models: dict[str, Model], name: str, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """A model's rows, kept under its name for models that read it."""
    connection.execute(f"create table {name} as {models[name].text(AS_OF, None, -1)}")
    return connection.table(name)


def test_cut_points_are_the_discrete_quantiles(models: dict[str, Model], shop: duckdb.DuckDBPyConnection) -> None:
    buyers = f"""
        select date '{MONTH}' - max(day) as recency_days, count(*) as purchase_days, sum(amount) as net_revenue
        from bought where day < '{MONTH}' group by customer_key
    """
    expected = []
    for measure in ("recency_days", "purchase_days", "net_revenue"):
        for quantile in (0.2, 0.4, 0.6, 0.8):
            value = shop.execute(f"select quantile_disc({measure}, {quantile}) from ({buyers})").fetchall()[0][0]
            expected += [(measure, quantile, float(value))] if value is not None else []
    found = made(models, "rfm_cut_points", shop).fetchall()
    assert sorted((name, float(part), float(value)) for name, part, value in found) == sorted(expected)


def test_who_is_overdue_is_so_by_the_mean_or_by_the_percentile(
    models: dict[str, Model], shop: duckdb.DuckDBPyConnection
) -> None:
    # Where a percentile is a whole number that somebody's days equal, doubles may be a hair off; here none is.
    expected = shop.execute(
        f"""
        with past as (select * from int_purchase_days where purchase_date < '{AS_OF}'),
        usual as (
            select quantile_cont(purchase_date - previous_date, 0.9) as gap from past
            where previous_date is not null and purchase_date >= date '{AS_OF}' - 365
        ),
        buyers as (
            select customer_key, count(*) as days, date '{AS_OF}' - max(purchase_date) as recency,
                avg(purchase_date - previous_date) as mean_gap
            from past group by customer_key
        )
        select customer_id from buyers cross join usual inner join int_customers using (customer_key)
        where recency <= 200 and recency > case when days >= 3 then 2 * mean_gap else gap end order by all
        """
    ).fetchall()
    assert made(models, "at_risk", shop).filter("reasons = 'overdue'").project("customer_id").order(
        "all"
    ).fetchall() == (expected)


def test_a_profile_is_the_same_however_its_facts_lie_and_keeps_columns_of_one_name_apart(
    models: dict[str, Model], shop: duckdb.DuckDBPyConnection
) -> None:
    made(models, "rfm_cut_points", shop)
    profiles = made(models, "customer_profiles", shop)
    assert profiles.columns[-3:] == ["rfm_group", "country", "mrr_segment"]
    assert {row[-2:] for row in profiles.fetchall()} <= {("(unknown)", "(unknown)"), ("NL", "high")}
    before = profiles.order("all").fetchall()
    assert (
        len(before)
        == shop.execute(f"select count(distinct customer_key) from bought where day < '{AS_OF}'").fetchall()[0][0]
    )
    for table in ("int_purchase_days", "int_active_spans", "rfm_cut_points"):
        shop.execute(f"create or replace table {table} as from {table} order by hash({table}::varchar)")
    shop.execute("drop table customer_profiles")
    assert made(models, "customer_profiles", shop).order("all").fetchall() == before


def test_actions_are_those_that_the_setting_names(models: dict[str, Model], shop: duckdb.DuckDBPyConnection) -> None:
    expected = shop.execute(
        f"""
        select customer_id, 'purchase_follow_up', max(day)::varchar, max(day) + 3
        from bought inner join int_customers using (customer_key) where day < '{AS_OF}' group by customer_id
        having max(day) + 3 between date '{AS_OF}' - 7 and '{AS_OF}' order by all
        """
    ).fetchall()
    assert made(models, "customer_actions", shop).order("all").fetchall() == expected


def test_an_action_that_is_none_and_days_that_are_none_are_refused() -> None:
    parse_settings(SETTINGS | {"actions": {}})
    with pytest.raises(SettingsError, match=r"actions\.send_flowers"):
        parse_settings(SETTINGS | {"actions": {"send_flowers": 3}})
    with pytest.raises(SettingsError, match=r"actions\.payment_failed"):
        parse_settings(SETTINGS | {"actions": {"payment_failed": -1}})
