"""The pandera contract of `retention_kpis`: one row per kpi, grain, period_start, basis, segment_dimension,
segment_value.

Column names, types and the values that a column may take. Ranges per KPI and rules between rows are in contract.py,
also that each key stands once. A module of its own because importing pandera takes longer than computing the KPIs of
a small company.
"""

from __future__ import annotations

from typing import Annotated

import duckdb
import pandas as pd
import pandera.pandas as pa
import pyarrow
from pandera.typing import Series

from retention_pipeline.contracts.grains import GRAINS
from retention_pipeline.kpis.declaration import BASES, UNITS
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.kpis.store import ROW_KEY
from retention_pipeline.kpis.violation import Violation
from retention_pipeline.kpis.vocabulary import NULL_REASONS

CONTRACT = "contract of retention_kpis"
Text = Annotated[pd.StringDtype, "pyarrow", pd.NA]  # of objects, pandera would look at each value by itself
DAYS = ("period_start", "period_end", "as_of")


class KpiRows(pa.DataFrameModel):
    """One row per kpi, grain, period_start, basis, segment_dimension, segment_value."""

    kpi: Series[Text] = pa.Field(isin=list(BY_ID))
    grain: Series[Text] = pa.Field(isin=GRAINS)
    period_start: Series[pa.DateTime]
    period_end: Series[pa.DateTime]
    basis: Series[Text] = pa.Field(isin=list(BASES))
    segment_dimension: Series[Text] = pa.Field(str_length={"min_value": 1})
    segment_value: Series[Text] = pa.Field(str_length={"min_value": 1})
    value: Series[float] = pa.Field(nullable=True)
    numerator: Series[float] = pa.Field(nullable=True)
    denominator: Series[float] = pa.Field(nullable=True)
    n: Series[float] = pa.Field(nullable=True, ge=0, coerce=True)
    ci_low: Series[float] = pa.Field(nullable=True)
    ci_high: Series[float] = pa.Field(nullable=True)
    unit: Series[Text] = pa.Field(isin=list(UNITS))
    currency: Series[Text] = pa.Field(nullable=True, str_matches="^[A-Z]{3}$")
    is_complete: Series[bool]
    null_reason: Series[Text] = pa.Field(nullable=True, isin=list(NULL_REASONS))
    definition_version: Series[int] = pa.Field(ge=1, coerce=True)
    as_of: Series[pa.DateTime]
    computed_at: Series[pa.DateTime]
    run_id: Series[Text] = pa.Field(str_length={"min_value": 1})

    class Config:
        """No column more, none less, in this order."""

        strict = True
        ordered = True

    @pa.dataframe_check(name="a period begins before it ends and before as_of")
    def _period_is_open_or_over(cls, rows: pd.DataFrame) -> pd.Series:
        return (rows["period_start"] < rows["period_end"]) & (rows["period_start"] < rows["as_of"])

    @pa.dataframe_check(name="the whole has dimension all and value all")
    def _all_is_all(cls, rows: pd.DataFrame) -> pd.Series:
        return (rows["segment_dimension"] != "all") | (rows["segment_value"] == "all")


def as_typed(rows: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """Rows as pandas has them where text is not a column of Python objects, and a day is a moment."""
    days = ", ".join(f"cast({name} as timestamp) as {name}" for name in DAYS)
    table = rows.project(f"* replace ({days})").to_arrow_table()
    typed: pd.DataFrame = table.to_pandas(types_mapper={pyarrow.string(): pd.StringDtype("pyarrow")}.get)
    return typed


def failures(rows: pd.DataFrame, examples: int) -> list[Violation]:
    """The contract's checks that the rows break, one Violation per column and check."""
    try:
        KpiRows.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        of_schema = cases[cases["index"].isna()]
        of_rows = cases[cases["index"].notna()].groupby(["column", "check"], dropna=False)
        found = [
            Violation(f"{CONTRACT}, {case['check']}: {case['failure_case']}", 1) for _, case in of_schema.iterrows()
        ]
        for (column, check), broken in of_rows:
            shown = [rows.loc[index, list(ROW_KEY)].to_dict() for index in broken["index"].unique()[:examples]]
            found.append(Violation(f"{CONTRACT}, {column}: {check}", broken["index"].nunique(), shown))
        return found
    return []
