"""KPIs of the family `customers`: how many customers there were, stayed, came, left and came back, per basis.

Nothing about orders or money stands here. The words active, opening, close and span are those of vocabulary.py.
"""

from typing import Any

from retention_pipeline.kpis.declaration import Family, Kpi, LookBack, count, proportion, ratio

FAMILY = Family(
    name="customers",
    label="Customers",
    period_table="period_customers",
    bases=("subscription", "order", "any"),
    datasets=("orders", "subscriptions"),
    measures=(
        "customers_start",
        "customers_end",
        "customers_retained",
        "customers_new",
        "customers_reactivated",
        "customers_lost",
        "customers_transient",
        "customers_active",
        "customers_moved_in",
        "customers_moved_out",
        "customers_joined",
        "churn_events",
    ),
    first_row="the first active span of the basis",
)

OPENING: dict[str, Any] = {
    "look_back": (LookBack.OPENING,),
    "settings": ("activity_window_days", "count_past_due_days"),
}
CLOSE: dict[str, Any] = OPENING | {"look_back": (LookBack.CLOSE,)}

KPIS: tuple[Kpi, ...] = (
    count(
        "customers_start",
        "Customers at the start",
        "Customers active at the opening of the period: a span of theirs began before period_start and ends on or "
        "after it.",
        FAMILY,
        **OPENING,
    ),
    count("customers_end", "Customers at the end", "Customers active at the close of the period.", FAMILY, **CLOSE),
    count(
        "customers_retained",
        "Customers retained",
        "Customers active at the opening and at the close.",
        FAMILY,
        **OPENING,
    ),
    count(
        "customers_new",
        "New customers",
        "Customers active at the close and not at the opening whose first span ever starts in the period.",
        FAMILY,
        **OPENING,
    ),
    count(
        "customers_reactivated",
        "Customers reactivated",
        "Customers active at the close and not at the opening whose first span ever started before the period.",
        FAMILY,
        **OPENING,
    ),
    count(
        "customers_lost", "Customers lost", "Customers active at the opening and not at the close.", FAMILY, **OPENING
    ),
    count(
        "customers_transient",
        "Transient customers",
        "Customers active neither at the opening nor at the close, but with a span that starts and ends in the period.",
        FAMILY,
        **OPENING,
    ),
    count(
        "customers_active",
        "Active customers",
        "Customers at the start + new + reactivated + transient: everybody active at the opening or in the period.",
        FAMILY,
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
        **OPENING,
    ),
    count(
        "customers_joined",
        "Customers joined",
        "Customers whose first span ever starts in the period, whether or not they are still active at the close.",
        FAMILY,
        **OPENING,
    ),
    proportion(
        "customer_retention_rate",
        "Customer retention rate",
        "Customers active at the opening and at the close / customers active at the opening (logo retention).",
        FAMILY,
        "customers_retained",
        "customers_start",
        **OPENING,
    ),
    proportion(
        "customer_churn_rate",
        "Customer churn rate",
        "Customers active at the opening and not at the close / customers active at the opening.",
        FAMILY,
        "customers_lost",
        "customers_start",
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
        **OPENING,
    ),
    count(
        "churn_events",
        "Churn events",
        "Ends of active spans in the period, several per customer if so.",
        FAMILY,
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
        **OPENING,
    ),
)
