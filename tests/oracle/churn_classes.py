"""Why a subscription customer left: involuntary, voluntary or unknown."""

from __future__ import annotations

from datetime import date

from oracle.company import Company
from oracle.phases import Phase


def churn_class(company: Company, customer: str, close: date) -> str:
    """Class of a customer who does not count at the close but did before."""
    last_day = max(day for day in company.active_days["subscription"][customer] if day < close)
    phase = leading_phase(company, customer, last_day)
    if phase.status == "past_due":
        return "involuntary"
    # Only the phase that follows at once is asked, and only where the own reason has no class.
    classes = company.rules.churn_reason_classes
    following = phase.next_phase
    reasons = [phase.end_reason]
    if following is not None and following.start < close:
        reasons.append(following.end_reason)
    named = [classes[reason] for reason in reasons if reason in classes]
    return named[0] if named and named[0] in ("involuntary", "voluntary") else "unknown"


def leading_phase(company: Company, customer: str, day: date) -> Phase:
    """Of the phases counted on the day that with the highest MRR, then the first subscription_id."""
    return min(
        company.counted_on(customer, day),
        key=lambda phase: (-phase.mrr * company.rates.rate(phase.currency, day), phase.subscription),
    )
