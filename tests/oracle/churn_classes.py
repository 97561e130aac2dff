"""Why a subscription customer left: involuntary, voluntary or unknown."""

from __future__ import annotations

from datetime import date

from oracle.company import Company
from oracle.phases import Phase, comparable_mrr


def churn_class(company: Company, customer: str, close: date) -> str:
    """Class of a customer who does not count at the close but did before."""
    return class_and_reason(company, customer, close)[0]


def class_and_reason(company: Company, customer: str, close: date) -> tuple[str, str]:
    """The class, and the reason that decides it; where none has a class the first that is given, else `(none)`."""
    last_day = max(day for day in company.active_days["subscription"][customer] if day < close)
    phase = leading_phase(company, customer, last_day)
    if phase.status == "past_due":
        return "involuntary", "past_due"
    # Only the phase that follows at once is asked, and only where the own reason has no class.
    classes = company.rules.churn_reason_classes
    following = phase.next_phase
    reasons = [phase.end_reason]
    if following is not None and following.start < close:
        reasons.append(following.end_reason)
    given = [reason for reason in reasons if reason]
    for reason in given:
        if reason in classes:
            return classes[reason] if classes[reason] in ("involuntary", "voluntary") else "unknown", reason
    return "unknown", given[0] if given else "(none)"


def leading_phase(company: Company, customer: str, day: date) -> Phase:
    """Of the phases counted on the day that with the highest MRR, then the first subscription_id."""
    counted = company.counted_on(customer, day)
    mrr = comparable_mrr(counted, day, company.rates)
    return min(counted, key=lambda phase: (-mrr[phase], phase.subscription))
