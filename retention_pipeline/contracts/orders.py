"""One row per order, in its current state. `customer_id` may be null: a guest, loaded and counted as unattributed.
A row with a negative amount that names an order in `refund_of` is a refund of it on its day, and no order."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

ORDERS = Contract(
    dataset="orders",
    grain="One row per order",
    key=("order_id",),
    columns=(
        Column("order_id", "text", required=True),
        Column("customer_id", "text"),
        Column("ordered_at", "instant", required=True),
        Column("amount", "decimal", required=True, is_money=True),
        Column("currency", "currency", required=True),
        Column("status", "enum", required=True, accept=("paid", "pending", "cancelled", "refunded")),
        Column("refunded_amount", "decimal", is_money=True),
        Column("refunded_at", "instant"),
        Column("refund_of", "text"),
        Column("is_test", "boolean"),
        Column("channel", "text"),
        Column("updated_at", "version"),
    ),
    rules=(
        Rule("refunded_amount < 0", "refunded_amount is negative"),
        Rule("refunded_amount > greatest(amount, 0)", "refunded_amount is greater than amount"),
    ),
)
