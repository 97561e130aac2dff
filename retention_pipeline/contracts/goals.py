"""What figures are held against: one row per target, one row per benchmark, one row per month and channel of
acquisition costs."""

from retention_pipeline.contracts.columns import Column, Contract, Rule
from retention_pipeline.contracts.grains import GRAINS

KPI_TARGETS = Contract(
    dataset="kpi_targets",
    grain="One row per target of a KPI, grain, basis, segment and start",
    key=("kpi", "grain", "basis", "segment_dimension", "segment_value", "start_on"),
    columns=(
        Column("kpi", "text", required=True),
        Column("grain", "enum", required=True, accept=GRAINS),
        Column("basis", "text"),
        Column("segment_dimension", "text"),
        Column("segment_value", "text"),
        Column("start_on", "date", required=True),
        Column("due_on", "date", required=True),
        Column("baseline", "decimal", scale=6),
        Column("target", "decimal", required=True, scale=6),
    ),
    rules=(Rule("due_on <= start_on", "due_on is not after start_on"),),
    customer_columns={},
)

KPI_BENCHMARKS = Contract(
    dataset="kpi_benchmarks",
    grain="One row per published value of a KPI, grain, industry, source and year",
    key=("kpi", "grain", "industry", "source", "year"),
    columns=(
        Column("kpi", "text", required=True),
        Column("grain", "enum", required=True, accept=GRAINS),
        Column("industry", "text", required=True),
        Column("value", "decimal", required=True, scale=6),
        Column("source", "text", required=True),
        Column("year", "integer", required=True),
    ),
    rules=(Rule("year not between 1900 and 2200", "year is outside 1900 to 2200"),),
    customer_columns={},
)

ACQUISITION_COSTS = Contract(
    dataset="acquisition_costs",
    grain="One row per month, currency and acquisition channel",
    key=("month", "currency", "acquisition_channel"),
    columns=(
        Column("month", "date", required=True),
        Column("amount", "decimal", required=True, is_money=True),
        Column("currency", "currency", required=True),
        Column("acquisition_channel", "text"),
    ),
    rules=(Rule("month <> date_trunc('month', month)", "month is not the first day of a month"),),
    customer_columns={},
)
