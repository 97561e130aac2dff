"""Cells: the rows of a family's period table with everything beside measures that its KPIs need.

One row per grain, period_start, basis, segment_dimension, segment_value. To the measures come the period's end and
completeness, what `data_start` cuts (one column per look-back), whether each horizon has passed, and what the family
declares to need from elsewhere (inputs.py). Every KPI value is a function of its cell and of the rules whose
fingerprint the cell carries; so cells that did not change have KPI rows that did not change (store.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.histograms import quantile_relations, quantiles_of
from retention_pipeline.kpis.inputs import MONTHS_BEHIND, Borrowed, TrailingMonths
from retention_pipeline.kpis.keys import KEY, same_key
from retention_pipeline.kpis.look_backs import OWN_BASIS, LookBack, day_count
from retention_pipeline.kpis.registry import family_kpis
from retention_pipeline.kpis.rules import Rules, date_literal, text_literal

# The days of a cell, which look-backs name: period_start, period_end and these. Calendar months behind the close end
# with months_end.
DAYS = ("close", "close_12m", "previous_start", "months_end", "six_months_start")
# Columns that a cell has where a KPI names them.
DERIVED = {"days_in_period": "close - period_start"}
SEGMENT = ("segment_dimension", "segment_value")
FIGURES_TABLE = "retention_kpis"


def is_cut(look_back: LookBack, rules: Rules) -> str:
    """SQL over a cell's days: the first day that is needed lies before `data_start`."""
    if rules.business.data_start is None:
        return "false"
    day = rules.rendered(look_back.day)
    eve, window = f"({day}) - 1", f"({day}) - {rules.business.activity_window_days}"
    if look_back.state_of is None:
        first_day = day
    elif look_back.state_of == "subscription" or not rules.orders_connected:
        first_day = eve
    elif look_back.state_of == OWN_BASIS:
        first_day = f"case when basis = 'subscription' then {eve} else {window} end"
    else:
        first_day = window
    return f"coalesce({first_day} < {date_literal(rules.business.data_start)}, false)"


def maturity_column(horizon: int | str) -> str:
    """The cell column that says whether everything of the period has had so many days."""
    return f"is_mature_{horizon}d" if isinstance(horizon, int) else f"is_mature_{horizon}"


def closes(rules: Rules) -> str:
    """SQL: one row per grain and period, with the days of its cells."""
    as_of = date_literal(rules.as_of)
    return f"""closes as (
    select
        *,
        cast(close - to_months(12) as date) as close_12m,
        cast(date_trunc('month', close) as date) as months_end,
        cast(date_trunc('month', close) - to_months({MONTHS_BEHIND}) as date) as six_months_start,
        cast(case grain
            when 'week' then period_start - 7
            when 'month' then period_start - to_months(1)
            when 'quarter' then period_start - to_months(3)
            else period_start - to_months(12)
        end as date) as previous_start
    from (select grain, period_start, period_end, is_complete, least(period_end, {as_of}) as close from periods)
)"""


def trailing_relations(family: Family, trailing: TrailingMonths) -> str:
    """SQL: `<name>_first`, the first month per basis, and `<name>_sums`, per basis, segment and end of six months."""
    source = trailing.family or family
    name, months = trailing.name, f"{trailing.name}_months"
    basis = "" if trailing.basis == OWN_BASIS else f" and basis = {text_literal(trailing.basis)}"
    sums = [f"cast(sum({measure}) as {trailing.kind}) as {name}_{measure}" for measure in trailing.measures]
    sums += [
        f"cast(sum(case when ahead.n = {MONTHS_BEHIND} then {measure} else 0 end) as {trailing.kind}) "
        f"as {name}_first_{measure}"
        for measure in trailing.of_first
    ]
    return f"""{months} as (
    select * from {source.months_table or relation_of(source)} where grain = 'month'{basis}
),
{name}_first as (
    select basis, min(period_start) as first_month from {months} where segment_dimension = 'all' group by basis
),
{name}_sums as (
    select
        basis,
        {", ".join(SEGMENT)},
        cast(period_start + to_months(cast(ahead.n as integer)) as date) as months_end,
        {("," + chr(10) + "        ").join(sums)}
    from {months}
    cross join range(1, {MONTHS_BEHIND + 1}) as ahead (n)
    group by basis, {", ".join(SEGMENT)}, months_end
)"""


def relation_of(family: Family) -> str:
    """SQL: the rows of the family's period table."""
    where = f" where {family.rows}" if family.rows else ""
    return f"(select * from {family.period_table}{where})" if where else family.period_table


