"""How the orders arrive: two shops with exports of their own form, late files, later versions of a row, broken lines.

The main shop writes the time of Amsterdam and euros; the British one its own time, pounds and other column names.
"""

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing
from retention_pipeline.demo.people import customer_ids

SECOND, DAY = np.timedelta64(1, "s"), np.timedelta64(1, "D")
BRITISH = {
    "OrderNumber": "ref",
    "CustomerNumber": "member",
    "PlacedAt": "created",
    "GrossTotal": "total",
    "State": "state",
    "RefundedTotal": "refunded",
    "RefundedOn": "refunded_on",
    "SoldThrough": "sold_via",
    "ChangedAt": "changed",
}
# A comma for a point, a state that nobody knows, a line cut short, a refund above the amount, a year long ago.
BROKEN_LINES = (
    'T1,C000010,2025-01-05 10:00:00,"12,50",EUR,shipped,,,False,till,2025-01-05 12:00:00',
    "T2,C000011,2025-01-05 10:00:00,12.50,EUR,teleported,,,False,till,2025-01-05 12:00:00",
    "T3,C000012,2025-01-05 10:00:00,12.50",
    "T4,C000013,2025-01-05 10:00:00,12.50,EUR,shipped,99.00,2025-01-07,False,till,2025-01-07 12:00:00",
    "T5,C000014,0025-01-05 10:00:00,12.50,EUR,shipped,,,False,till,2025-01-05 12:00:00",
)


def deliver_orders(landing: Landing, orders: pd.DataFrame, first_month: np.datetime64, until: np.datetime64) -> None:
    """orders and orders_british: an old system's first year as Parquet, then quarters as .csv.gz, the last year month
    by month; the till's late file; and, in arrives_later/, what comes on the day `until`.
    """
    versions = _versions(orders, first_month, until)
    british = versions["Currency"] == "GBP"
    _write_main_shop(landing, versions[~british], first_month, until)
    rows = versions[british & (versions["delivered"] < until)]
    for year, chosen in rows.groupby(rows["delivered"].dt.year):
        landing.write("orders_british", f"orders-{year}.csv", _export(chosen)[list(BRITISH)].rename(columns=BRITISH))


def _versions(orders: pd.DataFrame, first_month: np.datetime64, until: np.datetime64) -> pd.DataFrame:
    """One row per version of an order, in the order of delivery; `delivered` is the day on which it is sent."""
    placed = orders["placed"]
    amount = orders["amount"].where(~orders["is_free_sample"], 0.0)
    # Half of the last two days' orders are not paid yet, and what is younger than five days is not shipped.
    unpaid = (placed >= until - 2 * DAY) & orders["pays_late"]
    states = np.select(
        [unpaid, orders["outcome"] == "void", placed >= until - 5 * DAY],
        ["awaiting_payment", "void", "complete"],
        "shipped",
    )
    first = pd.DataFrame(
        {
            "OrderNumber": "E" + orders["number"].astype(str),
            "CustomerNumber": customer_ids(orders["customer"]).where(~orders["is_guest"], None),
            "PlacedAt": placed,
            "GrossTotal": amount.where(orders["outcome"] != "wrong_amount", (amount * 10).round(2)),
            "Currency": orders["currency"],
            "State": states,
            "RefundedTotal": np.nan,
            "RefundedOn": pd.Series([None] * len(orders), dtype=object),
            "TestOrder": orders["is_test"],
            "SoldThrough": orders["channel"],
            "ChangedAt": placed + 2 * 3600 * SECOND,
            "delivered": placed.dt.floor("D") + pd.to_timedelta(orders["days_late"], unit="D"),
        }
    )
    # Two weeks in which the till was offline: its orders came in one file, nine weeks later.
    offline = first_month + 700 * DAY
    at_till = (orders["channel"] == "till") & placed.between(offline, offline + 14 * DAY)
    first.loc[at_till, "delivered"] = pd.Timestamp(offline + 75 * DAY)
    first["late_file"] = at_till

    changes = orders["outcome"].isin(["refund", "part_refund", "wrong_amount"]) & ~orders["is_free_sample"] & ~unpaid
    outcome, settled = orders.loc[changes, "outcome"], orders.loc[changes, "settled"]
    # What would be settled in the next three weeks is settled on `until`: that is what arrives_later/ brings.
    soon = (settled >= until) & (settled < until + 21 * DAY)
    settled = settled.where(~soon, until + (settled - settled.dt.floor("D")))
    second = first[changes].copy()
    second["GrossTotal"] = amount[changes]
    second["State"] = np.where(outcome == "refund", "returned", "shipped")
    part = (amount[changes] * orders.loc[changes, "refund_share"]).round(2)
    second["RefundedTotal"] = part.where(outcome == "part_refund", np.nan)  # a full return has no amount
    second["RefundedOn"] = settled.dt.strftime("%Y-%m-%d").where(outcome != "wrong_amount", None)
    second["ChangedAt"] = settled
    second["delivered"] = settled.dt.floor("D").where(settled.dt.floor("D") > second["delivered"], second["delivered"])
    second["late_file"] = second["late_file"] & (second["delivered"] == pd.Timestamp(offline + 75 * DAY))
    versions = pd.concat([first, second])
    return versions.sort_values(["delivered", "OrderNumber", "ChangedAt"], kind="stable")


def _export(versions: pd.DataFrame) -> pd.DataFrame:
    """The rows as text: money with two decimals, nothing where there is nothing."""
    rows = versions.copy()
    for column in ("GrossTotal", "RefundedTotal"):
        rows[column] = rows[column].map("{:.2f}".format, na_action="ignore")
    return rows


def _write_main_shop(
    landing: Landing, versions: pd.DataFrame, first_month: np.datetime64, until: np.datetime64
) -> None:
    delivered, late_file = versions["delivered"].to_numpy(), versions["late_file"].to_numpy()
    columns = [name for name in versions.columns if name not in ("delivered", "late_file")]
    old_end = (first_month.astype("datetime64[M]") + 12).astype("datetime64[D]")
    year_ago = (until.astype("datetime64[M]") - 12).astype("datetime64[D]")
    landing.write(
        "orders", f"{first_month}_old_system.parquet", versions.loc[~late_file & (delivered < old_end), columns]
    )
    start, number = old_end, 0
    while start < until:
        is_recent = start >= year_ago
        end = (start.astype("datetime64[M]") + (1 if is_recent else 3)).astype("datetime64[D]")
        rows = _export(versions.loc[~late_file & (delivered >= start) & (delivered < min(end, until)), columns])
        name = f"{str(start)[:7]}.csv" if is_recent else f"{str(start)[:7]}_quarter.csv.gz"
        # Two broken lines a month; the files are large enough for that to be a trifle.
        broken = [BROKEN_LINES[(number + shift) % len(BROKEN_LINES)] for shift in (0, 1)]
        landing.write("orders", name, rows, broken=broken if is_recent and end < until else ())
        start, number = end, number + 1
    late = _export(versions.loc[late_file & (delivered < until), columns])
    landing.write("orders", f"{first_month + 775 * DAY}_till_was_offline.csv", late)
    next_day = (delivered >= until) & (versions["ChangedAt"].to_numpy() < until + DAY)
    next_name = f"{until}_late_and_corrected.csv"
    landing.write("orders", next_name, _export(versions.loc[next_day, columns]), folder="arrives_later")
