"""The same core numbers as an analyst would get them in a notebook: read the raw tables into pandas, group, merge."""

import numpy as np
import pandas as pd

from benchmarks.sizes import ACTIVITY_WINDOW_DAYS, AS_OF, COUNT_PAST_DUE_DAYS, TIMEZONE
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened_raw


def local_days(instants: pd.Series) -> pd.Series:
    """Business days of naive UTC instants, at midnight."""
    days: pd.Series = instants.dt.tz_localize("UTC").dt.tz_convert(TIMEZONE).dt.tz_localize(None).dt.normalize()
    return days


def compute(home: Home) -> dict[str, pd.DataFrame]:
    """Tables bridge, orders_by_month, cohorts and mrr, with the columns of baseline.sql."""
    with opened_raw(home) as connection:
        orders = connection.execute(
            "select _customer_key as customer, ordered_at, cast(amount as double) as amount, status, "
            "cast(refunded_amount as double) as refunded, is_test from raw.orders"
        ).df()
        phases = connection.execute(
            "select _customer_key as customer, subscription_id, status, started_at, ended_at, interval, "
            "cast(amount as double) * quantity - cast(recurring_discount as double) as amount from raw.subscriptions"
        ).df()
    return {**order_tables(orders), "mrr": mrr_table(phases)}


def order_tables(orders: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Orders by month, cohorts and the bridge."""
    paid = (orders["status"] == "paid") | ((orders["status"] == "refunded") & orders["refunded"].notna())
    refunded = orders["refunded"].fillna(0)
    counted = orders[paid & ~orders["is_test"].fillna(False) & (orders["amount"] > 0) & (refunded < orders["amount"])]
    frame = pd.DataFrame(
        {
            "customer": counted["customer"],
            "day": local_days(counted["ordered_at"]),
            "revenue": counted["amount"] - counted["refunded"].fillna(0),
        }
    )
    frame = frame[frame["day"] < pd.Timestamp(AS_OF)]
    days = frame.groupby(["customer", "day"], as_index=False).agg(
        orders=("revenue", "size"), revenue=("revenue", "sum")
    )
    days["month"] = days["day"].dt.to_period("M").dt.to_timestamp()
    by_month = days.groupby("month", as_index=False).agg(
        orders=("orders", "sum"), order_revenue=("revenue", "sum"), ordering_customers=("customer", "nunique")
    )
    months = days[["customer", "month"]].drop_duplicates()
    months["cohort_start"] = months.groupby("customer")["month"].transform("min")
    months["age"] = (months["month"].dt.year - months["cohort_start"].dt.year) * 12 + (
        months["month"].dt.month - months["cohort_start"].dt.month
    )
    cohorts = months.groupby(["cohort_start", "age"], as_index=False).agg(active=("customer", "size"))
    return {"orders_by_month": by_month, "cohorts": cohorts, "bridge": bridge_table(days)}


def bridge_table(days: pd.DataFrame) -> pd.DataFrame:
    """customers_start, new, reactivated and lost by month."""
    days = days.sort_values(["customer", "day"])
    gap = days.groupby("customer")["day"].diff().dt.days
    span = (gap.isna() | (gap > ACTIVITY_WINDOW_DAYS)).cumsum()
    spans = days.groupby(span).agg(customer=("customer", "first"), start=("day", "min"), last=("day", "max"))
    first = (spans["start"].dt.to_period("M") + 1).astype("int64")
    last = (spans["last"] + pd.Timedelta(days=ACTIVITY_WINDOW_DAYS)).dt.to_period("M").astype("int64")
    before = last.groupby(spans["customer"]).shift()
    horizon = pd.Period(AS_OF, "M").ordinal

    def by_month(values: pd.Series) -> pd.Series:
        return values[values < horizon].astype("int64").value_counts()

    table = pd.DataFrame(
        {
            "customers_new": by_month(first[before.isna()] - 1),
            "customers_reactivated": by_month(first[before < first - 1] - 1),
            "customers_lost": by_month(last).sub(by_month(before[before == first - 1]), fill_value=0),
        }
    )
    table = table.fillna(0).astype("int64").sort_index()
    change = table["customers_new"] + table["customers_reactivated"] - table["customers_lost"]
    table.insert(0, "customers_start", change.cumsum() - change)
    months = table.index.to_numpy().astype("datetime64[M]")  # they are counted from January 1970
    table.index = pd.DatetimeIndex(months.astype("datetime64[ns]"))
    return table.rename_axis("month").reset_index()


def mrr_table(phases: pd.DataFrame) -> pd.DataFrame:
    """MRR movements by month."""
    phases = phases.sort_values(["subscription_id", "started_at"])
    phases["start"] = local_days(phases["started_at"])
    phases["end"] = local_days(phases["ended_at"]).fillna(pd.Timestamp("2200-01-01"))
    phases["mrr"] = (phases["amount"] / np.where(phases["interval"] == "quarter", 3, 1)).round(6)
    earlier = phases.groupby("subscription_id")[["status", "end"]].shift()
    grace = (phases["status"] == "past_due") & (earlier["status"] == "active") & (earlier["end"] == phases["start"])
    limit = phases["start"] + pd.Timedelta(days=COUNT_PAST_DUE_DAYS)
    phases.loc[grace, "end"] = phases["end"].where(phases["end"] < limit, limit)[grace]
    counted = phases[((phases["status"] == "active") | grace) & (phases["mrr"] > 0)]
    steps = pd.concat(
        [
            counted[["customer", "start", "mrr"]].rename(columns={"start": "day"}),
            counted[["customer", "end", "mrr"]].rename(columns={"end": "day"}).assign(mrr=-counted["mrr"]),
        ]
    )
    steps = steps[steps["day"] < pd.Timestamp(AS_OF)].groupby(["customer", "day"], as_index=False)["mrr"].sum()
    after = steps.groupby("customer")["mrr"].cumsum().round(6)
    before = (after - steps["mrr"]).round(6)
    first = ~steps["customer"].duplicated()
    up = after > before
    labels = np.select(
        [first, up & (before == 0), up, (after < before) & (after == 0), after < before],
        ["mrr_new", "mrr_reactivation", "mrr_expansion", "mrr_churn", "mrr_contraction"],
        "",
    )
    steps = steps.assign(label=labels, month=steps["day"].dt.to_period("M").dt.to_timestamp(), mrr=steps["mrr"].abs())
    table = steps[steps["label"] != ""].pivot_table(
        index="month", columns="label", values="mrr", aggfunc="sum", fill_value=0.0
    )
    return table.reset_index()