def cells_statement(
    family: Family, rules: Rules, tables: Collection[str], kept: Collection[str] = (), kept_relation: str = ""
) -> str:
    """SQL: the cells of one family, ordered so that a segment's history lies together.

    `tables`: those of the warehouse. `kept`: columns of the earlier run's cells, `kept_relation`, of which percentiles
    may be taken over (histograms.py).
    """
    kpis = family_kpis(family)
    named = set(re.findall(r"\w+", " ".join(text for kpi in kpis for text in kpi.expressions)))
    look_backs = dict.fromkeys(look_back for kpi in kpis for look_back in kpi.look_back)
    horizons = dict.fromkeys(kpi.horizon_days for kpi in kpis if kpi.horizon_days)
    joined, relations, joins = joined_columns(family, tables, kept, kept_relation)
    columns = [*KEY, "period_end", "is_complete", *family.cell_columns]
    columns += [histogram.mark for histogram in family.histograms]
    columns += [f"{is_cut(look_back, rules)} as {look_back.column}" for look_back in look_backs]
    columns += [
        f"period_end + {rules.rendered(day_count(horizon))} <= {date_literal(rules.as_of)} "
        f"as {maturity_column(horizon)}"
        for horizon in horizons
    ]
    columns += [f"{expression} as {name}" for name, expression in DERIVED.items() if name in named]
    columns.append(f"{text_literal(rules.fingerprint)} as rules_fingerprint")
    return f"""with {("," + chr(10)).join([closes(rules), *relations])},
joined as (
    select
        {("," + chr(10) + "        ").join(joined)}
    from {relation_of(family)} as measures
    inner join closes on measures.grain = closes.grain and measures.period_start = closes.period_start
    {(chr(10) + "    ").join(joins)}
)
select
    {("," + chr(10) + "    ").join(columns)}
from joined
order by basis, {", ".join(SEGMENT)}, grain, period_start"""


def joined_columns(
    family: Family, tables: Collection[str], kept: Collection[str], kept_relation: str
) -> tuple[list[str], list[str], list[str]]:
    """The columns of `joined` with the relations (SQL of CTEs) and the joins that they come from."""
    columns = [f"measures.{name}" for name in (*KEY, *family.measure_names)]
    columns += [f"closes.{name}" for name in ("period_end", "is_complete", *DAYS)]
    relations, joins = [], []
    for number, borrowed in enumerate(family.borrowed):
        if borrowed.family.period_table not in tables:
            columns += [f"cast(0 as bigint) as {name}" for name in borrowed.measures]
            continue
        lender = f"lender_{number}"
        columns += [f"coalesce({lender}.{name}, 0) as {name}" for name in borrowed.measures]
        joins.append(borrowed_join(borrowed, lender))
    for figure in family.borrowed_figures:
        value, reason, has_row = figure.columns
        columns += [f"{figure.kpi}.value as {value}", f"{figure.kpi}.null_reason as {reason}"]
        columns.append(f"{figure.kpi}.kpi is not null as {has_row}")
        same = " and ".join(f"measures.{name} = {figure.kpi}.{name}" for name in ("grain", "period_start", *SEGMENT))
        joins.append(
            f"left join {FIGURES_TABLE} as {figure.kpi} on {figure.kpi}.kpi = {text_literal(figure.kpi)} "
            f"and {figure.kpi}.basis = {text_literal(figure.basis)} and {same}"
        )
    for trailing in family.trailing:
        name, first_month = trailing.name, f"{trailing.name}_first.first_month"
        source = trailing.family or family
        if (source.months_table or source.period_table) not in tables:
            columns += [f"cast(0 as {trailing.kind}) as {column}" for column in trailing.columns]
            columns += [f"true as {trailing.is_short}", f"cast(null as date) as {name}_first_month"]
            continue
        columns += [f"coalesce({name}_sums.{column}, 0) as {column}" for column in trailing.columns]
        columns += [f"coalesce({first_month} > closes.six_months_start, true) as {trailing.is_short}"]
        columns += [f"{first_month} as {name}_first_month"]
        relations.append(trailing_relations(family, trailing))
        own = trailing.basis == OWN_BASIS
        joins.append(f"left join {name}_first on {f'measures.basis = {name}_first.basis' if own else 'true'}")
        keys = (*SEGMENT, "basis") if own else SEGMENT
        same = " and ".join(f"measures.{one} = {name}_sums.{one}" for one in keys)
        joins.append(f"left join {name}_sums on {same} and closes.months_end = {name}_sums.months_end")
    for histogram in family.histograms:
        quantiles, wanted = quantiles_of(histogram), (*histogram.names, histogram.mark)
        columns += [f"{quantiles}.{name}" for name in wanted]
        relations.append(quantile_relations(histogram, kept_relation if set(wanted) <= set(kept) else None))
        joins.append(f"left join {quantiles} on {same_key('measures', quantiles)}")
    return columns, relations, joins


def borrowed_join(borrowed: Borrowed, lender: str) -> str:
    """SQL: the join with the lender's row of the same grain, period and segment."""
    same = " and ".join(f"measures.{name} = {lender}.{name}" for name in ("grain", "period_start", *SEGMENT))
    basis = f"{lender}.basis = {text_literal(borrowed.basis)}"
    return f"left join {relation_of(borrowed.family)} as {lender} on {basis} and {same}"
