"""Which rules hold of figures that are written down here."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from retention_pipeline.alerts.conditions import holding, rule_problems
from retention_pipeline.alerts.incidents import Finding
from retention_pipeline.settings import parse_settings

CHURN = ("customer_churn_rate", "month", "subscription")


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """Churn of February and March 2024, complete, and of an open April; for everyone and for two plans."""
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table kpi_definitions as
            select 'customer_churn_rate' as kpi, 'Customer churn' as label, 'percent' as format,
                'order, subscription, any' as bases;
            create table periods as
            select 'month' as grain, start::date as period_start, (start::date + interval 1 month)::date as period_end,
                start < '2024-04-01' as is_complete
            from (values ('2024-02-01'), ('2024-03-01'), ('2024-04-01')) as months(start);
            create table retention_kpis as
            select 'customer_churn_rate' as kpi, grain, period_start, period_end, 'subscription' as basis,
                dimension as segment_dimension, segment as segment_value, value::double as value,
                value::double - 0.01 as ci_low, value::double + 0.01 as ci_high, is_complete
            from periods, (values
                ('all', 'all', '2024-02-01', 0.04), ('all', 'all', '2024-03-01', 0.06),
                ('all', 'all', '2024-04-01', 0.9),
                ('plan', 'pro', '2024-02-01', 0.02), ('plan', 'pro', '2024-03-01', 0.02),
                ('plan', 'team', '2024-03-01', 0.3)
            ) as figures(dimension, segment, start, value)
            where period_start = start::date
            """
        )
        yield connection


def found(connection: duckdb.DuckDBPyConnection, **when: Any) -> list[Finding]:
    when = {"kpi": "customer_churn_rate", "basis": "subscription"} | when
    return holding(connection, rules(when), [], "EUR", as_of=date(2024, 4, 10), new_actions={})


def rules(*conditions: dict[str, Any]) -> list[Any]:
    listed = [
        {"name": f"r{number}", "when": when, "then": [{"export": "at_risk", "to": "out.csv"}]}
        for number, when in enumerate(conditions)
    ]
    settings = parse_settings(
        {"business": {"timezone": "UTC", "reporting_currency": "EUR"}, "alerts": {"rules": listed}}
    )
    return settings.alerts.rules


def test_a_threshold_is_compared_with_the_last_complete_period(warehouse: duckdb.DuckDBPyConnection) -> None:
    [one] = found(warehouse, above=0.05)
    assert (one.period_start, one.value, one.threshold) == (date(2024, 3, 1), 0.06, 0.05)
    assert one.message == "Customer churn, subscribers, of Mar 2024 is 6.0 %: above 5.0 %"
    assert found(warehouse, above=0.06) == [] and found(warehouse, below=0.06) == []
    assert [one.value for one in found(warehouse, below=0.07)] == [0.06]


def test_each_value_of_a_dimension_is_a_subject_of_its_own(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert [one.segment_value for one in found(warehouse, segment={"plan": "*"}, above=0.01)] == ["pro", "team"]
    [pro] = found(warehouse, segment={"plan": "pro"}, above=0.01)
    assert pro.message == "Customer churn, subscribers, of Mar 2024, plan pro is 2.0 %: above 1.0 %"
    assert found(warehouse, segment={"plan": "none"}, above=0.01) == []


def test_a_change_is_a_share_of_the_period_before(warehouse: duckdb.DuckDBPyConnection) -> None:
    [one] = found(warehouse, changed_by=0.49)
    assert one.message == "Customer churn, subscribers, of Mar 2024 is 6.0 %: it was 4.0 % the period before"
    assert found(warehouse, changed_by=0.51) == []
    # Without a period before, and without a change, there is none.
    assert found(warehouse, segment={"plan": "*"}, changed_by=0.01) == []


def test_outside_the_interval_of_the_period_before(warehouse: duckdb.DuckDBPyConnection) -> None:
    [one] = found(warehouse, outside_interval=True)
    assert "outside 3.0 % to 5.0 %" in one.message
    assert found(warehouse, segment={"plan": "pro"}, outside_interval=True) == []


def test_all_conditions_of_a_rule_must_hold(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert len(found(warehouse, above=0.05, changed_by=0.1)) == 1
    assert found(warehouse, above=0.05, changed_by=0.9) == []


def test_a_goal_that_is_behind(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert found(warehouse, target_missed=True) == []
    warehouse.execute(
        """
        create table kpi_attainment as select 'customer_churn_rate' as kpi, 'month' as grain, 'subscription' as basis,
            'all' as segment_dimension, 'all' as segment_value, date '2024-01-01' as start_on, 0.03 as target,
            'behind' as status
        """
    )
    [one] = found(warehouse, target_missed=True)
    assert one.message == "Customer churn, subscribers, of Mar 2024 is 6.0 %: the goal is 3.0 %"


def test_a_completed_period_is_a_notice(warehouse: duckdb.DuckDBPyConnection) -> None:
    [one] = holding(warehouse, rules({"period_complete": "month"}), [], "EUR", as_of=date(2024, 4, 10), new_actions={})
    assert one.is_notice and one.message == "The figures of Mar 2024 are complete"


def test_rules_that_ask_for_what_is_not_there_are_named(warehouse: duckdb.DuckDBPyConnection) -> None:
    asked = rules(
        {"kpi": "chrun", "above": 1},
        {"kpi": "customer_churn_rate", "basis": "all", "above": 1},
        {"kpi": "customer_churn_rate", "segment": {"colour": "red"}, "above": 1},
        {"kpi": "customer_churn_rate", "segment": {"plan": "pro"}, "above": 1},
    )
    assert list(rule_problems(warehouse, asked).values()) == [
        "rule r0: there is no KPI chrun",
        "rule r1: customer_churn_rate has no basis all (it has order, subscription, any)",
        "rule r2: there is no dimension colour",
    ]
