"""One row per id that is another name of a customer: merged accounts, guests with a known address. Chains are
resolved later; a cycle is an error of the whole run (`transform/input_checks.py`)."""

from retention_pipeline.contracts.columns import Column, Contract

CUSTOMER_ALIASES = Contract(
    dataset="customer_aliases",
    grain="One row per alias of a customer",
    key=("alias_id",),
    columns=(
        Column("alias_id", "text", required=True),
        Column("customer_id", "text", required=True),
        Column("valid_from", "instant"),
    ),
    customer_columns={"customer_id": "_customer_key", "alias_id": "_alias_key"},
)
