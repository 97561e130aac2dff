"""From cells to KPI rows: one statement generated from the registry.

Everything that all KPIs share stands here once: the division, the order of null reasons, the Wilson interval. What
differs between KPIs stands in their declarations.
"""

from __future__ import annotations

from retention_pipeline.kpis.declaration import Family, Kpi
from retention_pipeline.kpis.registry import family_kpis
from retention_pipeline.kpis.rules import Rules, text_literal

WILSON_Z = 1.959964

FIGURES = (
    "kpi",
    "grain",
    "period_start",
    "period_end",
    "basis",
    "segment_dimension",
    "segment_value",
    "value",
    "numerator",
    "denominator",
    "n",
    "ci_low",
    "ci_high",
    "unit",
    "currency",
    "is_complete",
    "null_reason",
    "definition_version",
)


def division(numerator: str, denominator: str) -> str:
    """SQL: the one division of KPI values; NULL where there is nothing to divide by."""
    return f"{numerator} / nullif({denominator}, 0)"


def wilson(share: str, n: str) -> tuple[str, str]:
    """SQL: lower and upper limit of the 95 % Wilson interval of a share of n units, without continuity correction."""
    z = f"{WILSON_Z}e0"
    middle = f"({share} + {z} * {z} / (2 * {n}))"
    half = f"{z} * sqrt(({share} * (1 - {share}) + {z} * {z} / (4 * {n})) / {n})"
    scale = f"(1 + {z} * {z} / {n})"
    return f"greatest(0, ({middle} - {half}) / {scale})", f"least(1, ({middle} + {half}) / {scale})"


def measured(kpi: Kpi, cells: str, rules: Rules) -> str:
    """SQL: one KPI's rows before the division: what its declaration says about each cell."""

    def double(expression: str | None) -> str:
        return "cast(null as double)" if expression is None else f"cast({expression} as double)"

    cut = " or ".join(look_back.value for look_back in kpi.look_back) or "false"
    immature = [f"not is_mature_{kpi.horizon_days}d"] if kpi.horizon_days else []
    immature += [f"({kpi.immature_when})"] if kpi.immature_when else []
    factor_numerator = kpi.factor_numerator.format(gross_margin=f"{rules.gross_margin!r}e0")
    currency = text_literal(rules.reporting_currency) if kpi.unit == "money" else "cast(null as varchar)"
    segments_only = "\n    where segment_dimension <> 'all'" if kpi.segments_only else ""
    return f"""select
        {text_literal(kpi.id)} as kpi, grain, period_start, period_end, is_complete, basis,
        segment_dimension, segment_value,
        {double(kpi.value)} as given,
        {double(kpi.numerator)} as numerator,
        {double(kpi.denominator)} as denominator,
        {"cast(null as bigint)" if kpi.n is None else f"cast({kpi.n} as bigint)"} as n,
        {double(factor_numerator)} as factor_numerator,
        {double(kpi.factor_denominator)} as factor_denominator,
        {str(kpi.is_ratio).lower()} as is_ratio,
        {str(kpi.is_proportion).lower()} as is_proportion,
        {cut} as is_left_truncated,
        {" or ".join(immature) or "false"} as is_immature,
        {f"{kpi.sample} < {rules.min_n}" if kpi.sample else "false"} as is_small,
        {text_literal(kpi.unit)} as unit,
        {currency} as currency,
        {kpi.version} as definition_version
    from {cells}{segments_only}"""


def figures_statement(cells: dict[Family, str], rules: Rules) -> str:
    """SQL: the KPI rows (columns FIGURES) of the given relations of cells, by family; no rows of no family."""
    if not cells:
        return f"select {', '.join(FIGURES)} from retention_kpis where false"
    parts = [measured(kpi, relation, rules) for family, relation in cells.items() for kpi in family_kpis(family)]
    low, high = wilson("value", "denominator")
    return f"""with measured as (
    {(chr(10) + "    union all" + chr(10) + "    ").join(parts)}
),
divided as (
    select
        *,
        is_left_truncated or is_immature as is_withheld,
        case
            when is_ratio then {division("(numerator * factor_numerator)", "(denominator * factor_denominator)")}
            else given
        end as quotient
    from measured
),
reasoned as (
    select
        *,
        case
            when is_left_truncated then 'left_truncated'
            when is_immature then 'immature'
            when is_small then 'small_n'
            when quotient is null then 'zero_denominator'
        end as null_reason,
        case when is_withheld or is_small then null else quotient end as value
    from divided
)
select
    kpi,
    grain,
    period_start,
    period_end,
    basis,
    segment_dimension,
    segment_value,
    value,
    case when not is_withheld then numerator end as numerator,
    case when not is_withheld then denominator end as denominator,
    case when not is_withheld then n end as n,
    case when is_proportion and value is not null then {low} end as ci_low,
    case when is_proportion and value is not null then {high} end as ci_high,
    unit,
    currency,
    is_complete,
    null_reason,
    cast(definition_version as integer) as definition_version
from reasoned"""
