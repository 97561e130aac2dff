"""Which views the report has, in their order, and which KPIs each of them shows. A view without data hides itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class View:
    """One view. `kind` names the function of static/report.js that draws it; `kpis` are those that it shows, as lines
    of one chart per entry (ids in one entry share a chart).
    """

    id: str
    kind: str
    kpis: tuple[tuple[str, ...], ...] = ()

    def as_data(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)


CUSTOMER_BRIDGE = ("customers_start", "customers_new", "customers_reactivated", "customers_lost", "customers_end")
MRR_BRIDGE = (
    *("mrr_start", "mrr_new", "mrr_reactivation", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_fx"),
    "mrr_end",
)
# What a bridge takes away.
NEGATIVE = ("customers_lost", "mrr_contraction", "mrr_churn")

VIEWS: tuple[View, ...] = (
    View("alerts", "alerts"),
    View("goals", "goals"),
    View("customer_bridge", "bridge", (CUSTOMER_BRIDGE,)),
    View("mrr_bridge", "bridge", (MRR_BRIDGE,)),
    View(
        "revenue_retention",
        "lines",
        (
            ("gross_revenue_retention", "net_revenue_retention"),
            ("gross_revenue_retention_12m", "net_revenue_retention_12m"),
        ),
    ),
    View("churn", "lines", (("customer_churn_rate",), ("involuntary_churn_rate", "voluntary_churn_rate"))),
    View("cohorts", "cohorts"),
    View("survival", "survival"),
    View(
        "order_rhythm",
        "lines",
        (
            ("repeat_purchase_rate", "returning_customer_rate", "period_repurchase_rate"),
            ("time_between_purchases_median", "time_to_next_purchase_km_median"),
        ),
    ),
    View("engagement", "lines", (("dau", "wau", "mau"), ("stickiness", "engagement_index"))),
    View("lness", "lness"),
    View("voice", "lines", (("nps",), ("csat",), ("nps_responses", "survey_responses"))),
    View("email", "lines", (("email_open_rate", "email_click_rate"), ("emails_delivered",))),
    View(
        "support",
        "lines",
        (("tickets_opened",), ("first_reply_hours_median", "resolution_hours_median"), ("ticket_unresolved_48h_rate",)),
    ),
    View("payments", "lines", (("failed_payment_rate", "payment_recovery_rate"), ("invoices_attempted",))),
    View("acquisition", "lines", (("customer_acquisition_cost",), ("ltv_to_cac",))),
    View("league", "league"),
    View("benchmarks", "benchmarks"),
    View("at_risk", "at_risk"),
    View("restatements", "restatements"),
    View("quality", "quality"),
    View("definitions", "definitions"),
)
