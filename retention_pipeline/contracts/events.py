"""One row per thing that a customer did. Without an `event_id`, rows with the same content are the same event."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

EVENTS = Contract(
    dataset="events",
    grain="One row per event",
    key=("event_id",),
    columns=(
        Column("event_id", "text", required=True),
        Column("customer_id", "text"),
        Column("occurred_at", "instant", required=True),
        Column("event", "text", required=True),
        Column("duration_seconds", "decimal", scale=3),
    ),
    rules=(Rule("duration_seconds < 0", "duration_seconds is negative"),),
    row_hash_key="event_id",
)
