"""Validation finds what is broken, each rule by one damage, and nothing in sound rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache

import pytest
from support.hand_made import MONTHS, Warehouse, settings

from retention_pipeline.kpis import validate_kpis
from retention_pipeline.kpis.registry import IDENTITIES


@cache
def company() -> Warehouse:
    """Two months of a sound company; who damages it takes the damage back."""
    warehouse = Warehouse()
    warehouse.months(*MONTHS[:2], as_of=date(2024, 7, 1))
    for month in MONTHS[:2]:
        for segment in ("all=all", "country=NL"):
            for basis in ("order", "subscription", "any"):
                warehouse.put(
                    "period_customers", month, segment, basis,
                    customers_start=20, customers_lost=3, customers_retained=17, customers_new=5, customers_end=22,
                )  # fmt: skip
            warehouse.put(
                "period_orders", month, segment,
                orders=7, order_revenue="70.10", ordering_customers=6, buyers_to_date=30, repeat_buyers_to_date=12,
                first_time_buyers=4, repurchased_30d=1, repurchased_60d=1, repurchased_90d=2, repurchased_180d=2,
                repurchased_365d=3,
            )  # fmt: skip
            warehouse.put(
                "period_mrr", month, segment,
                mrr_start=100, mrr_end=130, mrr_new=40, mrr_churn=10, paying_customers_end=22, customers_open=20,
                mrr_open=100, mrr_kept=85, mrr_kept_and_grown=95, mrr_cancelled=10, lost_voluntary=1, lost_unknown=2,
                customers_open_12m=10, mrr_open_12m=50, mrr_kept_12m=40, mrr_kept_and_grown_12m=60,
            )  # fmt: skip
            warehouse.put(
                "period_surveys", month, segment,
                survey_responses=12, nps_responses=10, nps_promoters=5, nps_detractors=2,
            )  # fmt: skip
            warehouse.put("period_emails", month, segment, emails_delivered=10, emails_opened=2, emails_opened_raw=4)
            warehouse.put(
                "period_engagement", month, segment,
                active_days=62, active_customers=5, active_new=2, active_returning=2, active_resurrected=1,
                wau=3, mau=4, yau=6, mau_active_days=40, index_active_days=20,
            )  # fmt: skip
    warehouse.compute(date(2024, 7, 1), datasets="orders subscriptions surveys emails events")
    return warehouse


@contextmanager
def damaged(damage: str) -> Iterator[Warehouse]:
    """The company with a damage, as long as the block lasts."""
    warehouse = company()
    warehouse.connection.execute("begin")
    try:
        warehouse.connection.execute(damage)
        yield warehouse
    finally:
        warehouse.connection.execute("rollback")


def broken_by(damage: str) -> dict[str, int]:
    """The broken rules of a sound company after a damage, each with its number of cells."""
    with damaged(damage) as warehouse:
        found = validate_kpis(warehouse.connection, settings())
    assert all(violation.examples for violation in found)
    return {violation.rule: violation.cells for violation in found}


def test_sound_rows_break_no_rule() -> None:
    assert validate_kpis(company().connection, settings()) == []


@pytest.mark.parametrize(("dimension", "value", "is_broken"), [("country", "all", False), ("all", "NL", True)])
def test_a_value_may_be_called_all_and_the_whole_nothing_else(dimension: str, value: str, is_broken: bool) -> None:
    broken = broken_by(f"update retention_kpis set segment_value = '{value}' where segment_dimension = '{dimension}'")
    assert any("the whole has dimension all and value all" in rule for rule in broken) == is_broken


ONE_ROW = "period_start = date '2023-01-01' and segment_value = 'all' and grain = 'month'"
DAMAGES = {
    "net contraction and churn are what MRR churn counts": (
        f"update retention_kpis set value = value + 7 where kpi = 'mrr_contraction_net' and {ONE_ROW}"
    ),
    "buyers are returning, resurrected or buy for the first time": (
        f"update retention_kpis set value = 1000 where kpi = 'buyers_returning' and {ONE_ROW}"
    ),
    "every value lies in the valid range of its KPI": (
        f"update retention_kpis set value = 1.2 where kpi = 'gross_revenue_retention' and {ONE_ROW}"
    ),
    "a value is NULL with a reason, or there without one": (
        f"update retention_kpis set value = null where kpi = 'orders' and {ONE_ROW}"
    ),
    "a ratio keeps numerator, denominator and n unless it is left-truncated or immature": (
        f"update retention_kpis set numerator = null, denominator = null, n = null where kpi = 'arpc' and {ONE_ROW}"
    ),
    "counts, sums and percentiles have no numerator and no denominator": (
        f"update retention_kpis set denominator = 4 where kpi = 'orders' and {ONE_ROW}"
    ),
    "a share's numerator counts a subset of its denominator": (
        f"update retention_kpis set numerator = 31 where kpi = 'repeat_customer_rate' and {ONE_ROW}"
    ),
    "an interval contains its value": (
        f"update retention_kpis set ci_low = 0.5 where kpi = 'customer_churn_rate' and basis = 'any' and {ONE_ROW}"
    ),
    "only shares and scores have an interval": (
        f"update retention_kpis set ci_low = 0.5 where kpi = 'quick_ratio' and {ONE_ROW}"
    ),
    "the unit is the KPI's, and money is in the reporting currency": (
        f"update retention_kpis set currency = 'USD' where kpi = 'order_revenue' and {ONE_ROW}"
    ),
    "customers retained and customers lost are together everybody who was there at the start": (
        f"update retention_kpis set value = 0.8 where kpi = 'customer_retention_rate' and basis = 'any' and {ONE_ROW}"
    ),
    "customers at the end = start + new + reactivated - lost": (
        f"update retention_kpis set value = 21 where kpi = 'customers_end' and basis = 'any' and {ONE_ROW}"
    ),
    "gross revenue retention is at most 1 and at most net revenue retention": (
        f"update retention_kpis set value = 0.5 where kpi = 'net_revenue_retention' and {ONE_ROW}"
    ),
    "gross revenue retention over 12 months is at most 1 and at most net revenue retention over 12 months": (
        f"update retention_kpis set value = 0.5 where kpi = 'net_revenue_retention_12m' and {ONE_ROW}"
    ),
    "MRR churn rate = 1 - gross revenue retention": (
        f"update retention_kpis set value = 0.2 where kpi = 'mrr_churn_rate' and {ONE_ROW}"
    ),
    "revenue growth of existing customers = net revenue retention - 1": (
        f"update retention_kpis set value = 0 where kpi = 'existing_customer_revenue_growth' and {ONE_ROW}"
    ),
    "cancelled customers lose at most what all lose": (
        f"update retention_kpis set value = 0.2 where kpi = 'mrr_churn_rate_cancelled' and {ONE_ROW}"
    ),
    "MRR at the end = start + new + reactivation + expansion - contraction - churn + revaluation": (
        f"update retention_kpis set value = 1 where kpi = 'mrr_fx' and {ONE_ROW}"
    ),
    "lost customers of all classes of churn are the customers lost": (
        f"update retention_kpis set numerator = 3 where kpi = 'unknown_churn_rate' and {ONE_ROW}"
    ),
    "paying customers at the end are the customers at the end of basis subscription": (
        f"update retention_kpis set value = 23 where kpi = 'paying_customers_end' and {ONE_ROW}"
    ),
    "repeat customers and one-time customers are together all buyers": (
        f"update retention_kpis set value = 0.5 where kpi = 'one_time_customer_rate' and {ONE_ROW}"
    ),
    "promoters, passives and detractors are together all answers": (
        f"update retention_kpis set value = 0.4 where kpi = 'passive_share' and {ONE_ROW}"
    ),
    "the net promoter score is that of its shares": (
        f"update retention_kpis set value = 31 where kpi = 'nps' and {ONE_ROW}"
    ),
    "what a person opened was opened": (
        f"update retention_kpis set value = 0.5 where kpi = 'email_open_rate' and {ONE_ROW}"
    ),
    "who is active in 7 days is active in mau_days days": (
        f"update retention_kpis set value = 5 where kpi = 'wau' and {ONE_ROW}"
    ),
    "daily actives are among the active customers of the period": (
        f"update retention_kpis set value = 6 where kpi = 'dau' and {ONE_ROW}"
    ),
    "new, returning and resurrected customers are the active ones": (
        f"update retention_kpis set value = 0 where kpi = 'active_resurrected' and {ONE_ROW}"
    ),
    "active days per customer are those of stickiness": (
        f"update retention_kpis set value = 11 where kpi = 'lness_mean' and {ONE_ROW}"
    ),
    "who bought again within 60 days did so within 90 days": (
        f"update retention_kpis set numerator = 3 where kpi = 'repurchase_within_60d' and {ONE_ROW}"
    ),
}


@pytest.mark.parametrize("rule", DAMAGES)
def test_a_damaged_row_breaks_the_rule_that_it_should(rule: str) -> None:
    assert broken_by(DAMAGES[rule]).get(rule) == 1


def test_every_identity_has_its_damage() -> None:
    """Of the four repurchase rules, which are one rule for four pairs of days, one is enough."""
    sentences = {identity.sentence for identity in IDENTITIES if not identity.sentence.startswith("who bought again")}
    assert sentences <= set(DAMAGES)


CELLS = "the rows of retention_kpis are the cells of the period tables"


@pytest.mark.parametrize(
    "damage",
    [
        f"delete from retention_kpis where kpi = 'mrr_end' and {ONE_ROW}",
        f"insert into retention_kpis select * from retention_kpis where kpi = 'mrr_end' and {ONE_ROW}",
        f"update retention_kpis set segment_value = 'DE' where kpi = 'mrr_end' and {ONE_ROW}",
        "update retention_kpis set kpi = 'mrr_of_old' where kpi = 'mrr_end'",
        "delete from retention_kpis where kpi = 'mrr_end'",
    ],
)
def test_missing_doubled_and_foreign_rows_are_found(damage: str) -> None:
    assert CELLS in broken_by(damage)


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (f"update retention_kpis set grain = 'day' where kpi = 'orders' and {ONE_ROW}", "grain"),
        (f"update retention_kpis set currency = 'euro' where kpi = 'order_revenue' and {ONE_ROW}", "currency"),
        (f"update retention_kpis set period_end = period_start where kpi = 'orders' and {ONE_ROW}", "before it ends"),
        (f"update retention_kpis set null_reason = 'unlucky' where kpi = 'quick_ratio' and {ONE_ROW}", "null_reason"),
        ("alter table retention_kpis add column mood varchar", "mood"),
    ],
)
def test_the_contract_of_changed_rows_names_the_column(damage: str, part: str) -> None:
    with damaged(damage) as warehouse:
        rules = [violation.rule for violation in validate_kpis(warehouse.connection, settings())]
    assert any(rule.startswith("contract") and part in rule for rule in rules), rules
