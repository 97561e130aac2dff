"""Every audit rule sees what it is there for: a small company runs whole, then each table is damaged in turn.

Also what the run says about the input: data_quality of the same company, whose files hold a bad row, a foreign column
and orders that do not count.
"""

import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.plain_run import RunResult, run

from retention_pipeline.audit import AuditError, all_rules, audit
from retention_pipeline.audit.shapes import Rule
from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.keys import KEY
from retention_pipeline.kpis.registry import FAMILIES
from retention_pipeline.settings import Home, Settings, parse_settings
from retention_pipeline.transform import InputError
from retention_pipeline.warehouse import tables_in

AS_OF = date(2024, 8, 1)
NOW = datetime(2024, 8, 1, 3, 0)
CUSTOMERS = """customer_id,valid_from,signed_up_at,country,acquisition_channel,shoe_size
buys_often,,2024-01-02,NL,ads,42
buys_often,2024-04-10,2024-01-02,DE,ads,42
leaves_and_returns,,2024-01-10,NL,search,40
subscribes,,2024-01-01,DE,search,39
upgrades,,2024-02-01,NL,ads,41
upgrades,2024-05-20,2024-02-01,DE,ads,41
"""
ORDERS = """order_id,customer_id,ordered_at,amount,currency,status,refunded_amount,channel
o1,buys_often,2024-01-05,10.00,EUR,paid,,web
o2,buys_often,2024-02-05,20.00,EUR,paid,5.00,web
o3,buys_often,2024-05-06,30.00,EUR,paid,,app
o4,leaves_and_returns,2024-01-15,15.00,EUR,paid,,web
o5,leaves_and_returns,2024-07-02,25.00,EUR,paid,,app
o6,subscribes,2024-03-03,9.00,EUR,paid,,web
o7,subscribes,2024-03-04,9.00,EUR,cancelled,,web
o8,nobody_knows,2024-03-04,12.00,EUR,paid,,web
o9,buys_often,2024-03-04,0.00,EUR,paid,,web
"""
BAD_ROW = "o10,buys_often,2024-03-04,twelve,EUR,paid,,web\n"
SUBSCRIPTIONS = """subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at,end_reason
s1,subscribes,basic,10.00,EUR,month,active,2024-01-01,2024-03-20,too_expensive
s1,subscribes,basic,10.00,EUR,month,active,2024-05-01,,
s2,upgrades,basic,10.00,EUR,month,active,2024-02-01,2024-04-05,
s2,upgrades,pro,25.00,EUR,month,active,2024-04-01,2024-06-15,
s2,upgrades,basic,10.00,EUR,month,active,2024-06-15,,
s3,leaves_and_returns,pro,240.00,EUR,year,active,2024-01-10,2024-07-10,payment_failed
"""
FURTHER = {
    "events": """event_id,customer_id,occurred_at,event,duration_seconds
e1,buys_often,2024-01-05,login,60
e2,buys_often,2024-01-06,login,
e3,buys_often,2024-04-02,login,90
e4,subscribes,2024-03-28,login,30
e5,subscribes,2024-04-03,export,
e6,upgrades,2024-05-21,login,10
""",
    "payments": """payment_id,invoice_id,customer_id,attempted_at,status,failure_reason
p1,i1,upgrades,2024-03-02,failed,card_expired
p2,i1,upgrades,2024-03-09,succeeded,
p3,i2,subscribes,2024-05-02,succeeded,
p4,,,2024-06-02,failed,
""",
    "surveys": """response_id,customer_id,responded_at,kind,score,scale_max
r1,upgrades,2024-03-02,nps,10,10
r2,upgrades,2024-04-09,nps,3,10
r3,subscribes,2024-04-10,csat,4,5
r4,,2024-06-02,nps,7,10
r5,subscribes,2024-04-11,csat,7,7
""",
    "emails": """message_id,customer_id,event,occurred_at,is_machine
m1,upgrades,delivered,2024-03-02,
m1,upgrades,opened,2024-03-03,
m2,upgrades,delivered,2024-04-02,
m2,upgrades,clicked,2024-04-03,
m2,subscribes,delivered,2024-04-02,
m2,subscribes,opened,2024-04-02,true
""",
    "acquisition_costs": """month,acquisition_channel,amount,currency
2023-12-01,ads,50.00,EUR
2024-02-01,ads,40.00,EUR
2024-02-01,search,20.00,EUR
2024-07-01,,10.00,EUR
""",
    "tickets": """ticket_id,customer_id,opened_at,first_reply_at,resolved_at,reason
t1,upgrades,2024-03-02T10:00:00Z,2024-03-02T11:00:00Z,2024-03-03T10:00:00Z,billing
t2,upgrades,2024-04-02T10:00:00Z,2024-04-05T10:00:00Z,2024-05-02T10:00:00Z,
t3,,2024-05-02T10:00:00Z,,,billing
""",
}

