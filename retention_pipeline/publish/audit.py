"""The audit of a built generation: run every rule, collect what breaks them, say it so that someone can act on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from retention_pipeline.publish.audit_rules import all_rules
from retention_pipeline.publish.audit_shapes import Rule
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import tables_in

EXAMPLES = 5
NAMED_AT_MOST = 8


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold: in how many cells, with example rows (column → value)."""

    rule: str
    cells: int
    examples: list[dict[str, Any]]
    sentence: str = ""


@dataclass(frozen=True)
class AuditResult:
    """The rules that were checked, and those that do not hold."""

    rules: list[str]
    violations: list[Violation] = field(default_factory=list)


class AuditError(Exception):
    """The built generation contradicts itself; str() names each rule, how many cells break it and example rows."""

    def __init__(self, violations: Sequence[Any]) -> None:
        super().__init__(describe(violations))
        self.violations = list(violations)


def audit(
    connection: duckdb.DuckDBPyConnection, settings: Settings, rules: Sequence[Rule] | None = None
) -> AuditResult:
    """Check every rule whose tables are in the open warehouse. Raises nothing for a rule that does not hold."""
    present = tables_in(connection)
    checked = [rule for rule in (all_rules(settings) if rules is None else rules) if present.issuperset(rule.tables)]
    violations = [violation for rule in checked if (violation := check_rule(connection, rule))]
    return AuditResult([rule.name for rule in checked], violations)


def check_rule(connection: duckdb.DuckDBPyConnection, rule: Rule) -> Violation | None:
    """None if the rule holds."""
    cursor = connection.execute(
        f"select count(*) over () as broken_cells, broken.* from ({rule.sql}) as broken limit {EXAMPLES}"
    )
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    if not rows:
        return None
    examples = [dict(zip(names[1:], row[1:], strict=True)) for row in rows]
    return Violation(rule.name, int(rows[0][0]), examples, rule.sentence)


def describe(violations: Sequence[Any]) -> str:
    """Several lines: each rule with the number of cells and up to three example rows."""
    lines = ["the figures do not reconcile; nothing was published" if violations else "every rule holds"]
    for violation in violations[:NAMED_AT_MOST]:
        sentence = getattr(violation, "sentence", "")
        lines.append(f"  rule {violation.rule}: {violation.cells} cells" + (f" ({sentence})" if sentence else ""))
        lines += [
            f"    {', '.join(f'{name}={value}' for name, value in row.items())}" for row in violation.examples[:3]
        ]
    if len(violations) > NAMED_AT_MOST:
        lines.append(f"  and {len(violations) - NAMED_AT_MOST} more rules")
    return "\n".join(lines)
