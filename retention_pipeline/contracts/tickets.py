"""One row per support ticket, in its current state."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

TICKETS = Contract(
    dataset="tickets",
    grain="One row per support ticket",
    key=("ticket_id",),
    columns=(
        Column("ticket_id", "text", required=True),
        Column("customer_id", "text"),
        Column("opened_at", "instant", required=True),
        Column("first_reply_at", "instant"),
        Column("resolved_at", "instant"),
        Column("reason", "text"),
    ),
    rules=(
        Rule("{before:first_reply_at,opened_at}", "first_reply_at is before opened_at"),
        Rule("{before:resolved_at,opened_at}", "resolved_at is before opened_at"),
    ),
)
