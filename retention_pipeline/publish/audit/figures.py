"""What must hold between retention_kpis and the period tables; what one row may contain is the KPI code's contract."""

from collections.abc import Sequence

from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.registry import family_kpis
from retention_pipeline.publish.audit.shapes import CELL, Rule, key_is_unique


def kpi_rows_of(family: Family) -> tuple[int, int]:
    """How many KPI rows a cell of the family has: of `all`, of a segment value."""
    kpis = family_kpis(family)
    return sum(not kpi.segments_only for kpi in kpis), len(kpis)


def kpi_rules(families: Sequence[Family]) -> list[Rule]:
    """retention_kpis against the period tables: a row per KPI and cell, none missing, none more; GRR <= min(1, NRR)."""
    cells = [
        f"select {', '.join(CELL)},"
        f" case when segment_dimension = 'all' then {total} else {each} end as expected, 0 as found"
        f" from {family.period_table}" + (f" where {family.rows}" if family.rows else "")
        for family in families
        for total, each in [kpi_rows_of(family)]
    ]
    tables = tuple(family.period_table for family in families)
    rules = [
        key_is_unique("retention_kpis", ("kpi", *CELL)),
        Rule(
            "kpi_revenue_retention",
            "gross_revenue_retention <= min(1, net_revenue_retention), also over 12 months",
            f"""
            select gross.kpi, {", ".join(f"gross.{name}" for name in CELL)}, gross.value as gross, net.value as net
            from retention_kpis as gross
            inner join retention_kpis as net
                on net.kpi = replace(gross.kpi, 'gross', 'net') and {" and ".join(f"gross.{c} = net.{c}" for c in CELL)}
            where gross.kpi in ('gross_revenue_retention', 'gross_revenue_retention_12m')
                and net.kpi in ('net_revenue_retention', 'net_revenue_retention_12m')
                and gross.value > least(1, net.value)
            """,
            ("retention_kpis",),
        ),
    ]
    if cells:
        rules.append(
            Rule(
                "kpi_rows_are_the_cells",
                "retention_kpis has a row per KPI of the family for each cell of its period table, and no other",
                f"""
                select {", ".join(CELL)}, sum(expected) as expected_rows, sum(found) as found_rows
                from (
                    {" union all ".join(cells)}
                    union all
                    select {", ".join(CELL)}, 0, count(*) from retention_kpis group by all
                )
                group by all having sum(expected) <> sum(found)
                """,
                ("retention_kpis", *tables),
            )
        )
    return rules
