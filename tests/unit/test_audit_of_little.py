"""Rules of the audit hold for companies of which there is nearly nothing."""

from __future__ import annotations

import duckdb
import pytest

from retention_pipeline.audit.mrr import mrr_rules
from retention_pipeline.audit.orders import order_rules
from retention_pipeline.audit.shapes import Rule
from retention_pipeline.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "business": {"timezone": "UTC", "reporting_currency": "EUR"},
        "sources": {"orders": {"type": "files", "path": "landing/orders/*.csv"}},
    }
)


def broken(rules: list[Rule], name: str, tables: dict[str, str]) -> int:
    """How many cells break the rule in these tables, by name what they are selected from."""
    (rule,) = (rule for rule in rules if rule.name == name)
    with duckdb.connect() as connection:
        for table, rows in tables.items():
            connection.execute(f"create table {table} as {rows}")
        return len(connection.execute(rule.sql).fetchall())


@pytest.mark.parametrize(("currency", "cells"), [("USD", 0), ("EUR", 1)])
def test_the_bridge_is_open_where_dollars_came_and_went_within_a_period(currency: str, cells: int) -> None:
    """They are in no balance: 100 USD came at 0.90 and went at 0.80."""
    month = """select 'month' as grain, date '2023-03-01' as period_start, 'subscription' as basis,
        'all' as segment_dimension, 'all' as segment_value, 'all' as currency, 0 as mrr_start, 90 as mrr_new,
        0 as mrr_reactivation, 0 as mrr_expansion, 0 as mrr_contraction, 80 as mrr_churn, 0 as mrr_end"""
    tables = {"period_mrr": month, "int_mrr_changes": f"select '{currency}' as currency"}
    assert broken(mrr_rules(SETTINGS), "mrr_bridge", tables) == cells


@pytest.mark.parametrize("periods", ["0, 0.00", "null, null"])
def test_a_company_all_of_whose_orders_were_refunded_has_no_orders(periods: str) -> None:
    tables = {
        "period_orders": "select 'month' as grain, 'all' as segment_dimension, orders, order_revenue "
        f"from (values ({periods})) as refunds(orders, order_revenue)",
        "int_purchase_days": "select 1 as orders, 1.00 as revenue, date '2023-03-01' as purchase_date where false",
        "periods": "select date '2023-04-01' as close_date",
    }
    assert broken(order_rules(SETTINGS), "orders_are_those_of_purchase_days", tables) == 0
