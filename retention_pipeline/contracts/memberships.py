"""One row per stay of a customer in a programme."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

MEMBERSHIPS = Contract(
    dataset="memberships",
    grain="One row per customer, programme and join",
    key=("customer_id", "program", "joined_at"),
    columns=(
        Column("customer_id", "text", required=True),
        Column("program", "text", required=True),
        Column("joined_at", "instant", required=True),
        Column("left_at", "instant", may_be_open=True),
    ),
    rules=(Rule("{before:left_at,joined_at}", "left_at is before joined_at"),),
)