# What breaks each rule. A statement may break others too; the test asks that the named one sees it.
MONTH = "grain = 'month' and period_start = '2024-04-01'"
TOTAL = f"{MONTH} and segment_dimension = 'all'"
MRR_TOTAL = f"{TOTAL} and currency = 'all'"
DAMAGE = {
    "spans_lie_apart": "insert into int_active_spans by name select * replace (end_date as start_date,"
    " end_date + 9 as end_date) from int_active_spans where basis = 'order' and span_number = 1",
    "one_value_at_a_time": "update int_segment_spans set end_date = date '9999-12-31'",
    "one_profile_at_a_time": "update int_profile_spans set to_period = date '9999-12-31'",
    "profiles_for_life_are_the_only_ones": "insert into int_profile_spans by name select * replace ('any' as rule,"
    " 'any' as grain) from int_profile_spans where rule = 'period'",
    "phases_follow_one_another": "update int_counted_phases set end_date = date '9999-12-31'",
    "purchase_days_are_unique": "insert into int_purchase_days from int_purchase_days where day_number = 1",
    "mrr_goes_on_where_it_was": "update int_mrr_changes set mrr_after = mrr_after + 1 where mrr_before = 0",
    "customers_bridge": f"update period_customers set customers_end = customers_end + 1 where {TOTAL}",
    "customers_retained_or_lost": f"update period_customers set customers_lost = customers_lost + 1 where {TOTAL}",
    "customers_active_parts": f"update period_customers set customers_active = 0 where {TOTAL}",
    "customers_joined_are_new_or_transient": f"update period_customers set customers_joined = 99 where {TOTAL}",
    "customers_lost_ended_a_span": "update period_customers set churn_events = 0",
    "period_customers_not_negative": f"update period_customers set customers_transient = -1 where {TOTAL}",
    "period_customers_segments_add_up": f"update period_customers set customers_joined = 99 where {TOTAL}",
    "period_customers_moves_cancel": "update period_customers set customers_moved_in = customers_moved_in + 1"
    f" where {MONTH} and segment_value = 'NL'",
    "customers_close_is_next_opening": f"update period_customers set customers_end = customers_end + 1 where {TOTAL}",
    "period_customers_no_gaps": f"delete from period_customers where {TOTAL}",
    "period_customers_grains_nest": f"update period_customers set churn_events = churn_events + 1 where {TOTAL}",
    "period_customers_starts_from_nothing": "update period_customers set customers_start = customers_start + 1",
    "lost_by_reason_adds_up": "update lost_by_reason set customers_lost = customers_lost + 1",
    "orders_subsets": f"update period_orders set repeat_customers = 99 where {TOTAL}",
    "repurchases_rise": f"update period_orders set repurchased_30d = 99 where {TOTAL}",
    "period_orders_not_negative": f"update period_orders set order_revenue = -1 where {TOTAL}",
    "period_orders_segments_add_up": f"update period_orders set refunds_by_refund_date = 1 where {TOTAL}",
    "period_orders_no_gaps": f"delete from period_orders where {TOTAL}",
    "period_orders_grains_nest": f"update period_orders set orders = orders + 1 where {TOTAL}",
    "buyers_accumulate": f"update period_orders set buyers_to_date = buyers_to_date + 1 where {TOTAL}",
    "revenue_accumulates": f"update period_orders set revenue_to_date = revenue_to_date + 1 where {TOTAL}",
    "purchase_gaps_are_their_histogram": "update int_purchase_gap_flows set gap_days = gap_days + 1",
    "period_orders_starts_from_nothing": "update period_orders set buyers_to_date = buyers_to_date + 1",
    "orders_are_those_of_purchase_days": "delete from int_purchase_days where orders = 1",
    "mrr_bridge": f"update period_mrr set mrr_expansion = mrr_expansion + 1 where {MRR_TOTAL}",
    "mrr_kept_within_opening": f"update period_mrr set mrr_kept = mrr_open + 1 where {MRR_TOTAL}",
    "mrr_kept_within_opening_12m": f"update period_mrr set mrr_kept_12m = mrr_open_12m + 1 where {MRR_TOTAL}",
    "lost_classes_add_up": f"update period_mrr set lost_unknown = lost_unknown + 1 where {MRR_TOTAL}",
    "renewals_add_up": f"update period_mrr set renewals_due = renewals_due + 1 where {MRR_TOTAL}",
    "period_mrr_not_negative": f"update period_mrr set mrr_end = -1 where {MRR_TOTAL}",
    "period_mrr_segments_add_up": f"update period_mrr set cancellations_requested = 9 where {MRR_TOTAL}",
    "period_mrr_moves_cancel": "update period_mrr set mrr_moved_out = mrr_moved_out + 1"
    f" where {MONTH} and segment_value = 'NL' and currency = 'all'",
    "mrr_close_is_next_opening": f"update period_mrr set mrr_end = mrr_end + 1 where {MRR_TOTAL}",
    "period_mrr_no_gaps": f"delete from period_mrr where {MRR_TOTAL}",
    "period_mrr_grains_nest": f"update period_mrr set mrr_churn = mrr_churn + 1 where {MRR_TOTAL}",
    "period_mrr_starts_from_nothing": "update period_mrr set mrr_start = mrr_start + 1",
    "mrr_customers_are_the_customers": f"update period_mrr set paying_customers_end = 99 where {MRR_TOTAL}",
    "mrr_movements_are_the_sums": "update int_mrr_movements set amount = amount + 1",
    "cohort_within_size": "update cohort_retention set active = cohort_size + 1 where age = 1",
    "cohort_later_never_rises": "update cohort_retention set active_or_later = active_or_later + age",
    "cohort_retention_segments_add_up": "update cohort_retention set active = 0 where segment_dimension = 'all'",
    "cohort_starts_whole": "update cohort_retention set active = 0 where age = 0",
    "payments_subsets": f"update period_payments set invoices_failed = 99 where {TOTAL}",
    "period_payments_not_negative": f"update period_payments set invoices_recovered = -1 where {TOTAL}",
    "period_payments_segments_add_up": f"update period_payments set invoices_failed = 9 where {TOTAL}",
    "period_payments_no_gaps": f"delete from period_payments where {TOTAL}",
    "period_payments_grains_nest": f"update period_payments set invoices_attempted = 9 where {TOTAL}",
    "payment_failures_adds_up": "update payment_failures set recovered = recovered + 1",
    "period_surveys_not_negative": f"update period_surveys set nps_promoters = -1 where {TOTAL}",
    "period_surveys_segments_add_up": f"update period_surveys set nps_promoters = 9 where {TOTAL}",
    "period_surveys_no_gaps": f"delete from period_surveys where {TOTAL}",
    "period_surveys_grains_nest": f"update period_surveys set csat_responses = 9 where {TOTAL}",
    "period_emails_not_negative": f"update period_emails set emails_clicked = -1 where {TOTAL}",
    "period_emails_segments_add_up": f"update period_emails set emails_clicked = 9 where {TOTAL}",
    "period_emails_no_gaps": f"delete from period_emails where {TOTAL}",
    "period_emails_grains_nest": f"update period_emails set emails_delivered = 9 where {TOTAL}",
    "period_tickets_not_negative": f"update period_tickets set first_replies = -1 where {TOTAL}",
    "period_tickets_segments_add_up": f"update period_tickets set first_replies = 9 where {TOTAL}",
    "period_tickets_no_gaps": f"delete from period_tickets where {TOTAL}",
    "period_tickets_grains_nest": f"update period_tickets set resolutions = 9 where {TOTAL}",
    "surveys_subsets": f"update period_surveys set nps_detractors = nps_responses + 1 where {TOTAL}",
    "emails_subsets": f"update period_emails set emails_opened_or_clicked = 0 where {TOTAL}",
    "tickets_subsets": f"update period_tickets set tickets_resolved_48h = 99 where {TOTAL}",
    "tickets_by_reason_adds_up": "update tickets_by_reason set tickets = tickets + 1",
    "period_first_replies_adds_up": "update period_first_replies set tickets = tickets + 1",
    "period_resolutions_adds_up": "delete from period_resolutions",
    "engagement_subsets": f"update period_engagement set wau = mau + 1 where {TOTAL}",
    "a_week_is_its_window": "update period_engagement set wau = wau + 1 where grain = 'week'",
    "period_engagement_not_negative": f"update period_engagement set active_dormant = -1 where {TOTAL}",
    "period_engagement_segments_add_up": f"update period_engagement set yau = yau + 1 where {TOTAL}",
    "period_engagement_no_gaps": f"delete from period_engagement where {TOTAL}",
    "period_engagement_grains_nest": f"update period_engagement set active_days = active_days + 1 where {TOTAL}",
    "active_before_return_or_are_dormant": f"update period_engagement set active_returning = 9 where {TOTAL}",
    "lness_adds_up": "update engagement_lness set customers = customers + 1",
    "session_events_are_their_lengths": "delete from period_session_lengths where grain = 'month'",
    "period_engagement_starts_from_nothing": "update period_engagement set customers_known = customers_known + 1",
    "active_days_are_those_of_facts": "delete from int_active_days where day_number = 1",
    "order_value_by_rank_adds_up": "update order_value_by_rank set order_revenue = order_revenue + 1",
    "revenue_by_tenure_adds_up": f"delete from revenue_by_tenure where {TOTAL} or tenure_half_years > 0",
    "period_acquisition_not_negative": f"update period_acquisition set acquisition_cost = -1 where {TOTAL}",
    "period_acquisition_segments_add_up": f"update period_acquisition set customers_joined = 9 where {TOTAL}",
    "period_acquisition_no_gaps": f"delete from period_acquisition where {TOTAL}",
    "period_acquisition_grains_nest": f"update period_acquisition set acquisition_cost = 9 where {TOTAL}",
    "six_months_are_their_months": "update period_acquisition set customers_joined_6m = customers_joined_6m + 1",
    "months_are_short_until_there_are_six": f"update period_acquisition set months_are_short = false where {TOTAL}",
    "survival_never_rises": "update survival_curves set survival = 0.1 + t / 1000, ci_low = 0, ci_high = 1 where t > 0",
    "profiles_are_the_customers": "delete from int_active_spans where basis = 'subscription'",
    "profiles_have_the_mrr": "update int_mrr_changes set mrr_after = mrr_after + 1 where mrr_after > 0",
    "at_risk_are_active": "insert into at_risk select 'nobody_knows_whom', 'overdue', 0, 0",
    "cut_points_rise": "update rfm_cut_points set value = -1 where quantile = 0.6",
    "period_purchase_gaps_percentiles": "update retention_kpis set value = value + 1 where kpi = "
    "'time_between_purchases_p25' and value is not null",
    "period_session_lengths_percentiles": "update period_session_lengths set events = events + 1",
    "period_first_replies_percentiles": "update period_first_replies set reply_microseconds = reply_microseconds + 1e9",
    "period_resolutions_percentiles": "delete from period_resolutions",
    "int_purchase_wait_flows_median": "update retention_kpis set value = value + 1 where kpi = "
    "'time_to_next_purchase_km_median' and value is not null",
    "views_read_own_tables": "create view escapes as select * from raw_store.raw.orders",
}


