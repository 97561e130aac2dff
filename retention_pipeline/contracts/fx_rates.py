"""One row per day and currency: what one unit of the currency is worth in the reporting currency."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

FX_RATES = Contract(
    dataset="fx_rates",
    grain="One row per day and currency",
    key=("date", "currency"),
    columns=(
        Column("date", "date", required=True),
        Column("currency", "currency", required=True),
        Column("rate_to_reporting", "decimal", required=True, scale=8),
    ),
    rules=(
        Rule("rate_to_reporting <= 0", "rate_to_reporting is not positive"),
        Rule("rate_to_reporting >= 100000", "rate_to_reporting is too large: it must be less than 100,000"),
    ),
    customer_columns={},
)
