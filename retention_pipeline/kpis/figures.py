"""From cells to KPI rows: one statement generated from the registry.

Everything that all KPIs share stands here once: the division, the order of null reasons, the intervals. What differs
between KPIs stands in their declarations.
"""

from __future__ import annotations

from retention_pipeline.kpis.cells import maturity_column
from retention_pipeline.kpis.declaration import Family, Kpi
from retention_pipeline.kpis.registry import family_kpis
from retention_pipeline.kpis.rules import Rules, number_literal, text_literal

NORMAL_Z = 1.959964

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
    z = f"{NORMAL_Z}e0"
    middle = f"({share} + {z} * {z} / (2 * {n}))"
    half = f"{z} * sqrt(({share} * (1 - {share}) + {z} * {z} / (4 * {n})) / {n})"
    scale = f"(1 + {z} * {z} / {n})"
    return f"greatest(0, ({middle} - {half}) / {scale})", f"least(1, ({middle} + {half}) / {scale})"


def interval_of_scores(value: str, numerator: str, squares: str, n: str, scale: str) -> tuple[str, str]:
    """SQL: limits of `value`, scale times the mean of n scores, from their sum and the sum of their squares."""
    variance = f"greatest(0, {squares} * {n} - {numerator} * {numerator}) / (cast({n} as double) * {n} * {n})"
    half = f"{scale} * {NORMAL_Z}e0 * sqrt({variance})"
    return f"{value} - {half}", f"{value} + {half}"


def measured(kpi: Kpi, cells: str, rules: Rules) -> str:
    """SQL: one KPI's rows before the division: what its declaration says about each cell. What it says nothing about is
    NULL of no type.
    """

    def double(expression: str | None) -> str:
        if expression is None:
            return "null"
        return f"{expression}e0" if expression.isdigit() else f"cast({rules.rendered(expression)} as double)"

    cut = " or ".join(look_back.column for look_back in kpi.look_back) or "false"
    immature = [f"not {maturity_column(kpi.horizon_days)}"] if kpi.horizon_days else []
    immature += [f"({rules.rendered(kpi.immature_when)})"] if kpi.immature_when else []
    inherited = rules.rendered(kpi.inherited_reason) if kpi.inherited_reason else "null"
    sample = f"{rules.rendered(kpi.sample)} < {rules.business.min_n}" if kpi.sample else "false"
    unreached = f"{rules.rendered(kpi.n)} > 0" if kpi.can_be_unreached and kpi.n else "false"
    currency = text_literal(rules.business.reporting_currency) if kpi.unit == "money" else "null"
    rows = f"\n    where {kpi.rows}" if kpi.rows else ""
    low, high = kpi.valid_range
    return f"""select
        {text_literal(kpi.id)} as kpi, grain, period_start, period_end, is_complete, basis,
        segment_dimension, segment_value,
        {double(kpi.value)} as given,
        {double(kpi.numerator)} as numerator,
        {double(kpi.denominator)} as denominator,
        {"null" if kpi.n is None else f"cast({rules.rendered(kpi.n)} as bigint)"} as n,
        {double(kpi.factor_numerator)} as factor_numerator,
        {double(kpi.factor_denominator)} as factor_denominator,
        {double(kpi.sum_of_squares)} as sum_of_squares,
        {"null" if low is None else number_literal(low)} as valid_min,
        {"null" if high is None else number_literal(high)} as valid_max,
        {str(kpi.is_ratio).lower()} as is_ratio,
        {text_literal(kpi.interval)} as interval_kind,
        {cut} as is_left_truncated,
        {" or ".join(immature) or "false"} as is_immature,
        {inherited} as inherited_reason,
        {sample} as is_small,
        {unreached} as is_reachable,
        {text_literal(kpi.unit)} as unit,
        {currency} as currency,
        {kpi.version} as definition_version
    from {cells}{rows}"""


def figures_statement(cells: dict[Family, str], rules: Rules) -> str:
    """SQL: the KPI rows (columns FIGURES) of the given relations of cells, by family; no rows of no family."""
    if not cells:
        return f"select {', '.join(FIGURES)} from retention_kpis where false"
    parts = [measured(kpi, relation, rules) for family, relation in cells.items() for kpi in family_kpis(family)]
    wilson_low, wilson_high = wilson("value", "denominator")
    scores_low, scores_high = interval_of_scores("value", "numerator", "sum_of_squares", "n", "factor_numerator")
    return f"""with measured as (
    {(chr(10) + "    union all" + chr(10) + "    ").join(parts)}
),
divided as (
    select
        *,
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
            when inherited_reason is not null then inherited_reason
            when is_small then 'small_n'
            when quotient is null and is_reachable then 'not_reached'
            when quotient is null then 'zero_denominator'
        end as null_reason,
        coalesce(null_reason in ('left_truncated', 'immature'), false) as is_withheld,
        case when null_reason is null then quotient end as value
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
    cast(case when not is_withheld then numerator end as double) as numerator,
    cast(case when not is_withheld then denominator end as double) as denominator,
    cast(case when not is_withheld then n end as bigint) as n,
    case interval_kind
        when 'wilson' then case when value is not null then {wilson_low} end
        when 'nps' then case when value is not null and n >= 2 then greatest(valid_min, {scores_low}) end
    end as ci_low,
    case interval_kind
        when 'wilson' then case when value is not null then {wilson_high} end
        when 'nps' then case when value is not null and n >= 2 then least(valid_max, {scores_high}) end
    end as ci_high,
    unit,
    cast(currency as varchar) as currency,
    is_complete,
    null_reason,
    cast(definition_version as integer) as definition_version
from reasoned"""
