"""KPIs of the family `engagement`: who was active on which days, how often, and who came, stayed and went.

An active day is a customer and business day with a counted event; windows end at the close of the period.
"""

from typing import Any

from retention_pipeline.kpis import customers, look_backs
from retention_pipeline.kpis.declaration import SHARE, Family, Headline, Kpi, count, ratio
from retention_pipeline.kpis.identities import Identity, equal
from retention_pipeline.kpis.inputs import Borrowed, Histogram
from retention_pipeline.kpis.measures import balances, flows, once_per_period

FAMILY = Family(
    name="engagement",
    label="Engagement",
    period_table="period_engagement",
    bases=("all",),
    datasets=("events",),
    measures=(
        *flows("active_days", "active_new", "session_events"),
        *once_per_period("active_customers", "active_returning", "active_resurrected", "active_dormant"),
        *balances("wau", "mau", "yau", "mau_active_days", "index_active_days"),
    ),
    further_measures=balances("customers_end_any", "customers_known"),
    first_row="the first active day",
    borrowed=(Borrowed(customers.FAMILY, "any", ("customers_end",)),),
    histograms=(
        Histogram(
            "period_session_lengths",
            value="duration_seconds",
            count="events",
            quantiles=(("session_seconds_median", "0.5"),),
        ),
    ),
)

MAU_WINDOW = look_backs.days_before_close("mau_days")
EVENTS: dict[str, Any] = {"settings": ("active_events",)}
IN_WINDOW: dict[str, Any] = {"settings": ("active_events", "mau_days"), "look_back": (MAU_WINDOW,)}

KPIS: tuple[Kpi, ...] = (
    ratio(
        "dau",
        "Daily active customers",
        "Mean over the days of the period so far of the customers active on the day: active days / days.",
        FAMILY,
        "active_days",
        "days_in_period",
        n="days_in_period",
        unit="count",
        look_back=(look_backs.PERIOD,),
        better="higher",
        **EVENTS,
    ),
    count(
        "wau",
        "Weekly active customers",
        "Distinct customers active in the 7 days before the close.",
        FAMILY,
        look_back=(look_backs.days_before_close(7),),
        better="higher",
        **EVENTS,
    ),
    count(
        "mau",
        "Monthly active customers",
        "Distinct customers active in the mau_days days before the close.",
        FAMILY,
        better="higher",
        headline=Headline("Engagement", 500),
        **IN_WINDOW,
    ),
    count(
        "yau",
        "Yearly active customers",
        "Distinct customers active in the 365 days before the close.",
        FAMILY,
        look_back=(look_backs.YEAR,),
        better="higher",
        **EVENTS,
    ),
    ratio(
        "stickiness",
        "Stickiness",
        "Active days in the mau_days days before the close / (mau_days x customers active in them): the share of "
        "days on which a monthly active customer is active.",
        FAMILY,
        "mau_active_days",
        "{mau_days} * mau",
        n="mau",
        valid_range=SHARE,
        better="higher",
        headline=Headline("Engagement", 510),
        **IN_WINDOW,
    ),
    ratio(
        "stickiness_yearly",
        "Stickiness over a year",
        "Customers active in the mau_days days before the close / customers active in the 365 days before it.",
        FAMILY,
        "mau",
        "yau",
        n="yau",
        valid_range=SHARE,
        better="higher",
        look_back=(look_backs.YEAR,),
        settings=("active_events", "mau_days"),
    ),
    ratio(
        "lness_mean",
        "Active days per monthly active customer",
        "Active days in the mau_days days before the close / customers active in them (mau_days x stickiness). The "
        "table engagement_lness has the customers per number of days.",
        FAMILY,
        "mau_active_days",
        "mau",
        n="mau",
        unit="days",
        better="higher",
        **IN_WINDOW,
    ),
    ratio(
        "engagement_index",
        "Engagement index",
        "Active days in the mau_days days before the close of the customers active in basis any at the close / "
        "(mau_days x those customers).",
        FAMILY,
        "index_active_days",
        "{mau_days} * customers_end",
        n="customers_end",
        valid_range=SHARE,
        better="higher",
        look_back=(MAU_WINDOW, look_backs.state_at("close", "close", "any")),
        settings=("active_events", "mau_days", "activity_window_days"),
    ),
    count(
        "active_customers",
        "Active customers of the period",
        "Distinct customers with an active day in the period.",
        FAMILY,
        better="higher",
        **EVENTS,
    ),
    count(
        "active_new",
        "Newly active customers",
        "Customers whose first active day ever lies in the period.",
        FAMILY,
        look_back=(look_backs.BEFORE_PERIOD,),
        better="higher",
        **EVENTS,
    ),
    count(
        "active_returning",
        "Returning active customers",
        "Customers active in the period and in the previous one.",
        FAMILY,
        look_back=(look_backs.PREVIOUS_PERIOD,),
        better="higher",
        **EVENTS,
    ),
    count(
        "active_resurrected",
        "Resurrected active customers",
        "Customers active in the period, with an earlier active day but none in the previous period.",
        FAMILY,
        look_back=(look_backs.BEFORE_PERIOD,),
        better="higher",
        **EVENTS,
    ),
    count(
        "active_dormant",
        "Customers gone dormant",
        "Customers active in the previous period and not in this one, in this period's segment.",
        FAMILY,
        look_back=(look_backs.PREVIOUS_PERIOD,),
        better="lower",
        **EVENTS,
    ),
    Kpi(
        "session_minutes_median",
        "Length of a session, median",
        "The median (type 7) of duration_seconds / 60 over the counted events of the period that have a duration.",
        FAMILY,
        unit="minutes",
        better="higher",
        value="session_seconds_median / 60",
        n="session_events",
        **EVENTS,
    ),
)

IDENTITIES: tuple[Identity, ...] = (
    Identity("who is active in 7 days is active in mau_days days", "value(wau) <= value(mau)"),
    Identity("daily actives are among the active customers of the period", "value(dau) <= value(active_customers)"),
    Identity(
        "new, returning and resurrected customers are the active ones",
        "value(active_new) + value(active_returning) + value(active_resurrected) = value(active_customers)",
    ),
    Identity(
        "active days per customer are those of stickiness",
        equal("value(lness_mean) * value(mau)", "numerator(stickiness)"),
    ),
)
