"""What must hold of every period table, from what its family says of its measures (kpis/measures.py).

What holds between measures (bridges, subsets, tables behind them) stands in the module of the table.
"""

from retention_pipeline.audit.shapes import Rule, grains_nest, never_negative, no_period_is_missing, values_add_up
from retention_pipeline.kpis.cells import relation_of
from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.registry import FAMILIES


def measure_rules() -> list[Rule]:
    """Signs, segments, grains and gaps of all period tables."""
    return [rule for family in FAMILIES for rule in rules_of(family)]


def rules_of(family: Family) -> list[Rule]:
    """The rules of one period table; measures of which none can be said have rules of their own, or fail a test."""
    table, rows = family.period_table, relation_of(family)
    measures = (*family.measures, *family.further_measures)
    return [
        never_negative(table, [one.name for one in measures if not one.is_signed], rows),
        values_add_up(table, [one.name for one in measures if one.is_additive], rows),
        grains_nest(table, [one.name for one in measures if one.nests], rows),
        no_period_is_missing(table, rows),
    ]
