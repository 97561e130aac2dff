"""Three real data sets run through settings alone, held against a few independent lines of pandas.

The data are not part of the project; the tests skip where the folder `../shared/data` beside the repository is absent.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from support.computed_home import compute_home

from retention_pipeline.settings import Home

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
CDNOW = DATA / "cdnow-sample" / "orders.parquet"
MRR_PLAYBOOK = DATA / "mrr-playbook" / "subscription_periods.csv"
SERVICE_BUSINESS = DATA / "tvc-servbiz-sample" / "ServBiz_transactions_sample.csv.gz"
LOG_INS = DATA / "growth-accounting-logins" / "users.csv.gz"
WINDOW = pd.Timedelta(days=90)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here")

Figures = Callable[..., pd.Series]


def run_home(name: str, dataset: str, file: Path, as_of: date, folder: Path) -> Path:
    """Run tests/real_data/<name>/settings.yaml on one file; returns the file with its figures."""
    home = Home(folder)
    shutil.copy(REPOSITORY / "tests" / "real_data" / name / "settings.yaml", home.settings_file)
    (folder / "landing" / dataset).mkdir(parents=True)
    shutil.copy(file, folder / "landing" / dataset)
    return compute_home(folder, as_of)


def figures_of(warehouse: Path) -> Figures:
    """A function (kpi, basis) -> values of `all` by month, indexed by period_start."""

    def figures(kpi: str, basis: str) -> pd.Series:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            rows = connection.execute(
                "select period_start, value from retention_kpis where kpi = ? and basis = ? and grain = 'month'"
                " and segment_dimension = 'all' order by period_start",
                [kpi, basis],
            ).fetchall()
        assert rows, kpi
        return pd.Series({pd.Timestamp(day): value for day, value in rows}, name=kpi)

    return figures


def cohorts_of(warehouse: Path, basis: str) -> pd.DataFrame:
    """Active customers by monthly cohort (rows) and age (columns), of `all`."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select cohort_start, age, active from cohort_retention"
            " where basis = ? and grain = 'month' and segment_dimension = 'all'",
            [basis],
        ).fetchall()
    frame = pd.DataFrame(rows, columns=["cohort", "age", "active"])
    return frame.astype({"cohort": "datetime64[ns]"}).pivot(index="cohort", columns="age", values="active")


def assert_equal(actual: pd.Series, expected: pd.Series) -> None:
    expected = expected.reindex(actual.index, fill_value=0).astype(float)
    pd.testing.assert_series_equal(
        actual.astype(float), expected, check_names=False, check_freq=False, check_index_type=False, rtol=1e-9
    )


def check_shop(warehouse: Path, orders: pd.DataFrame, basis: str = "order") -> None:
    """Hold every month's orders, revenue, customers and cohorts against `orders` (customer, day, amount > 0)."""
    figures = figures_of(warehouse)
    orders = orders.assign(month=orders.day.dt.to_period("M").dt.to_timestamp())
    by_month = orders.groupby("month")
    assert_equal(figures("orders", basis), by_month.size())
    assert_equal(figures("order_revenue", basis), by_month.amount.sum())
    assert_equal(figures("ordering_customers", basis), by_month.customer.nunique())

    days = orders[["customer", "day"]].drop_duplicates()
    end, lost = figures("customers_end", basis), figures("customers_lost", basis)
    active_before: set[str] = set()
    for month, repeat_rate in figures("repeat_customer_rate", basis).items():
        assert isinstance(month, pd.Timestamp)
        close = month + pd.offsets.MonthBegin()
        bought = days[days.day < close]
        assert repeat_rate == pytest.approx((bought.groupby("customer").size() >= 2).mean())
        active = set(bought.customer[bought.day >= close - WINDOW])
        assert (end[month], lost[month]) == (len(active), len(active_before - active))
        active_before = active

    first = days.groupby("customer").day.transform("min")
    age = (days.day.dt.year - first.dt.year) * 12 + days.day.dt.month - first.dt.month
    expected = (
        days.assign(cohort=first.dt.to_period("M").dt.to_timestamp(), age=age)
        .groupby(["cohort", "age"])
        .customer.nunique()
    )
    actual = cohorts_of(warehouse, basis).stack()
    assert isinstance(actual, pd.Series)
    assert_equal(actual, expected)
    assert expected.sum() == actual.sum(), "no cell is missing"


