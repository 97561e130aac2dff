"""The audit of a built generation: run every rule, collect what breaks them, say it so that someone can act on it.

The rules stand in a module per table, made from the shapes in shapes.py. Rules inside one dbt model, such as its key,
are its data tests; what holds in retention_kpis is the contract of the KPI code (kpis/contract.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

from retention_pipeline.audit.acquisition import acquisition_rules
from retention_pipeline.audit.cohorts import cohort_rules
from retention_pipeline.audit.customers import customer_rules
from retention_pipeline.audit.engagement import engagement_rules
from retention_pipeline.audit.facts import fact_rules
from retention_pipeline.audit.families import family_rules
from retention_pipeline.audit.lives import life_rules
from retention_pipeline.audit.measures import measure_rules
from retention_pipeline.audit.mrr import mrr_rules
from retention_pipeline.audit.orders import order_rules
from retention_pipeline.audit.percentiles import percentile_rules
from retention_pipeline.audit.shapes import Rule
from retention_pipeline.kpis.violation import Violation
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import tables_in

EXAMPLES = 5
NAMED_AT_MOST = 8
NO_VIEW_READS_ELSEWHERE = Rule(
    "views_read_own_tables",
    "no published view reads raw or another generation",
    """
    select view_name from duckdb_views()
    where not internal and schema_name = 'main' and (contains(sql, 'raw_store') or contains(sql, 'previous.'))
    """,
    (),
)


@dataclass(frozen=True)
class AuditResult:
    """The rules that were checked, and those that do not hold."""

    rules: list[str]
    violations: list[Violation] = field(default_factory=list)


class AuditError(Exception):
    """The built generation contradicts itself; str() names each rule, how many cells break it and example rows."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        told = [line for violation in violations[:NAMED_AT_MOST] for line in _named(violation)]
        if len(violations) > NAMED_AT_MOST:
            told.append(f"and {len(violations) - NAMED_AT_MOST} more rules")
        super().__init__("\n  ".join(["the figures do not reconcile; nothing was published", *told]))
        self.violations = list(violations)


def all_rules(settings: Settings, *, touched_only: bool = False) -> list[Rule]:
    """Every rule for these settings; the audit leaves out those whose tables do not exist.

    `touched_only`: of the facts of customers only those that this night touched; sums are looked at whole.
    """
    return [
        *fact_rules(touched_only=touched_only),
        *measure_rules(),
        *customer_rules(settings),
        *order_rules(settings),
        *mrr_rules(settings),
        *cohort_rules(settings),
        *family_rules(),
        *acquisition_rules(settings),
        *engagement_rules(settings),
        *life_rules(),
        *percentile_rules(),
        NO_VIEW_READS_ELSEWHERE,
    ]


def audit(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    rules: Sequence[Rule] | None = None,
    *,
    touched_only: bool = False,
) -> AuditResult:
    """Check every rule whose tables are in the open warehouse. Raises nothing for a rule that does not hold."""
    present = tables_in(connection)
    asked = all_rules(settings, touched_only=touched_only) if rules is None else rules
    checked = [rule for rule in asked if present.issuperset(rule.tables)]
    violations = [violation for rule in checked if (violation := check_rule(connection, rule))]
    return AuditResult([rule.name for rule in checked], violations)


def check_rule(connection: duckdb.DuckDBPyConnection, rule: Rule) -> Violation | None:
    """None if the rule holds. Whether a cell breaks it is asked first, without counting cells or saying anything of
    them: with that, statements take a quarter longer to plan.
    """
    if not connection.execute(f"select 1 from ({rule.without_words or rule.sql}) limit 1").fetchall():
        return None
    cursor = connection.execute(
        f"select count(*) over () as broken_cells, broken.* from ({rule.sql}) as broken limit {EXAMPLES}"
    )
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    examples = [dict(zip(names[1:], row[1:], strict=True)) for row in rows]
    return Violation(rule.name, int(rows[0][0]), examples, rule.sentence)


def describe(violation: Violation) -> list[str]:
    """Lines: the number of cells (of facts: rows) with what the rule says, and up to three example rows."""
    meaning = f" ({violation.sentence})" if violation.sentence else ""
    counted = "row" if any("customer_key" in row for row in violation.examples) else "cell"
    rows = ["  " + ", ".join(f"{name}={value}" for name, value in row.items()) for row in violation.examples[:3]]
    return [f"{violation.cells:,} {counted}{'s' * (violation.cells != 1)}{meaning}", *rows]


def _named(violation: Violation) -> list[str]:
    first, *rows = describe(violation)
    return [f"rule {violation.rule}: {first}", *rows]
