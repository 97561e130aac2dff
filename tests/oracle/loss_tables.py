"""`lost_by_reason`: why the customers who were lost in a period left."""

from __future__ import annotations

from collections import Counter
from typing import Any

from oracle.churn_classes import class_and_reason
from oracle.company import Company

Cells = dict[tuple[Any, ...], dict[str, Any]]


def lost_by_reason(company: Company) -> Cells:
    """Customers lost by (grain, period_start, segment_dimension, segment_value, churn_class, end_reason); like
    `customers_lost` none where the opening is cut.
    """
    begun = company.first_day["subscription"]
    history_start = company.rules.history_start
    found: Counter[tuple[Any, ...]] = Counter()
    for grain in company.rules.grains if begun else ():
        for period in company.periods(grain, min(begun.values())):
            if (history_start and period.end <= history_start) or company.is_cut("subscription", period.start):
                continue
            for customer in begun:
                was_active = company.is_active("subscription", customer, period.start)
                if not was_active or company.is_active("subscription", customer, period.close):
                    continue
                reason = class_and_reason(company, customer, period.close)
                for dimension in ("all", *company.rules.dimensions):
                    value = company.value_in_period(dimension, customer, period)
                    found[grain, period.start, dimension, value, *reason] += 1
    return {key: {"customers_lost": count} for key, count in found.items()}
