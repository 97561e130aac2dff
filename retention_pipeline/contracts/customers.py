"""One row per customer and day from which its attributes hold (`valid_from`; null: from the beginning). Further
columns of the source stay in `_extra` and can be segments. A source without `valid_from` has one row per customer;
since when its values hold follows from the versions that were replaced (staging)."""

from retention_pipeline.contracts.columns import Column, Contract

CUSTOMERS = Contract(
    dataset="customers",
    grain="One row per customer and start of validity of its attributes",
    key=("customer_id", "valid_from"),
    columns=(
        Column("customer_id", "text", required=True),
        Column("valid_from", "instant"),
        Column("signed_up_at", "instant"),
        Column("country", "text"),
        Column("acquisition_channel", "text"),
        Column("referred_by", "text"),
    ),
    history_counts=True,
)
