"""Rules between KPIs of one cell (same grain, period, basis, segment). Declarations only; contract.py checks them.

`value(kpi)` and `numerator(kpi)` stand for that KPI's column; a rule that names an absent or NULL figure says nothing.
Bridges of the period tables themselves are not here: publish/audit.py proves them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """A sentence and the SQL condition that says the same."""

    sentence: str
    condition: str


TOLERANCE = "1e-9"


def equal(left: str, right: str) -> str:
    """SQL: two doubles are equal to 1e-9, relative where they are large."""
    return f"abs(({left}) - ({right})) <= {TOLERANCE} * greatest(1, abs({left}))"


IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "customers retained and customers lost are together everybody who was there at the start",
        equal("value(customer_retention_rate) + value(customer_churn_rate)", "1"),
    ),
    Identity(
        "customers at the end = start + new + reactivated - lost",
        equal(
            "value(customers_start) + value(customers_new) + value(customers_reactivated) - value(customers_lost)",
            "value(customers_end)",
        ),
    ),
    Identity(
        "gross revenue retention is at most 1 and at most net revenue retention",
        f"value(gross_revenue_retention) <= least(1, value(net_revenue_retention)) + {TOLERANCE}",
    ),
    Identity(
        "gross revenue retention over 12 months is at most 1 and at most net revenue retention over 12 months",
        f"value(gross_revenue_retention_12m) <= least(1, value(net_revenue_retention_12m)) + {TOLERANCE}",
    ),
    Identity(
        "MRR churn rate = 1 - gross revenue retention",
        equal("value(mrr_churn_rate)", "1 - value(gross_revenue_retention)"),
    ),
    Identity(
        "revenue growth of existing customers = net revenue retention - 1",
        equal("value(existing_customer_revenue_growth)", "value(net_revenue_retention) - 1"),
    ),
    Identity(
        "cancelled customers lose at most what all lose",
        f"value(mrr_churn_rate_cancelled) <= value(mrr_churn_rate) + {TOLERANCE}",
    ),
    Identity(
        "MRR at the end = start + new + reactivation + expansion - contraction - churn + revaluation",
        equal(
            "value(mrr_start) + value(mrr_new) + value(mrr_reactivation) + value(mrr_expansion) - "
            "value(mrr_contraction) "
            "- value(mrr_churn) + value(mrr_fx)",
            "value(mrr_end)",
        ),
    ),
    Identity(
        "lost customers of all classes of churn are the customers lost",
        equal(
            "numerator(involuntary_churn_rate) + numerator(voluntary_churn_rate) + numerator(unknown_churn_rate)",
            "numerator(customer_churn_rate)",
        ),
    ),
    Identity(
        "paying customers at the end are the customers at the end of basis subscription",
        equal("value(paying_customers_end)", "value(customers_end)"),
    ),
    Identity(
        "repeat customers and one-time customers are together all buyers",
        equal("value(repeat_customer_rate) + value(one_time_customer_rate)", "1"),
    ),
    *(
        Identity(
            f"who bought again within {days} days did so within {longer} days",
            f"numerator(repurchase_within_{days}d) <= numerator(repurchase_within_{longer}d)",
        )
        for days, longer in ((30, 60), (60, 90), (90, 180), (180, 365))
    ),
)
