"""What must hold in the period tables of further datasets: subsets of counts, segments, grains, tables that add up."""

from collections.abc import Sequence

from retention_pipeline.audit.shapes import (
    CELL,
    Rule,
    grains_nest,
    never_negative,
    no_period_is_missing,
    rows_hold,
    values_add_up,
)

PAYMENTS = ("invoices_attempted", "invoices_failed", "invoices_recovered")


def family_rules() -> list[Rule]:
    """Rules of every further family; those of datasets that are not connected have no tables."""
    return [
        *counts("period_payments", PAYMENTS),
        rows_hold(
            "payments_subsets",
            "recovered invoices are failed ones, and failed ones invoices",
            "period_payments",
            "invoices_recovered <= invoices_failed and invoices_failed <= invoices_attempted",
            PAYMENTS,
        ),
        adds_up(
            "payment_failures", {"invoices": "invoices_failed", "recovered": "invoices_recovered"}, "period_payments"
        ),
    ]


def counts(table: str, measures: Sequence[str]) -> list[Rule]:
    """What holds for counts of facts by their day, whatever they count."""
    return [
        never_negative(table, (*measures, "customers_known")),
        values_add_up(table, measures),
        no_period_is_missing(table),
        grains_nest(table, measures),
    ]


def adds_up(parts: str, measures: dict[str, str], table: str) -> Rule:
    """The rows of a table of parts add up to the period table, cell by cell: measure of the parts → of the cell."""
    cell = ", ".join(name for name in CELL if name != "basis")
    of_parts = ", ".join(f"{part} as {whole}_of_parts, 0 as {whole}" for part, whole in measures.items())
    of_cells = ", ".join(f"0 as {whole}_of_parts, {whole}" for whole in measures.values())
    sums = ", ".join(
        f"sum({whole}_of_parts) as {whole}_of_parts, sum({whole}) as {whole}" for whole in measures.values()
    )
    different = " or ".join(f"sum({whole}_of_parts) <> sum({whole})" for whole in measures.values())
    sql = f"""
    select {cell}, {sums}
    from (select {cell}, {of_parts} from {parts} union all by name select {cell}, {of_cells} from {table})
    group by all having {different}
    """
    return Rule(f"{parts}_adds_up", f"{parts} adds up to {table}", sql, (parts, table))
