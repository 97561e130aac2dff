"""KPIs of the family `customers`: how many customers there were, stayed, came, left and came back, per basis.

Nothing about orders or money stands here. The words active, opening, close and span are those of vocabulary.py.
"""

from typing import Any

from retention_pipeline.kpis import look_backs
from retention_pipeline.kpis.declaration import (
    Family,
    Headline,
    Kpi,
    count,
    proportion,
    ratio,
)
from retention_pipeline.kpis.identities import Identity, equal
from retention_pipeline.kpis.inputs import TrailingMonths
from retention_pipeline.kpis.measures import balances, flows, once_per_period

CHURN_OF_SIX_MONTHS = TrailingMonths("trailing", ("customers_start", "customers_lost"), of_first=("customers_start",))
FAMILY = Family(
    name="customers",
    label="Customers",
    period_table="period_customers",
    bases=("subscription", "order", "any"),
    datasets=("orders", "subscriptions"),
    measures=(
        *balances("customers_start", "customers_end"),
        *once_per_period(
            "customers_retained",
            "customers_new",
            "customers_reactivated",
            "customers_lost",
            "customers_transient",
            "customers_active",
        ),
        *balances("customers_moved_in", "customers_moved_out", is_additive=False),
        *flows("customers_joined", "customers_referred", "churn_events"),
    ),
    further_measures=balances("customers_known"),
    first_row="the first active span of the basis",
    trailing=(CHURN_OF_SIX_MONTHS,),
    months_table="customer_months",
)

OPENING: dict[str, Any] = {
    "look_back": (look_backs.OPENING,),
    "settings": (
        "activity_window_days",
        "count_past_due_days",
    ),
}
CLOSE: dict[str, Any] = OPENING | {"look_back": (look_backs.CLOSE,)}

KPIS: tuple[Kpi, ...] = (
    count(
        "customers_start",
        "Customers at the start",
        "Customers active at the opening of the period: a span of theirs began before period_start and ends on or "
        "after it.",
        FAMILY,
        better="higher",
        **OPENING,
    ),
    count(
        "customers_end",
        "Customers at the end",
        "Customers active at the close of the period.",
        FAMILY,
        better="higher",
        headline=Headline("Customers", 10, ("any",)),
        **CLOSE,
    ),
    count(
        "customers_retained",
        "Customers retained",
        "Customers active at the opening and at the close.",
        FAMILY,
        better="higher",
        **OPENING,
    ),
    count(
        "customers_new",
        "New customers",
        "Customers active at the close and not at the opening whose first span ever starts in the period.",
        FAMILY,
        better="higher",
        **OPENING,
    ),
    count(
        "customers_reactivated",
        "Customers reactivated",
        "Customers active at the close and not at the opening whose first span ever started before the period.",
        FAMILY,
        better="higher",
        **OPENING,
    ),
    count(
        "customers_lost",
        "Customers lost",
        "Customers active at the opening and not at the close.",
        FAMILY,
        better="lower",
        **OPENING,
    ),
    count(
        "customers_transient",
        "Transient customers",
        "Customers active neither at the opening nor at the close, but with a span that starts and ends in the period.",
        FAMILY,
        better="neither",
        **OPENING,
    ),
    count(
        "customers_active",
        "Active customers",
        "Customers at the start + new + reactivated + transient: everybody active at the opening or in the period.",
        FAMILY,
        better="higher",
        **OPENING,
    ),
    count(
        "customers_moved_in",
        "Customers moved in",
        "Of the customers active at the opening and counted under this segment value for this period, those "
        "counted under "
        "another value for the period before. Rows for segment values only.",
        FAMILY,
        segments_only=True,
        better="neither",
        **OPENING,
    ),
    count(
        "customers_moved_out",
        "Customers moved out",
        "Of the customers active at the opening and counted under this segment value for the period before, those "
        "counted "
        "under another value for this period. Rows for segment values only.",
        FAMILY,
        segments_only=True,
        better="neither",
        **OPENING,
    ),
    count(
        "customers_joined",
        "Customers joined",
        "Customers whose first span ever starts in the period, whether or not they are still active at the close.",
        FAMILY,
        better="higher",
        **OPENING,
    ),
    proportion(
        "customer_retention_rate",
        "Customer retention rate",
        "Customers active at the opening and at the close / customers active at the opening (logo retention).",
        FAMILY,
        "customers_retained",
        "customers_start",
        better="higher",
        headline=Headline("Customers", 20, ("subscription", "order")),
        **OPENING,
    ),
    proportion(
        "customer_churn_rate",
        "Customer churn rate",
        "Customers active at the opening and not at the close / customers active at the opening.",
        FAMILY,
        "customers_lost",
        "customers_start",
        better="lower",
        headline=Headline("Customers", 30, ("any",)),
        **OPENING,
    ),
    ratio(
        "customer_retention_rate_formula",
        "Customer retention rate, textbook formula",
        "(Customers at the end − new customers) / customers at the start. Exceeds 1 where enough customers come back.",
        FAMILY,
        "customers_end - customers_new",
        "customers_start",
        n="customers_start",
        better="higher",
        **OPENING,
    ),
    count(
        "churn_events",
        "Churn events",
        "Ends of active spans in the period, several per customer if so.",
        FAMILY,
        better="lower",
        **OPENING,
    ),
    ratio(
        "churn_rate_events",
        "Churn rate by events",
        "Ends of active spans in the period / customers active at the opening.",
        FAMILY,
        "churn_events",
        "customers_start",
        n="customers_start",
        better="lower",
        **OPENING,
    ),
    ratio(
        "churn_rate_stripe",
        "Churn rate, billing-product form",
        "Ends of active spans in the period / (customers active at the opening + customers joined in the period).",
        FAMILY,
        "churn_events",
        "customers_start + customers_joined",
        n="customers_start + customers_joined",
        better="lower",
        **OPENING,
    ),
    proportion(
        "referral_share",
        "Referral share",
        "Of the customers whose first span ever starts in the period, the share whom somebody referred: a current row "
        "of the customer that holds before as_of names somebody in `referred_by`. Only where a source of customers has "
        "that column.",
        FAMILY,
        "customers_referred",
        "customers_joined",
        better="higher",
        bases=("any",),
        known_where="customers_referred is not null",
        **OPENING,
    ),
)

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
)
