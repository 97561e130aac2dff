"""What the customers order: how often, for how much, when they stop, and who comes back after a break.

The orders as they really were. In which files and versions the shop's systems sent them is in order_files.py.
"""

import numpy as np
import pandas as pd

from retention_pipeline.demo.people import SEASON, month_of_year

POUNDS_PER_EURO = 0.86
SECOND = np.timedelta64(1, "s")


def _runs(
    generator: np.random.Generator,
    first: np.ndarray,
    lifetime: np.ndarray,
    gap: np.ndarray,
    longest: int,
    until: np.datetime64,
) -> tuple[np.ndarray, np.ndarray]:
    """Purchase days of one run of orders per customer: (position of the customer, day), gaps gamma-distributed."""
    steps = generator.gamma(2.0, 0.5, size=(len(first), longest)) * gap[:, None]
    offsets = np.concatenate([np.zeros((len(first), 1)), np.cumsum(np.maximum(1, steps), axis=1)], axis=1)
    days = first[:, None] + offsets.astype(np.int64)
    keep = (offsets <= lifetime[:, None]) & (days < until)
    position, _ = np.nonzero(keep)
    return position, days[keep]


def make_orders(generator: np.random.Generator, people: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """One row per order, by the shop's own time.

    Columns: number, customer, placed (local), amount, currency, channel, how it ends (outcome, settled), what is odd.
    """
    buyers = people[people["role"].isin(["shopper", "both"])]
    count, quality = len(buyers), buyers["quality"].to_numpy()
    joined = buyers["joined"].to_numpy().astype("datetime64[D]").astype(int)
    end = until.astype(int)

    slow_start = np.where(buyers["role"] == "both", 40.0, 4.0)
    first = joined + generator.exponential(slow_start).astype(int)
    gap = np.clip(generator.lognormal(np.log(37), 0.5, size=count), 9, 160)
    once = generator.random(count) < np.clip(0.33 / quality, 0.10, 0.80)
    lifetime = np.where(once, 0, generator.exponential(390 * quality))
    returns = np.flatnonzero(generator.random(count) < 0.16 * quality)
    again = (first + lifetime + generator.integers(100, 420, size=count)).astype(int)[returns]
    runs = [
        _runs(generator, first, lifetime, gap, 60, end),
        _runs(generator, again, generator.exponential(150, size=len(returns)), gap[returns], 15, end),
    ]
    position = np.concatenate([runs[0][0], returns[runs[1][0]]])
    day = np.concatenate([runs[0][1], runs[1][1]]).astype("datetime64[D]")
    # The season thins out later orders; a customer's first one brought them here and stays.
    is_first = day.astype(int) == first[position]
    kept = is_first | (generator.random(len(day)) < 0.55 + 0.45 * (SEASON / SEASON.max())[month_of_year(day)])
    position, day = position[kept], day[kept]

    seconds = (generator.beta(3.0, 2.2, size=len(day)) * 17.5 * 3600 + 6.4 * 3600).astype(int)
    placed = day.astype("datetime64[s]") + seconds * SECOND
    order = np.lexsort((position, placed))
    position, placed, day = position[order], placed[order], day[order]
    size = len(placed)

    office = (buyers["kind"] == "office").to_numpy()[position]
    level = generator.lognormal(np.log(31), 0.35, size=count)[position] * np.where(office, 3.1, 1.0)
    amount = level * generator.lognormal(0, 0.3, size=size) * (1 + 0.12 * (month_of_year(day) == 11))
    in_pounds = (buyers["country"] == "GB").to_numpy()[position]
    amount = np.round(np.where(in_pounds, amount * POUNDS_PER_EURO, amount), 2)

    years = (until - day).astype(int) / 365.0
    app_share = np.clip(0.45 - 0.12 * years, 0.05, 0.5)
    draw = generator.random(size)
    channel = np.where(draw < app_share, "app", np.where(draw < 0.88, "web", "till"))
    outcome = generator.choice(
        ["complete", "void", "refund", "part_refund", "wrong_amount"], size=size, p=[0.939, 0.025, 0.018, 0.013, 0.005]
    )
    return pd.DataFrame(
        {
            "number": np.arange(100_001, 100_001 + size),
            "customer": buyers["number"].to_numpy()[position],
            "placed": placed,
            "amount": amount,
            "currency": np.where(in_pounds, "GBP", "EUR"),
            "channel": channel,
            "outcome": outcome,
            "settled": placed + generator.integers(3 * 86400, 50 * 86400, size=size) * SECOND,
            "refund_share": generator.choice([0.25, 0.5, 0.75], size=size),
            "pays_late": generator.random(size) < 0.5,
            "is_test": generator.random(size) < 0.001,
            "is_free_sample": generator.random(size) < 0.003,
            "is_guest": generator.random(size) < 0.012,
            "days_late": np.where(generator.random(size) < 0.008, generator.integers(20, 95, size=size), 0),
        }
    )
