"""Who the customers are: when they came, from where, and how good their cohort is; their later changes and merges."""

from typing import Any

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing

GROWTH_PER_MONTH = 1.03
# January … December: gifts before Christmas, a quiet summer.
SEASON = np.array([0.9, 0.9, 0.95, 1.0, 1.0, 0.9, 0.8, 0.8, 0.95, 1.05, 1.3, 1.45])
CHANNELS = np.array(["organic", "paid_social", "paid_search", "referral", "email", "marketplace"])
CHANNEL_SHARE = np.array([0.30, 0.17, 0.18, 0.15, 0.10, 0.10])
CHANNEL_QUALITY = np.array([1.10, 0.70, 0.95, 1.35, 1.05, 0.75])
COUNTRIES = np.array(["NL", "DE", "BE", "GB"])
COUNTRY_SHARE = np.array([0.46, 0.24, 0.12, 0.18])
# What a customer will do: only order, only subscribe, both, or look around and leave.
ROLES = np.array(["shopper", "subscriber", "both", "visitor"])
ROLE_SHARE = np.array([0.62, 0.19, 0.11, 0.08])


def month_of_year(days: np.ndarray) -> np.ndarray:
    """0 … 11 for an array of dates."""
    return days.astype("datetime64[M]").astype(int) % 12


def make_people(
    generator: np.random.Generator, customers: int, first_month: np.datetime64, until: np.datetime64
) -> pd.DataFrame:
    """One row per customer, in order of joining: number, joined (date), country, channel, kind, role, quality."""
    days = np.arange(first_month, until)
    weight = GROWTH_PER_MONTH ** ((days - first_month).astype(int) / 30.4) * SEASON[month_of_year(days)]
    joined = np.sort(generator.choice(days, size=customers, p=weight / weight.sum()))
    month = (joined.astype("datetime64[M]") - first_month.astype("datetime64[M]")).astype(int)

    channel = generator.choice(len(CHANNELS), size=customers, p=CHANNEL_SHARE)
    # Every ninth month a campaign on social media fills the cohort with people who soon leave.
    campaign = (month % 9 == 5) & (generator.random(customers) < 0.35)
    channel = np.where(campaign, 1, channel)
    cohort_quality = np.exp(generator.normal(0, 0.12, size=month.max() + 1)) * 1.004 ** np.arange(month.max() + 1)
    quality = CHANNEL_QUALITY[channel] * cohort_quality[month] * generator.gamma(6, 1 / 6, size=customers)
    quality = np.where(month_of_year(joined) >= 10, quality * 0.85, quality)  # presents bring one-time buyers

    office = generator.random(customers) < 0.14
    return pd.DataFrame(
        {
            "number": np.arange(1, customers + 1),
            "joined": joined,
            "country": COUNTRIES[generator.choice(len(COUNTRIES), size=customers, p=COUNTRY_SHARE)],
            "channel": CHANNELS[channel],
            "kind": np.where(office, "office", "home"),
            "role": ROLES[generator.choice(len(ROLES), size=customers, p=ROLE_SHARE)],
            "quality": np.clip(quality, 0.2, 3.0),
        }
    )


def customer_ids(numbers: Any) -> pd.Series:
    """C000001 … for customer numbers."""
    return "C" + pd.Series(np.asarray(numbers)).astype(str).str.zfill(6)


def deliver_people(
    generator: np.random.Generator, landing: Landing, people: pd.DataFrame, until: np.datetime64
) -> None:
    """customers (as they signed up, and what changed later) and customer_aliases (second accounts that were merged)."""
    count, joined = len(people), people["joined"].to_numpy().astype("datetime64[D]")
    seconds = generator.integers(6 * 3600, 24 * 3600, size=count).astype("timedelta64[s]")
    referrer = np.maximum(1, people["number"].to_numpy() - generator.integers(1, 400, size=count))
    by_referral = (people["channel"] == "referral") & (people["number"] > 1)
    signed_up = pd.DataFrame(
        {
            "customer_id": customer_ids(people["number"]),
            "valid_from": pd.Series([None] * count, dtype=object),
            "signed_up_at": pd.Series(joined.astype("datetime64[s]") + seconds),
            "country": people["country"],
            "acquisition_channel": people["channel"],
            "referred_by": customer_ids(referrer).where(by_referral, None),
            "customer_type": people["kind"],
        }
    )
    landing.write("customers", "customers_signed_up.csv.gz", signed_up)

    # People move, and now and then marketing corrects where somebody came from: a new row with the day it holds from.
    changed = np.sort(generator.choice(count, size=max(2, count // 40), replace=False))
    since = joined[changed] + generator.integers(20, 700, size=len(changed))
    moved = generator.random(len(changed)) < 0.8
    changes = pd.DataFrame(
        {
            "customer_id": customer_ids(people["number"].to_numpy()[changed]),
            "valid_from": since,
            "country": pd.Series(COUNTRIES[generator.integers(0, 3, size=len(changed))]).where(moved, ""),
            "acquisition_channel": pd.Series("referral", index=range(len(changed))).where(~moved, ""),
        }
    )
    landing.write("customers", "customers_changes.csv", changes[changes["valid_from"] < until])

    # A second account, found later: the later number is an alias of the earlier one.
    second = np.sort(generator.choice(np.arange(count // 10, count), size=max(2, count // 150), replace=False))
    main = np.maximum(1, people["number"].to_numpy()[second] - generator.integers(1, 300, size=len(second)))
    found = joined[second] + generator.integers(1, 200, size=len(second))
    aliases = pd.DataFrame(
        {
            "duplicate": customer_ids(people["number"].to_numpy()[second]),
            "keeps": customer_ids(main),
            "merged_on": found,
        }
    )
    landing.write("customer_aliases", "merged_accounts.csv", aliases[aliases["merged_on"] < until])
