"""KPIs of the family `tickets`: how many were opened, and how long customers waited for a reply and a resolution."""

from retention_pipeline.kpis import customers, look_backs
from retention_pipeline.kpis.declaration import Family, Headline, Kpi, count, proportion, ratio
from retention_pipeline.kpis.inputs import Borrowed, Histogram
from retention_pipeline.kpis.measures import balances, flows

FAMILY = Family(
    name="tickets",
    label="Support",
    period_table="period_tickets",
    bases=("all",),
    datasets=("tickets",),
    measures=flows("tickets_opened", "tickets_resolved_48h", "first_replies", "resolutions"),
    further_measures=balances("customers_known"),
    first_row="the first ticket opened",
    borrowed=(Borrowed(customers.FAMILY, "any", ("customers_active",)),),
    histograms=(
        Histogram(
            "period_first_replies",
            value="reply_microseconds",
            count="tickets",
            quantiles=(("reply_microseconds_median", "0.5"),),
        ),
        Histogram(
            "period_resolutions",
            value="resolution_microseconds",
            count="tickets",
            quantiles=(("resolution_microseconds_median", "0.5"),),
        ),
    ),
)
MICROSECONDS_PER_HOUR = "3600000000"


def median_hours(name: str, what: str, median: str, n: str, headline: Headline | None = None) -> Kpi:
    """The median of hours from a ticket's opening, over the tickets of which `what` lies in the period."""
    return Kpi(
        f"{name}_hours_median",
        f"{what.capitalize()}, median hours",
        f"The median (type 7) of the hours that went by from a ticket's opening to its {what}, over tickets whose "
        f"{what} lies in the period.",
        FAMILY,
        unit="hours",
        better="lower",
        value=f"cast({median} as double) / {MICROSECONDS_PER_HOUR}",
        n=n,
        headline=headline,
    )


KPIS: tuple[Kpi, ...] = (
    count("tickets_opened", "Tickets opened", "Tickets opened in the period.", FAMILY, better="lower"),
    ratio(
        "tickets_per_100_customers",
        "Tickets per 100 customers",
        "100 × tickets opened in the period / customers_active of basis any, same period and segment.",
        FAMILY,
        "tickets_opened",
        "customers_active",
        n="customers_active",
        unit="per_100",
        factor_numerator="100",
        better="lower",
        look_back=(look_backs.state_at("opening", "period_start", "any"),),
        settings=("activity_window_days", "count_zero_value", "count_past_due_days"),
        headline=Headline("Support", 660),
    ),
    proportion(
        "ticket_unresolved_48h_rate",
        "Tickets unresolved after 48 hours",
        "Of the tickets opened in the period, the share not resolved at most 48 hours (elapsed) later; not given until "
        "3 days have passed since the period's end.",
        FAMILY,
        "tickets_opened - tickets_resolved_48h",
        "tickets_opened",
        better="lower",
        horizon_days=3,
    ),
    median_hours("first_reply", "first reply", "reply_microseconds_median", "first_replies", Headline("Support", 670)),
    median_hours("resolution", "resolution", "resolution_microseconds_median", "resolutions"),
)
