"""KPIs of the family `payments`: invoices by the day of their first attempt, how many failed, and what was paid after.

What an invoice is stands in vocabulary.py.
"""

from retention_pipeline.kpis.declaration import Family, Headline, Kpi, count, proportion
from retention_pipeline.kpis.measures import balances, flows

FAMILY = Family(
    name="payments",
    label="Payments",
    period_table="period_payments",
    bases=("all",),
    datasets=("payments",),
    measures=flows("invoices_attempted", "invoices_failed", "invoices_recovered"),
    further_measures=balances("customers_known"),
    first_row="the first invoice",
)

KPIS: tuple[Kpi, ...] = (
    count(
        "invoices_attempted",
        "Invoices attempted",
        "Invoices whose first attempt lies in the period.",
        FAMILY,
        better="neither",
    ),
    proportion(
        "failed_payment_rate",
        "Failed payment rate",
        "Of the invoices whose first attempt lies in the period, the share whose first attempt failed.",
        FAMILY,
        "invoices_failed",
        "invoices_attempted",
        better="lower",
        headline=Headline("Payments", 410),
    ),
    proportion(
        "payment_recovery_rate",
        "Payment recovery rate",
        "Of the invoices whose first attempt failed in the period, the share with an attempt that succeeded at most "
        "payment_recovery_days days after; not given until so many days have passed since the period's end.",
        FAMILY,
        "invoices_recovered",
        "invoices_failed",
        better="higher",
        horizon_days="payment_recovery_days",
        settings=("payment_recovery_days",),
    ),
)
