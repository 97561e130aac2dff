"""The business settings with their defaults, as kpis.md section 10 names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from oracle.business_days import GRAINS


@dataclass(frozen=True)
class Rules:
    """Everything besides the rows that moves a figure."""

    timezone: str
    reporting_currency: str
    week_start: str = "monday"
    fiscal_year_start: int = 1
    activity_window_days: int = 90
    count_zero_value: bool = False
    loyal_purchase_days: int = 3
    count_past_due_days: int = 30
    fx_max_age_days: int = 7
    data_start: date | None = None
    cohort_event: str = "first_activity"
    renewal_min_term_months: int = 2
    renewal_grace_days: int = 30
    churn_reason_classes: dict[str, str] = field(default_factory=lambda: {"payment_failed": "involuntary"})
    payment_recovery_days: int = 30
    email_window_days: int = 7
    email_unit: str = "delivered"
    csat_positive: dict[int, list[int]] = field(default_factory=lambda: {5: [4, 5], 10: [9, 10], 4: [3, 4]})
    gross_margin: float = 1.0
    min_n: int = 30
    industry: str | None = None
    history_start: date | None = None
    segments: tuple[str, ...] | None = None
    mau_days: int = 28
    active_events: list[str] | None = None
    engagement_cuts: list[int] = field(default_factory=lambda: [1, 4, 12])
    cohort_max_age: dict[str, int] = field(
        default_factory=lambda: {"week": 104, "month": 60, "quarter": 20, "year": 10}
    )
    # What customer_actions lists, each with its days (section 8).
    actions: dict[str, int] = field(
        default_factory=lambda: {"ticket_reminder": 2, "purchase_follow_up": 7, "payment_failed": 0, "renewal_due": 30}
    )
    # The names under which values of a dimension are shown, where it has more than max_segment_values: chosen by the
    # product, which keeps its choice.
    shown: dict[str, dict[str, str]] = field(default_factory=dict)
    grains: tuple[str, ...] = GRAINS
    connected: frozenset[str] = frozenset()
    source_zones: dict[str, ZoneInfo] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The segment dimensions whose dataset is connected."""
        needs = {
            "plan": "subscriptions",
            "first_order_channel": "orders",
            "engagement_group": "events",
            "nps_class": "surveys",
        }
        default = ("country", "acquisition_channel", "plan", "first_order_channel")
        wanted = default if self.segments is None else self.segments
        return tuple(name for name in wanted if needs.get(name, "customers") in self.connected)

    @property
    def bases(self) -> tuple[str, ...]:
        both = {"subscription": "subscriptions", "order": "orders"}
        return (*(basis for basis, dataset in both.items() if dataset in self.connected), "any")


def read_rules(settings: dict[str, Any]) -> Rules:
    """Rules from the parsed settings.yaml (dates as text or dates)."""
    known = {name for name in Rules.__dataclass_fields__}
    business = {name: value for name, value in settings["business"].items() if name in known}
    for name in ("history_start", "segments", "cohort_max_age", "actions"):
        if settings.get(name) is not None:
            business[name] = settings[name]
    for name in ("history_start", "data_start"):
        if isinstance(business.get(name), str):
            business[name] = date.fromisoformat(business[name])
    if "segments" in business:
        business["segments"] = tuple(business["segments"])
    grains = tuple(settings.get("grains", GRAINS))
    sources = settings["sources"]
    zones = {name: ZoneInfo(source.get("timezone", "UTC")) for name, source in sources.items()}
    return Rules(**business, grains=grains, connected=frozenset(sources), source_zones=zones)
