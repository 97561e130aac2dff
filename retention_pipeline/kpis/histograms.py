"""Percentiles (type 7) of values that a table counts per cell, as the days between purchases in period_purchase_gaps.

The quantile q of N sorted values lies at position h = (N - 1) * q, linear between the values at floor(h) and at
ceil(h). Sorting millions of histogram rows is most of the time that figures take, so a cell's histogram has a mark,
and the percentiles of a cell whose mark is that of the earlier run are those of the earlier run.
"""

from __future__ import annotations

import hashlib

from retention_pipeline.kpis.inputs import Histogram
from retention_pipeline.kpis.keys import KEY, same_key


def quantiles_of(histogram: Histogram) -> str:
    """The relation that `quantile_relations` makes: one row per cell with values."""
    return f"{histogram.table}_quantiles"


def quantile_relations(histogram: Histogram, kept: str | None = None) -> str:
    """SQL: the relation `quantiles_of(histogram)` and those before it; its columns are the key, the percentiles and
    the mark.

    `kept` names a relation with these columns from an earlier run; without it every cell's are computed.
    """
    table, mark = histogram.table, histogram.mark
    key = ", ".join(KEY)
    marks, numbered, computed = f"{table}_marks", f"{table}_numbered", f"{table}_computed"
    same_histogram = f"{same_key('marks', 'kept')} and marks.{mark} = kept.{mark}"
    new = f" anti join {kept} as kept on {same_histogram}" if kept else ""
    taken_over = (
        f"""
    union all
    select {", ".join(f"marks.{name}" for name in KEY)}, {", ".join(f"kept.{name}" for name in histogram.names)},
        marks.{mark}
    from {marks} as marks inner join {kept} as kept on {same_histogram}"""
        if kept
        else ""
    )
    # The hash of two numbers is a xor of one of each: without the second hash, counts that change alike leave no trace.
    row_mark = f"hash(hash({histogram.value}, {histogram.count}))"
    return f"""{marks} as (
    select {key}, xor(bit_xor({row_mark}), {formula_mark(histogram)}) as {mark}
    from {table}
    where {histogram.count} > 0
    group by {key}
),
{numbered} as (
    select marks.*, row_number() over (order by {key}) as cell from {marks} as marks{new}
),
{values_in_order(histogram)},
{computed} as (
    select cell, {", ".join(quantile(name) for name in histogram.names)} from {table}_in_order group by cell
),
{quantiles_of(histogram)} as (
    select {key}, {", ".join(histogram.names)}, {mark}
    from {numbered} as numbered inner join {computed} as computed on numbered.cell = computed.cell{taken_over}
)"""


def values_in_order(histogram: Histogram) -> str:
    """Rows of the cells that are computed, with how many values are at most as great, and where the quantiles lie."""
    positions = ", ".join(
        f"cast(sum(counted.{histogram.count}) over whole - 1 as double) * {fraction} as {name}_at"
        for name, fraction in histogram.quantiles
    )
    reached = f"sum(counted.{histogram.count}) over (whole order by counted.{histogram.value} rows unbounded preceding)"
    return f"""{histogram.table}_in_order as (
    select
        numbered.cell,
        counted.{histogram.value} as one_value,
        counted.{histogram.count} as times,
        {positions},
        {reached} as reached
    from {histogram.table} as counted
    inner join {histogram.table}_numbered as numbered on {same_key("counted", "numbered")}
    where counted.{histogram.count} > 0
    window whole as (partition by numbered.cell)
)"""


def quantile(name: str) -> str:
    """SQL: one percentile of a cell."""

    def at(position: str) -> str:
        return f"max(case when reached - times <= {position} and {position} < reached then one_value end)"

    low, high = at(f"floor({name}_at)"), at(f"ceil({name}_at)")
    return f"{low} + (any_value({name}_at) - floor(any_value({name}_at))) * ({high} - {low}) as {name}"


def formula_mark(histogram: Histogram) -> str:
    """SQL: a number for the formula, part of the marks, so that a changed formula takes nothing over."""
    text = values_in_order(histogram) + "".join(quantile(name) for name in histogram.names)
    return f"cast({int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')} as ubigint)"
