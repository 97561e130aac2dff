"""What the payment provider collected: an invoice per subscription and month, of which some fail at first."""

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing

DAY = np.timedelta64(1, "D")
RETRY_AFTER_DAYS = (0, 3, 7, 14)
FAILS_AT_FIRST = 0.03
RETRY_SUCCEEDS = 0.55
REASONS = np.array(["insufficient_funds", "card_expired", "do_not_honor"])
REASON_SHARE = np.array([0.5, 0.3, 0.2])


def make_invoices(generator: np.random.Generator, phases: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """One row per invoice: number, subscription, customer, due (date), amount, currency, and the attempt that succeeds
    (0 the first; -1 none so far).
    """
    begins = pd.to_datetime(phases["started_on"]).to_numpy().astype("datetime64[D]")
    known_end = pd.to_datetime(phases["ended_on"]).to_numpy().astype("datetime64[D]")
    ends = np.where(np.isnat(known_end), until, np.minimum(known_end, until))
    status = phases["status"].to_numpy()
    step = np.where(phases["interval"] == "year", 12, 1)
    months = (ends.astype("datetime64[M]") - begins.astype("datetime64[M]")).astype(int)
    # an active phase bills at its start and each interval after; a phase of dunning is one invoice that failed at first
    count = np.where(status == "active", np.maximum(months, 0) // step + 1, np.where(status == "past_due", 1, 0))
    row = np.repeat(np.arange(len(phases)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    day_of_month = (begins[row] - begins[row].astype("datetime64[M]")).astype(int)
    due = (begins[row].astype("datetime64[M]") + nth * step[row]).astype("datetime64[D]") + np.minimum(
        day_of_month, 27
    ) * DAY
    recovers = (status == "past_due") & (phases["status"].shift(-1) == "active").to_numpy()
    recovers &= (phases["subscription_id"].shift(-1) == phases["subscription_id"]).to_numpy()
    succeeds = np.where(generator.random(len(row)) < FAILS_AT_FIRST, generator.geometric(RETRY_SUCCEEDS, len(row)), 0)
    succeeds = np.where(succeeds >= len(RETRY_AFTER_DAYS), -1, succeeds)
    in_dunning = status[row] == "past_due"
    succeeds = np.where(in_dunning, np.where(recovers[row], generator.integers(1, 4, len(row)), -1), succeeds)
    price = phases["amount"].astype(float).to_numpy() * phases["quantity"].astype(int).to_numpy()
    price = price - phases["recurring_discount"].astype(float).to_numpy()
    invoices: pd.DataFrame = pd.DataFrame(
        {
            "subscription": phases["subscription_id"].to_numpy()[row],
            "customer": phases["customer_id"].to_numpy()[row],
            "due": due,
            "amount": price[row].round(2),
            "currency": phases["currency"].to_numpy()[row],
            "succeeds": succeeds,
            "reason": REASONS[generator.choice(len(REASONS), size=len(row), p=REASON_SHARE)],
            "clock": generator.integers(4 * 3600, 6 * 3600, size=len(row)),
        }
    )
    invoices = invoices[(due < ends[row]) & (due < until) & (invoices["amount"] > 0).to_numpy()]
    invoices = invoices.sort_values(["due", "subscription"], kind="stable", ignore_index=True)
    invoices.insert(0, "number", np.arange(1, len(invoices) + 1))
    return invoices


def deliver_payments(landing: Landing, invoices: pd.DataFrame, until: np.datetime64) -> None:
    """payments: a file per year with every attempt, in the provider's words."""
    parts = []
    for attempt, after in enumerate(RETRY_AFTER_DAYS):
        made = invoices[(invoices["succeeds"] == -1) | (invoices["succeeds"] >= attempt)]
        time = made["due"] + pd.Timedelta(days=after) + pd.to_timedelta(made["clock"], unit="s")
        success = made["succeeds"] == attempt
        parts.append(
            pd.DataFrame(
                {
                    "payment": "P" + made["number"].astype(str).str.zfill(7) + f"-{attempt + 1}",
                    "invoice": "I" + made["number"].astype(str).str.zfill(7),
                    "customer": made["customer"],
                    "subscription": made["subscription"],
                    "time": time,
                    "amount": made["amount"].map("{:.2f}".format),
                    "currency": made["currency"],
                    "result": np.where(success, "paid", "declined"),
                    "reason": made["reason"].where(~success, ""),
                }
            )
        )
    rows = pd.concat(parts).sort_values(["time", "payment"], kind="stable")
    rows = rows[rows["time"] < pd.Timestamp(until)]
    years = rows["time"].dt.year
    rows["time"] = rows["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    for year, chosen in rows.groupby(years):
        landing.write("payments", f"attempts_{year}.csv.gz", chosen)
