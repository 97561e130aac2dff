"""What a raw dataset must look like: one declaration per dataset, and the list of them all."""

from retention_pipeline.contracts.columns import Column, Contract, Rule
from retention_pipeline.contracts.customer_aliases import CUSTOMER_ALIASES
from retention_pipeline.contracts.customers import CUSTOMERS
from retention_pipeline.contracts.emails import EMAILS
from retention_pipeline.contracts.events import EVENTS
from retention_pipeline.contracts.fx_rates import FX_RATES
from retention_pipeline.contracts.goals import ACQUISITION_COSTS, KPI_BENCHMARKS, KPI_TARGETS
from retention_pipeline.contracts.memberships import MEMBERSHIPS
from retention_pipeline.contracts.orders import ORDERS
from retention_pipeline.contracts.payments import PAYMENTS
from retention_pipeline.contracts.subscriptions import SUBSCRIPTIONS
from retention_pipeline.contracts.surveys import SURVEYS
from retention_pipeline.contracts.tickets import TICKETS

CONTRACTS: dict[str, Contract] = {
    contract.dataset: contract
    for contract in (
        ORDERS,
        SUBSCRIPTIONS,
        CUSTOMERS,
        CUSTOMER_ALIASES,
        FX_RATES,
        PAYMENTS,
        EVENTS,
        SURVEYS,
        EMAILS,
        TICKETS,
        MEMBERSHIPS,
        KPI_TARGETS,
        KPI_BENCHMARKS,
        ACQUISITION_COSTS,
    )
}

# The instant or day of a row: by it its dataset is fresh, and from it on the row counts.
FACT_COLUMNS = {
    "orders": "ordered_at",
    "subscriptions": "started_at",
    "payments": "attempted_at",
    "events": "occurred_at",
    "surveys": "responded_at",
    "emails": "occurred_at",
    "tickets": "opened_at",
    "memberships": "joined_at",
    "fx_rates": "date",
}

__all__ = ["CONTRACTS", "FACT_COLUMNS", "Column", "Contract", "Rule"]