def test_the_cd_shop_agrees_with_pandas(tmp_path: Path) -> None:
    source = pd.read_parquet(CDNOW)
    orders = pd.DataFrame({"customer": source.customer_id, "day": source.ordered_at, "amount": source.amount})
    warehouse = run_home("cdnow", "orders", CDNOW, date(1998, 7, 1), tmp_path)
    check_shop(warehouse, orders[orders.amount > 0])


def test_the_service_business_agrees_with_pandas(tmp_path: Path) -> None:
    source = pd.read_csv(SERVICE_BUSINESS, dtype=str)
    cents = [float(Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP)) for value in source.value_usd]
    orders = pd.DataFrame({"customer": source.client_id, "day": pd.to_datetime(source.date), "amount": cents})
    as_of = (orders.day.max() + pd.offsets.MonthBegin()).date()
    warehouse = run_home("service_business", "orders", SERVICE_BUSINESS, as_of, tmp_path)
    check_shop(warehouse, orders)


def test_the_subscription_periods_agree_with_pandas(tmp_path: Path) -> None:
    periods = pd.read_csv(MRR_PLAYBOOK, parse_dates=["start_date", "end_date"])
    warehouse = run_home("mrr_playbook", "subscriptions", MRR_PLAYBOOK, date(2020, 2, 1), tmp_path)
    figures = figures_of(warehouse)
    months = figures("mrr_end", "subscription").index
    # all periods begin and end on the first of a month, so a month's amount is that of each of its days
    mrr = pd.DataFrame(
        {
            month: periods[(periods.start_date <= month) & (periods.end_date > month)]
            .groupby("customer_id")
            .monthly_amount.sum()
            for month in months
        },
        index=periods.customer_id.unique(),
    ).fillna(0)
    before = mrr.shift(axis="columns", fill_value=0)
    paid_before = (mrr.cumsum(axis="columns") - mrr) > 0
    change = mrr - before
    expected = {
        "mrr_end": mrr.sum(),
        "customers_end": (mrr > 0).sum(),
        "customers_lost": ((before > 0) & (mrr == 0)).sum(),
        "mrr_new": change[(before == 0) & ~paid_before].sum(),
        "mrr_reactivation": change[(before == 0) & paid_before].sum(),
        "mrr_expansion": change[(before > 0) & (change > 0)].sum(),
        "mrr_contraction": -change[(mrr > 0) & (change < 0)].sum(),
        "mrr_churn": -change[mrr == 0].sum(),
        "gross_revenue_retention": mrr.where(mrr < before, before).sum() / before.sum(),
        "net_revenue_retention": mrr.where(before > 0).sum() / before.sum(),
    }
    for kpi, series in expected.items():
        actual = figures(kpi, "subscription")
        pd.testing.assert_series_equal(
            actual.astype(float), series.astype(float), check_names=False, check_freq=False, rtol=1e-9
        )

    first = mrr.gt(0).idxmax(axis="columns")
    sizes = cohorts_of(warehouse, "subscription")[0]
    assert_equal(sizes, first.value_counts())
    assert sizes.sum() == periods.customer_id.nunique()


def test_the_active_users_of_a_log_of_log_ins_are_those_of_its_authors(tmp_path: Path) -> None:
    """The three complete months of a public example of growth accounting; users of a calendar month."""
    figures = figures_of(run_home("growth_accounting", "events", LOG_INS, date(2020, 12, 26), tmp_path))
    complete = [pd.Timestamp(2020, month, 1) for month in (9, 10, 11)]
    assert list(figures("active_customers", "all")[complete]) == [6665, 7995, 7939]
