"""What a pound was worth: one rate per working day (weekends take Friday's, as the ECB's list has it)."""

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing


def make_rates(generator: np.random.Generator, first_month: np.datetime64, until: np.datetime64) -> pd.DataFrame:
    """One row per working day from a week before `first_month`: day, code, rate (EUR for one GBP, 6 decimals)."""
    days = np.arange(first_month - 7, until)
    steps = generator.normal(0, 0.0025, size=len(days))
    level, rates = 0.0, np.empty(len(days))
    for position, step in enumerate(steps):
        level = 0.995 * level + step
        rates[position] = 1.165 * np.exp(level)
    frame = pd.DataFrame({"day": days, "code": "GBP", "rate": np.round(rates, 6)})
    return frame[np.is_busday(days)].reset_index(drop=True)


def deliver_rates(landing: Landing, rates: pd.DataFrame) -> None:
    """fx_rates: one file."""
    landing.write("fx_rates", "ecb_rates.csv", rates)
