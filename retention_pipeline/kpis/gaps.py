"""Percentiles (type 7) of the days between purchases, per cell, from the histogram in period_purchase_gaps.

The quantile q of N sorted values lies at position h = (N - 1) * q, linear between the values at floor(h) and at
ceil(h). Sorting millions of histogram rows is most of the time that figures take, so a cell's histogram has a mark,
and the percentiles of a cell whose mark is that of the earlier run are those of the earlier run.
"""

from __future__ import annotations

import hashlib

from retention_pipeline.kpis.keys import KEY, same_key

QUANTILES = {"gap_days_p25": "0.25", "gap_days_median": "0.5", "gap_days_p75": "0.75"}
GAPS_MARK = "gaps_mark"


def gap_quantiles(kept: str | None = None) -> str:
    """SQL: `quantiles`, one row per cell with gaps: its key, QUANTILES and GAPS_MARK.

    `kept` names a relation with these columns from an earlier run; without it every cell's are computed.
    """
    key = ", ".join(KEY)
    new = f" anti join {kept} as kept on {_same_histogram()}" if kept else ""
    names = ", ".join((*QUANTILES, GAPS_MARK))
    taken_over = (
        f"""
    union all
    select {", ".join(f"marks.{name}" for name in KEY)}, {", ".join(f"kept.{name}" for name in QUANTILES)},
        marks.{GAPS_MARK}
    from marks inner join {kept} as kept on {_same_histogram()}"""
        if kept
        else ""
    )
    return f"""marks as (
    select {key}, xor(bit_xor(hash(gap_days, purchase_gaps)), {_formula_mark()}) as {GAPS_MARK}
    from period_purchase_gaps
    where purchase_gaps > 0
    group by {key}
),
numbered as (
    select marks.*, row_number() over (order by {key}) as cell from marks{new}
),
{_histogram()},
computed as (
    select cell, {", ".join(_quantile(name) for name in QUANTILES)} from histogram group by cell
),
quantiles as (
    select {key}, {names} from numbered inner join computed on numbered.cell = computed.cell{taken_over}
)"""


def _same_histogram() -> str:
    return f"{same_key('marks', 'kept')} and marks.{GAPS_MARK} = kept.{GAPS_MARK}"


def _histogram() -> str:
    """Rows of the cells that are computed, with how many gaps are at most as long, and where the quantiles lie."""
    positions = ", ".join(
        f"cast(sum(gaps.purchase_gaps) over whole - 1 as double) * {q} as {name}_at" for name, q in QUANTILES.items()
    )
    return f"""histogram as (
    select
        numbered.cell,
        gaps.gap_days,
        gaps.purchase_gaps,
        {positions},
        sum(gaps.purchase_gaps) over (whole order by gaps.gap_days rows unbounded preceding) as reached
    from period_purchase_gaps as gaps
    inner join numbered on {same_key("gaps", "numbered")}
    where gaps.purchase_gaps > 0
    window whole as (partition by numbered.cell)
)"""


def _quantile(name: str) -> str:
    def at(position: str) -> str:
        return f"max(case when reached - purchase_gaps <= {position} and {position} < reached then gap_days end)"

    low, high = at(f"floor({name}_at)"), at(f"ceil({name}_at)")
    return f"{low} + (any_value({name}_at) - floor(any_value({name}_at))) * ({high} - {low}) as {name}"


def _formula_mark() -> str:
    """SQL: a number for the formula, part of the marks, so that a changed formula takes nothing over."""
    text = _histogram() + "".join(_quantile(name) for name in QUANTILES)
    return f"cast({int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')} as ubigint)"
