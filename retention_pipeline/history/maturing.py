"""Figures of complete periods that are not settled yet, though they have values: of renewals, as long as terms of the
period may be pending. What becomes of them until then is not a restatement and is not held back, as with figures that
are `immature`.
"""

from __future__ import annotations

from datetime import date

from retention_pipeline.freshness.figures import horizon_days
from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.kpis.rules import date_literal, text_literal
from retention_pipeline.read.members import columns_in
from retention_pipeline.settings import Settings

# What moves as the days of grace of terms pass.
RESOLVING = {
    "renewals_pending",
    "renewals_renewed",
    "renewals_not_renewed",
    "renewal_mrr_due",
    "renewal_mrr_renewed",
}


def is_maturing(settings: Settings, as_of: date) -> str:
    """SQL over kpi and period_end: figures as of a day that are not settled."""
    kpis = [kpi for kpi in KPIS if _resolves(kpi)]
    days = max(horizon_days(kpi, settings) for kpi in kpis)
    listed = ", ".join(text_literal(kpi.id) for kpi in kpis)
    return f"(kpi in ({listed}) and period_end + {days} > {date_literal(as_of)})"


def _resolves(kpi: Kpi) -> bool:
    return any(columns_in(text) & RESOLVING for text in (kpi.value, kpi.numerator, kpi.denominator) if text)
