"""One row per phase of a subscription: a stretch of time with unchanged terms. Phases of one subscription that overlap
are not the business of a single row: staging ends a phase where the next begins, and counts it."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

# Their product must fit into 38 digits, also of a quantity that another rule refuses.
BOUNDED_QUANTITY = "greatest(least(quantity, 1000000000000), 0)"

SUBSCRIPTIONS = Contract(
    dataset="subscriptions",
    grain="One row per phase of a subscription with unchanged terms",
    key=("subscription_id", "started_at"),
    columns=(
        Column("subscription_id", "text", required=True),
        Column("customer_id", "text", required=True),
        Column("plan", "text", required=True),
        Column("amount", "decimal", required=True, scale=6, is_money=True),
        Column("quantity", "integer", default="1"),
        Column("recurring_discount", "decimal", scale=6, default="0", is_money=True),
        Column("currency", "currency", required=True),
        Column("interval", "enum", required=True, accept=("day", "week", "month", "quarter", "year")),
        Column("interval_count", "integer", default="1"),
        Column(
            "status",
            "enum",
            required=True,
            accept=("trialing", "active", "past_due", "paused", "unpaid", "cancelled"),
        ),
        Column("started_at", "instant", required=True),
        Column("ended_at", "instant", may_be_open=True),
        Column("term_ends_at", "instant", may_be_open=True),
        Column("cancel_requested_at", "instant"),
        Column("end_reason", "text"),
        Column("updated_at", "version"),
    ),
    rules=(
        Rule("quantity <= 0", "quantity is not positive"),
        Rule("quantity >= 1000000000000", "quantity is too large"),
        Rule("interval_count <= 0", "interval_count is not positive"),
        Rule(
            f"cast(amount as decimal(38,6)) * {BOUNDED_QUANTITY} < recurring_discount",
            "recurring revenue is negative: amount × quantity is less than recurring_discount",
        ),
        Rule(
            f"quantity is not null and abs(cast(amount as decimal(38,6))) * {BOUNDED_QUANTITY} >= 1000000000000",
            "amount × quantity is too large: it must be less than 1,000,000,000,000",
        ),
        Rule("interval_count > 36600", "interval_count is greater than 36,600, a hundred years of days"),
        Rule("{before:ended_at,started_at}", "ended_at is before started_at"),
    ),
)
