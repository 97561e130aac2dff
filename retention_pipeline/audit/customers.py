"""What must hold in period_customers: the customer bridge, and what is lost by reason."""

from retention_pipeline.audit.shapes import (
    Rule,
    close_is_next_opening,
    moves_cancel,
    rows_hold,
    starts_from_nothing,
)
from retention_pipeline.settings import Settings


def customer_rules(settings: Settings) -> list[Rule]:
    """The customer bridge of period_customers."""
    table = "period_customers"
    bridge = ("customers_start", "customers_new", "customers_reactivated", "customers_lost", "customers_end")
    return [
        rows_hold(
            "customers_bridge",
            "customers_start + new + reactivated - lost = customers_end",
            table,
            "customers_start + customers_new + customers_reactivated - customers_lost = customers_end",
            bridge,
        ),
        rows_hold(
            "customers_retained_or_lost",
            "customers_retained + customers_lost = customers_start",
            table,
            "customers_retained + customers_lost = customers_start",
            ("customers_retained", "customers_lost", "customers_start"),
        ),
        rows_hold(
            "customers_active_parts",
            "customers_active = customers_start + new + reactivated + transient",
            table,
            "customers_active = customers_start + customers_new + customers_reactivated + customers_transient",
            ("customers_active", "customers_start", "customers_new", "customers_reactivated", "customers_transient"),
        ),
        rows_hold(
            "customers_joined_are_new_or_transient",
            "customers_new <= customers_joined <= customers_new + customers_transient",
            table,
            "customers_joined between customers_new and customers_new + customers_transient",
            ("customers_joined", "customers_new", "customers_transient"),
        ),
        rows_hold(
            "customers_lost_ended_a_span",
            "churn_events >= customers_lost + customers_transient",
            table,
            "churn_events >= customers_lost + customers_transient",
            ("churn_events", "customers_lost", "customers_transient"),
        ),
        moves_cancel(table, "customers_moved_in", "customers_moved_out"),
        close_is_next_opening(
            "customers_close_is_next_opening",
            table,
            "customers_start",
            "customers_end",
            moved="customers_moved_in - customers_moved_out",
        ),
        *starts_from_nothing(settings, table, "customers_start"),
        Rule(
            "lost_by_reason_adds_up",
            "lost_by_reason adds up to customers_lost of basis subscription",
            """
            select grain, period_start, segment_dimension, segment_value,
                sum(lost) as customers_lost, sum(by_reason) as by_reason
            from (
                select grain, period_start, segment_dimension, segment_value, customers_lost as lost, 0 as by_reason
                from period_customers where basis = 'subscription'
                union all
                select grain, period_start, segment_dimension, segment_value, 0, customers_lost from lost_by_reason
            )
            group by all having sum(lost) <> sum(by_reason)
            """,
            (table, "lost_by_reason"),
        ),
    ]
