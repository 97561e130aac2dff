"""95 % intervals of figures: Wilson's for shares of counted units, and that of the net promoter score."""

from __future__ import annotations

from math import sqrt
from typing import Any

from oracle.order_figures import HORIZONS

Z = 1.959964
Interval = tuple[float | None, float | None]
NO_INTERVAL: Interval = (None, None)
# Ratios whose numerator counts a subset of the denominator. Not what events or money are counted of, nor *_formula.
PROPORTIONS = {
    "customer_retention_rate",
    "customer_churn_rate",
    "repeat_purchase_rate",
    "repeat_purchase_rate_base",
    "returning_customer_rate",
    "repeat_customer_rate",
    "repeat_customer_rate_by_orders",
    "one_time_customer_rate",
    "period_repurchase_rate",
    "loyal_customer_share",
    *(f"repurchase_within_{days}d" for days in HORIZONS),
    "renewal_rate",
    "involuntary_churn_rate",
    "voluntary_churn_rate",
    "unknown_churn_rate",
    "failed_payment_rate",
    "payment_recovery_rate",
    "promoter_share",
    "passive_share",
    "detractor_share",
    "csat",
    "email_open_rate",
    "email_open_rate_raw",
    "email_click_rate",
    "email_click_to_open_rate",
    "ticket_unresolved_48h_rate",
    "referral_share",
}


def with_intervals(cells: dict[tuple[Any, ...], dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The KPI cells with `ci_low` and `ci_high`; the first part of a key is the KPI."""
    shares = {
        (key[0].removesuffix("_share"), *key[1:]): cell["numerator"]
        for key, cell in cells.items()
        if key[0] in ("promoter_share", "detractor_share")
    }
    found = {}
    for key, cell in cells.items():
        low, high = NO_INTERVAL
        if cell["value"] is None:
            pass
        elif key[0] in PROPORTIONS:
            low, high = wilson(cell["numerator"], cell["n"])
        elif key[0] == "nps":
            low, high = of_nps(shares["promoter", *key[1:]], shares["detractor", *key[1:]], cell["n"])
        found[key] = cell | {"ci_low": low, "ci_high": high}
    return found


def wilson(successes: float, n: float) -> Interval:
    """Without continuity correction."""
    share = successes / n
    middle = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (middle - half) / (1 + Z**2 / n), (middle + half) / (1 + Z**2 / n)


def of_nps(promoters: float, detractors: float, n: float) -> Interval:
    """The score less and plus, within [-100, 100]; none of a single answer, which has no variance."""
    if n < 2:
        return NO_INTERVAL
    p, d = promoters / n, detractors / n
    half = 100 * Z * sqrt(max(p + d - (p - d) ** 2, 0.0) / n)
    return max(100 * (p - d) - half, -100.0), min(100 * (p - d) + half, 100.0)