def settings(**changes: Any) -> Settings:
    sources = {
        name: {"type": "files", "path": f"landing/{name}.csv"}
        for name in ("orders", "subscriptions", "customers", *FURTHER)
    }
    return parse_settings(
        {
            "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR", "min_n": 1},
            "max_quarantine_rate": 0.2,
            "sources": sources,
        }
        | changes
    )


def deliver(home: Home, orders: str) -> None:
    folder = home.root / "landing"
    folder.mkdir(parents=True, exist_ok=True)
    delivered = {"customers": CUSTOMERS, "orders": orders, "subscriptions": SUBSCRIPTIONS} | FURTHER
    for name, content in delivered.items():
        (folder / f"{name}.csv").write_text(content)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    home = Home(tmp_path_factory.mktemp("company"))
    deliver(home, ORDERS + BAD_ROW)
    return run(home, settings(), AS_OF, now=NOW)


@cache
def rules() -> list[Rule]:
    return list(all_rules(settings()))


@pytest.fixture(scope="module")
def copy(published: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("damaged") / "copy.duckdb"
    shutil.copyfile(published.path, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("attach ':memory:' as raw_store")
        connection.execute("create schema raw_store.raw")
        connection.execute("create table raw_store.raw.orders (x integer)")
        yield connection


@pytest.fixture
def damaged(copy: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy that a test may damage; what it does is rolled back."""
    copy.execute("begin")
    yield copy
    copy.execute("rollback")


def test_every_rule_is_checked_and_holds(published: RunResult) -> None:
    with duckdb.connect(str(published.path), read_only=True) as connection:
        result = audit(connection, settings())
    assert result.violations == []
    assert set(result.rules) <= {rule.name for rule in all_rules(settings())}
    assert set(result.rules) <= set(DAMAGE), "a rule without a damage that it sees"
    assert published.audited_rules == len(result.rules)


@pytest.mark.parametrize("rule", DAMAGE)
def test_a_rule_sees_the_damage_that_it_is_there_for(rule: str, damaged: duckdb.DuckDBPyConnection) -> None:
    chosen = [one for one in rules() if one.name == rule]
    assert len(chosen) == 1
    assert set(chosen[0].tables) <= tables_in(damaged), "the rule would not be asked"
    damaged.execute(DAMAGE[rule])
    violations = audit(damaged, settings(), chosen).violations
    assert [violation.rule for violation in violations] == [rule]
    assert violations[0].cells > 0 and violations[0].examples


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_measure_of_a_period_table_is_covered_by_a_rule(family: Family, copy: duckdb.DuckDBPyConnection) -> None:
    """One more in one cell (of what is derived: a value that cannot be) is seen by a rule that names the measure."""
    chosen = [one for one in rules() if family.period_table in one.tables]
    measures = (*family.measures, *family.further_measures)
    unseen = []
    columns = copy.execute(f"describe {family.period_table}").fetchall()
    kinds = {name: kind for name, kind, *_ in columns if name not in (*KEY, "currency")}
    assert set(kinds) == {measure.name for measure in measures}
    # The last month that is complete and behind which there are six.
    cell = "grain = 'month' and period_start = date '2024-07-01' and segment_dimension = 'all'"
    cell += " and currency = 'all'" if "currency" in {name for name, *_ in columns} else ""
    for measure in measures:
        number = f"coalesce({measure.name}, 0) + 1" if measure.is_sum else "-1"
        other = f"not {measure.name}" if kinds[measure.name] == "BOOLEAN" else number
        naming = [rule for rule in chosen if re.search(rf"\b{measure.name}\b", rule.sql)]
        copy.execute("begin")
        copy.execute(f"update {family.period_table} set {measure.name} = {other} where {cell}")
        if not audit(copy, settings(), naming).violations:
            unseen.append(measure.name)
        copy.execute("rollback")
    assert unseen == []


def test_a_broken_fact_is_told_with_the_customer_and_at_night_if_the_customer_is_touched(
    damaged: duckdb.DuckDBPyConnection,
) -> None:
    chosen = [one for one in rules() if one.name == "spans_lie_apart"]
    damaged.execute(
        "update int_active_spans set end_date = date '9999-12-31' where customer_key = ("
        "select customer_key from int_customers where customer_id = 'leaves_and_returns') and basis = 'order'"
    )
    assert [one.rule for one in audit(damaged, settings()).violations] == ["spans_lie_apart"]
    assert audit(damaged, settings(), touched_only=True).violations == []
    damaged.execute(
        "insert into night_touched select customer_key from int_customers where customer_id = 'leaves_and_returns'"
    )
    violations = audit(damaged, settings(), touched_only=True).violations
    assert audit(damaged, settings(), chosen).violations == violations
    assert [one.rule for one in violations] == ["spans_lie_apart"]
    message = str(AuditError(violations))
    assert "rule spans_lie_apart: 1 row " in message
    assert re.search(r"customer_key=\d+, customer_id=leaves_and_returns, basis=order", message)


@pytest.mark.parametrize("order", ["cohort_start, age", "hash(cohort_start, age)", "age desc"])
@pytest.mark.parametrize(
    "damage",
    [
        "delete from cohort_retention where age = 1",
        "update cohort_retention set cohort_size = cohort_size + 1 where age = 2",
        "update cohort_retention set cumulative_revenue = -1 where age = 3",
    ],
)
def test_ages_of_a_cohort_are_compared_in_whatever_order_they_lie(
    damage: str, order: str, damaged: duckdb.DuckDBPyConnection
) -> None:
    chosen = [one for one in rules() if one.name == "cohort_later_never_rises"]
    damaged.execute(f"create or replace table cohort_retention as from cohort_retention order by {order}")
    assert audit(damaged, settings(), chosen).violations == []
    damaged.execute(damage)
    violations = audit(damaged, settings(), chosen).violations
    assert [violation.rule for violation in violations] == ["cohort_later_never_rises"]


@pytest.mark.parametrize(
    "damage", ["censored = censored + 1", "at_risk = at_risk + 1", "survival = 0.9", "ci_low = 1", "ci_high = 0"]
)
def test_a_survival_curve_that_does_not_add_up_is_seen(damage: str, damaged: duckdb.DuckDBPyConnection) -> None:
    chosen = [one for one in rules() if one.name == "survival_never_rises"]
    damaged.execute(f"update survival_curves set {damage}")
    violations = audit(damaged, settings(), chosen).violations
    assert [violation.rule for violation in violations] == ["survival_never_rises"]


def quality(published: RunResult, dataset: str) -> dict[tuple[str, str], float | None]:
    with duckdb.connect(str(published.path), read_only=True) as connection:
        rows = connection.execute(
            "select measure, detail, value from data_quality where dataset = ?", [dataset]
        ).fetchall()
    return {(measure, detail): value for measure, detail, value in rows}


def test_the_data_quality_says_what_was_refused_left_out_and_mended(published: RunResult) -> None:
    orders = quality(published, "orders")
    assert orders["rows", ""] == 9
    assert {reason: count for (measure, reason), count in orders.items() if measure == "excluded_orders"} == {
        "cancelled": 1,
        "zero_value": 1,
    }
    quarantined = {reason: count for (measure, reason), count in orders.items() if measure == "quarantined"}
    assert list(quarantined.values()) == [1]
    assert next(iter(quarantined)).startswith("amount: … is not a number")
    assert orders["not_in_customers", ""] == pytest.approx(1 / 4)
    assert quality(published, "subscriptions")["overlapping_phases", ""] == 1


def test_the_data_quality_says_which_scales_of_satisfaction_are_left_out(published: RunResult) -> None:
    answers = {
        detail: value for (measure, detail), value in quality(published, "surveys").items() if "answers" in measure
    }
    assert answers == {"7": 1}


def test_the_data_quality_names_missing_datasets_and_columns_that_are_not_known(published: RunResult) -> None:
    assert quality(published, "fx_rates") == {("missing_dataset", ""): 1}
    assert quality(published, "customers")["drift_added", "shoe_size"] == 1


def test_freshness_is_in_the_data_quality(published: RunResult) -> None:
    with duckdb.connect(str(published.path), read_only=True) as connection:
        latest = connection.execute(
            "select moment from data_quality where dataset = 'orders' and measure = 'latest_fact'"
        ).fetchall()
        loaded = connection.execute(
            "select moment from data_quality where dataset = 'orders' and measure = 'last_load'"
        ).fetchall()
    assert latest == [(datetime(2024, 7, 2),)]
    assert len(loaded) == 1 and loaded[0][0] is not None


def test_currencies_without_a_rate_are_an_error_that_names_currency_and_days(tmp_path: Path) -> None:
    home = Home(tmp_path)
    deliver(home, ORDERS.replace("9.00,EUR", "9.00,USD", 1))
    path = home.root / "landing" / "subscriptions.csv"
    path.write_text(
        SUBSCRIPTIONS.replace("s3,leaves_and_returns,pro,240.00,EUR", "s3,leaves_and_returns,pro,240.00,CHF")
    )
    with pytest.raises(InputError) as told:
        run(home, settings(), AS_OF, now=NOW)
    assert "USD: 2024-03-03, needed by orders" in str(told.value)
    assert re.search(r"CHF: 2024-01-10 to 2024-07-10 \(.* days\), needed by subscriptions", str(told.value))
    assert not home.current.exists() and not home.next_file.exists()
