"""Every expected KPI row of the made-up companies, computed from period tables that are rebuilt from these rows.

Counts, sums, numerators and denominators go in; values, null reasons, which rows there are, what `data_start` cuts
and the trailing churn come out. The percentiles of gaps need the histogram, which the expected rows do not tell, and
the trailing churn of a company that is older than its `history_start` needs months that have no rows: they are left
out here (tests/integration/test_companies.py compares them).
"""

from datetime import date
from pathlib import Path

import pytest
import yaml
from support.hand_made import Warehouse, settings

from retention_pipeline.kpis import validate_kpis

COMPANIES = Path(__file__).parents[3] / "shared" / "data" / "companies"
NAMES = sorted(folder.name for folder in COMPANIES.glob("*")) if COMPANIES.exists() else []
KEY = "grain, period_start, basis, segment_dimension, segment_value"
PARTS = {
    "period_orders": {
        "orders": "value of orders",
        "order_revenue": "value of order_revenue",
        "ordering_customers": "value of ordering_customers",
        "new_customer_orders": "denominator of average_order_value_new",
        "new_customer_revenue": "numerator of average_order_value_new",
        "repeat_customers": "numerator of repeat_purchase_rate",
        "returning_customers": "numerator of returning_customer_rate",
        "buyers_to_date": "denominator of repeat_customer_rate",
        "repeat_buyers_to_date": "numerator of repeat_customer_rate",
        "revenue_to_date": "numerator of clv_historic",
        "first_time_buyers": "denominator of repurchase_within_30d",
        **{f"repurchased_{days}d": f"numerator of repurchase_within_{days}d" for days in (30, 60, 90, 180, 365)},
        "purchase_gaps": "denominator of time_between_purchases_mean",
        "purchase_gap_days": "numerator of time_between_purchases_mean",
        "refunds_by_refund_date": "value of refunds_by_refund_date",
        "ordering_customers_365d": "denominator of clv",
        "order_revenue_365d": "numerator of clv",
    },
    "period_mrr": {
        "customers_open": "denominator of involuntary_churn_rate",
        "mrr_open": "denominator of gross_revenue_retention",
        "mrr_kept": "numerator of gross_revenue_retention",
        "mrr_kept_and_grown": "numerator of net_revenue_retention",
        "mrr_cancelled": "numerator of mrr_churn_rate_cancelled",
        "customers_with_losses": "n of quick_ratio",
        "customers_open_12m": "n of gross_revenue_retention_12m",
        "mrr_open_12m": "denominator of gross_revenue_retention_12m",
        "mrr_kept_12m": "numerator of gross_revenue_retention_12m",
        "mrr_kept_and_grown_12m": "numerator of net_revenue_retention_12m",
        "lost_involuntary": "numerator of involuntary_churn_rate",
        "lost_voluntary": "numerator of voluntary_churn_rate",
        "lost_unknown": "numerator of unknown_churn_rate",
        "renewals_renewed": "numerator of renewal_rate",
        "renewals_not_renewed": "denominator of renewal_rate",
        "renewal_mrr_due": "denominator of renewal_rate_value",
        "renewal_mrr_renewed": "numerator of renewal_rate_value",
    },
    "period_customers": {},
}


def rebuilt(folder: Path) -> Warehouse:
    """Period tables from a company's expected rows; what those do not tell is 0."""
    warehouse = Warehouse()
    run = warehouse.connection.execute
    run(f"create table expected as select * from '{folder / 'expected_kpis.parquet'}'")
    for table, parts in PARTS.items():
        marker = {"period_orders": "orders", "period_mrr": "mrr_end", "period_customers": "customers_end"}[table]
        run(f"create table cells as select {KEY} from expected where kpi = '{marker}'")
        measures = [row[0] for row in run(f"describe {table}").fetchall() if row[0] not in KEY.split(", ")]
        columns = []
        for measure in measures:
            if measure == "currency":
                columns.append("'all' as currency")
                continue
            what, _, kpi = parts.get(measure, f"value of {measure}").partition(" of ")
            figure = f"coalesce(round(max({what}) filter (where kpi = '{kpi}'), 6), 0)"
            if measure == "first_time_buyers":
                figure = "coalesce(max(denominator) filter (where kpi like 'repurchase_within%'), 0)"
            if measure == "renewals_not_renewed":
                figure += " - coalesce(max(numerator) filter (where kpi = 'renewal_rate'), 0)"
            columns.append(f"{figure} as {measure}")
        of_cells = f"from expected semi join cells using ({KEY}) group by all"
        run(f"insert into {table} by name select {KEY}, {', '.join(columns)} {of_cells}")
        run("drop table cells")
    length = "case grain when 'week' then interval 7 day " + " ".join(
        f"when '{grain}' then interval {months} month" for grain, months in (("month", 1), ("quarter", 3), ("year", 12))
    )
    end = f"cast(period_start + {length} end as date)"
    run(f"insert into periods select distinct grain, period_start, {end}, is_complete from expected")
    return warehouse


@pytest.mark.skipif(not NAMES, reason="the companies' data are not beside the repository")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_every_expected_row_is_computed_from_its_own_counts_and_no_other_row_is(name: str) -> None:
    folder = COMPANIES / name
    business = yaml.safe_load((folder / "settings.yaml").read_text())["business"]
    start = business.get("data_start")
    warehouse = rebuilt(folder)
    warehouse.compute(
        date.fromisoformat((folder / "as_of").read_text().strip()),
        data_start=date.fromisoformat(start) if isinstance(start, str) else start,
        **{
            setting: business[setting]
            for setting in ("activity_window_days", "min_n", "gross_margin", "reporting_currency")
        },
    )
    same_key = " and ".join(f"ours.{column} = theirs.{column}" for column in ("kpi", *KEY.split(", ")))
    percentile = (
        "ours.kpi in ('time_between_purchases_p25', 'time_between_purchases_median', 'time_between_purchases_p75')"
    )
    other_figures = " or ".join(
        f"coalesce(abs(ours.{column} - theirs.{column}) > 1e-9 * greatest(abs(theirs.{column}), 1e-6), "
        f"ours.{column} is distinct from theirs.{column})"
        for column in ("value", "numerator", "denominator", "n")
    )
    # Months before history_start have no rows; customers at the start of the first that has some tell that they count.
    untold_months = """
        ours.kpi in ('customer_lifespan_years', 'clv', 'clv_subscription')
            and date_trunc('month', least(ours.period_end, ours.as_of)) - interval 6 month < (
                select period_start from period_customers where grain = 'month' and segment_dimension = 'all'
                group by period_start having max(customers_start) > 0 and period_start = (
                    select min(period_start) from period_customers where grain = 'month')
            )"""
    differences = warehouse.connection.execute(f"""
        select * from (select * from retention_kpis where kpi in (select kpi from expected)) as ours
        full join expected as theirs on {same_key}
        where ours.kpi is null or theirs.kpi is null or (
            not ({percentile} and ours.n > 0) and not coalesce({untold_months}, false)
            and ({other_figures} or ours.null_reason is distinct from theirs.null_reason
                or ours.is_complete <> theirs.is_complete)
        )
        limit 5""").fetchall()
    assert differences == []
    assert warehouse.connection.execute("select count(*) from retention_kpis").fetchall()[0][0] > 10_000
    assert validate_kpis(warehouse.connection, settings()) == []
