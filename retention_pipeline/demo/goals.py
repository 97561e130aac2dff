"""What the company spends on new customers, what it wants to reach, what others reach, and its loyalty programme."""

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing
from retention_pipeline.demo.people import customer_ids

DAY = np.timedelta64(1, "D")
# EUR per new customer; who comes by themselves costs nothing.
COST_PER_CUSTOMER = {"paid_social": 19.0, "paid_search": 14.0, "referral": 7.5, "email": 3.0, "marketplace": 11.0}
INDUSTRY = "specialty_food"
SOURCE = "Made-up food retail survey"
# kpi, grain, basis, target; all run from half a year ago until half a year from now. Also MRR, by customer ever won.
MRR_PER_CUSTOMER = 6
TARGETS = (
    ("customer_churn_rate", "month", "subscription", 0.05),
    ("repeat_customer_rate", "month", "", 0.55),
    ("nps", "quarter", "", 30),
    ("first_reply_hours_median", "month", "", 2.5),
    ("failed_payment_rate", "month", "", 0.02),
)
BENCHMARKS = (
    ("customer_churn_rate", "month", 0.06),
    ("repeat_customer_rate", "month", 0.45),
    ("net_revenue_retention", "month", 0.96),
    ("nps", "quarter", 35),
    ("email_open_rate", "month", 0.27),
    ("failed_payment_rate", "month", 0.05),
    ("stickiness", "month", 0.18),
)


def deliver_goals(generator: np.random.Generator, landing: Landing, people: pd.DataFrame, until: np.datetime64) -> None:
    """acquisition_costs, kpi_targets, kpi_benchmarks and memberships."""
    month = people["joined"].to_numpy().astype("datetime64[M]")
    joined = (
        people.assign(month=month.astype("datetime64[D]"))
        .groupby(["month", "channel"])
        .size()
        .reset_index(name="count")
    )
    joined["cost"] = joined["channel"].map(COST_PER_CUSTOMER)
    costs = joined.dropna(subset="cost")
    spent = costs["count"] * costs["cost"] * generator.normal(1, 0.08, len(costs))
    landing.write(
        "acquisition_costs",
        "marketing_spend.csv",
        pd.DataFrame(
            {
                "month": costs["month"].dt.strftime("%Y-%m-%d"),
                "amount": spent.map("{:.2f}".format),
                "currency": "EUR",
                "acquisition_channel": costs["channel"],
            }
        ),
    )
    this_month = until.astype("datetime64[M]")
    start, due = (this_month - 6).astype("datetime64[D]"), (this_month + 6).astype("datetime64[D]")
    mrr = ("mrr_end", "month", "", MRR_PER_CUSTOMER * len(people))
    targets = pd.DataFrame((*TARGETS, mrr), columns=["kpi", "grain", "basis", "target"])
    landing.write("kpi_targets", "targets.csv", targets.assign(start_on=str(start), due_on=str(due)))
    benchmarks = pd.DataFrame(BENCHMARKS, columns=["kpi", "grain", "value"])
    years = pd.DataFrame({"year": [int(str(until)[:4]) - 4, int(str(until)[:4]) - 1]})
    landing.write(
        "kpi_benchmarks",
        "industry.csv",
        benchmarks.merge(years, how="cross").assign(industry=INDUSTRY, source=SOURCE),
    )
    member = generator.random(len(people)) < np.clip(0.12 * people["quality"].to_numpy(), 0, 0.5)
    since = people["joined"].to_numpy().astype("datetime64[D]") + generator.integers(30, 500, len(people)) * DAY
    left = since + generator.integers(60, 900, len(people)) * DAY
    members = pd.DataFrame(
        {
            "customer_id": customer_ids(people["number"]),
            "program": "bean_club",
            "joined_at": since.astype(str),
            "left_at": np.where((generator.random(len(people)) < 0.2) & (left < until), left.astype(str), ""),
        }
    )
    landing.write("memberships", "bean_club.csv", members[member & (since < until)])
