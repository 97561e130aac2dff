"""One row per answer to a survey. A net promoter score is an integer from 0 to 10; a survey on another scale is a
`csat`."""

from retention_pipeline.contracts.columns import Column, Contract, Rule

SURVEYS = Contract(
    dataset="surveys",
    grain="One row per survey answer",
    key=("response_id",),
    columns=(
        Column("response_id", "text", required=True),
        Column("customer_id", "text"),
        Column("responded_at", "instant", required=True),
        Column("kind", "enum", required=True, accept=("nps", "csat")),
        Column("score", "integer", required=True),
        Column("scale_max", "integer", required=True),
    ),
    rules=(
        Rule("kind = 'nps' and scale_max <> 10", "scale_max of an nps answer is not 10"),
        Rule("score < 0 or score > scale_max", "score is outside the scale"),
    ),
)
