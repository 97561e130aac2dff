"""One row per attempt to collect a payment."""

from retention_pipeline.contracts.columns import Column, Contract

PAYMENTS = Contract(
    dataset="payments",
    grain="One row per payment attempt",
    key=("payment_id",),
    columns=(
        Column("payment_id", "text", required=True),
        Column("invoice_id", "text"),
        Column("customer_id", "text"),
        Column("subscription_id", "text"),
        Column("attempted_at", "instant", required=True),
        Column("amount", "decimal", is_money=True),
        Column("currency", "currency"),
        Column("status", "enum", required=True, accept=("succeeded", "failed")),
        Column("failure_reason", "text"),
    ),
)
