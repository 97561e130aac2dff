"""One row per thing that happened to a message at a customer. `is_machine` is true where a program, not a person,
opened it."""

from retention_pipeline.contracts.columns import Column, Contract

EMAILS = Contract(
    dataset="emails",
    grain="One row per message, customer, event and instant",
    key=("message_id", "customer_id", "event", "occurred_at"),
    columns=(
        Column("message_id", "text", required=True),
        Column("customer_id", "text", required=True),
        Column("event", "enum", required=True, accept=("sent", "delivered", "bounced", "opened", "clicked")),
        Column("occurred_at", "instant", required=True),
        Column("is_machine", "boolean"),
    ),
)
