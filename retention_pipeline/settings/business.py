"""Settings that move figures; defaults and meaning are in docs/kpis.md."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, field_validator

from retention_pipeline.settings.kinds import Count, Currency, Days, DaysFromZero, Strict, Timezone, Weekday


class ClvGates(Strict):
    """What the data must fulfil before a predicted lifetime value is given."""

    min_buyers: Count = 500
    min_history_days: DaysFromZero = 180
    min_repeaters: Count = 100
    max_correlation: float = 0.3


class Business(Strict):
    """Settings that move figures; what each means is listed in docs/kpis.md."""

    timezone: Timezone
    reporting_currency: Currency
    week_start: Weekday = "monday"
    fiscal_year_start: Annotated[int, Field(ge=1, le=12)] = 1
    activity_window_days: Days = 90
    count_zero_value: bool = False
    loyal_purchase_days: Annotated[Count, Field(ge=1)] = 3
    count_past_due_days: DaysFromZero = 30
    fx_max_age_days: Annotated[DaysFromZero, Field(le=36_500)] = 7
    data_start: date | None = None
    cohort_event: Literal["first_activity", "signup"] = "first_activity"
    renewal_min_term_months: Annotated[float, Field(ge=0)] = 2
    renewal_grace_days: Days = 30
    payment_recovery_days: Days = 30
    churn_reason_classes: dict[str, Literal["voluntary", "involuntary", "unknown"]] = Field(
        default={"payment_failed": "involuntary"}
    )
    gross_margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_n: Count = 30
    mau_days: Annotated[int, Field(ge=7, le=365)] = 28
    active_events: Annotated[list[str], Field(min_length=1)] | None = None
    engagement_cuts: Annotated[list[Count], Field(min_length=3, max_length=3)] = Field(default=[1, 4, 12])
    email_window_days: Days = 7
    email_unit: Literal["delivered", "sent"] = "delivered"
    csat_positive: dict[int, list[int]] = Field(default={5: [4, 5], 10: [9, 10], 4: [3, 4]})
    industry: str | None = None
    clv_gates: ClvGates = ClvGates()

    @field_validator("engagement_cuts")
    @classmethod
    def _cuts_rise(cls, cuts: list[int]) -> list[int]:
        if cuts != sorted(set(cuts)) or cuts[0] < 1:
            raise ValueError("the cuts must rise and start at 1 or more")
        return cuts


class CohortMaxAge(Strict):
    """The greatest age of a cohort that is shown, in periods of the grain."""

    week: Count = 104
    month: Count = 60
    quarter: Count = 20
    year: Count = 10
