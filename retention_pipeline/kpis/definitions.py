"""The published tables `kpi_definitions`, the registry as data, and `settings_in_force`, what its words refer to."""

from __future__ import annotations

import json
from typing import Any

import duckdb

from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.examples import EXAMPLES
from retention_pipeline.kpis.registry import KPIS

COLUMNS = {
    "kpi": "varchar",
    "label": "varchar",
    "definition": "varchar",
    "example": "varchar",
    "family": "varchar",
    "bases": "varchar",
    "unit": "varchar",
    "period_table": "varchar",
    "value": "varchar",
    "numerator": "varchar",
    "denominator": "varchar",
    "n": "varchar",
    "factor": "varchar",
    "valid_min": "double",
    "valid_max": "double",
    "is_proportion": "boolean",
    "interval_kind": "varchar",
    "better": "varchar",
    "format": "varchar",
    "headline_order": "integer",
    "headline_section": "varchar",
    "segments_only": "boolean",
    "given_for": "varchar",
    "immature_when": "varchar",
    "minimum_sample": "varchar",
    "look_back": "varchar",
    "settings": "varchar",
    "definition_version": "integer",
}


def factor(kpi: Kpi) -> str | None:
    """What the division is multiplied with, in words of the cells; None where it is 1."""
    if (kpi.factor_numerator, kpi.factor_denominator) == ("1", "1"):
        return None
    if kpi.factor_denominator == "1":
        return in_words(kpi.factor_numerator)
    return in_words(f"{kpi.factor_numerator} / ({kpi.factor_denominator})")


def in_words(expression: str | None) -> str | None:
    """An expression with settings by their names."""
    return expression and expression.replace("{", "").replace("}", "")


def immature_when(kpi: Kpi) -> str | None:
    """The condition under which the KPI is not given yet."""
    conditions = [f"period_end + {kpi.horizon_days} days > as_of"] if kpi.horizon_days else []
    conditions += [kpi.immature_when] if kpi.immature_when else []
    return in_words(" or ".join(conditions)) or None


def definition_row(kpi: Kpi) -> tuple[Any, ...]:
    """One row of kpi_definitions, in the order of COLUMNS."""
    return (
        kpi.id,
        kpi.label,
        kpi.definition,
        EXAMPLES.get(kpi.id),
        kpi.family.name,
        ", ".join(kpi.bases or kpi.family.bases),
        kpi.unit,
        kpi.family.period_table,
        in_words(kpi.value),
        in_words(kpi.numerator),
        in_words(kpi.denominator),
        in_words(kpi.n),
        factor(kpi),
        kpi.valid_range[0],
        kpi.valid_range[1],
        kpi.is_proportion,
        kpi.interval,
        kpi.better,
        kpi.shown_as,
        kpi.headline and kpi.headline.order,
        kpi.headline and kpi.headline.section,
        kpi.segments_only,
        kpi.rows or None,
        immature_when(kpi),
        kpi.sample and f"{kpi.sample} >= min_n",
        ", ".join(look_back.name for look_back in kpi.look_back) or None,
        ", ".join(kpi.settings) or None,
        kpi.version,
    )


def write_definitions(connection: duckdb.DuckDBPyConnection) -> None:
    """Write `kpi_definitions`: one row per KPI, in the registry's order."""
    connection.execute(f"create or replace table kpi_definitions ({', '.join(f'{n} {t}' for n, t in COLUMNS.items())})")
    # A list per column: a row of parameters per KPI would be a statement of thousands.
    columns = [list(column) for column in zip(*map(definition_row, KPIS), strict=True)]
    connection.execute(f"insert into kpi_definitions select {', '.join(['unnest(?)'] * len(COLUMNS))}", columns)


def write_settings_in_force(connection: duckdb.DuckDBPyConnection, business: Any) -> None:
    """Write `settings_in_force`: one row per business setting with the value that this generation's figures were made
    with; text as it is, everything else as JSON.
    """
    values = business.model_dump(mode="json")
    connection.execute("create or replace table settings_in_force (setting varchar not null, value varchar)")
    connection.execute(
        "comment on table settings_in_force is 'One row per business setting, with the value that the figures of this "
        "generation were made with (null: not set).'"
    )
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values.values()]
    connection.execute("insert into settings_in_force select unnest(?), unnest(?)", [list(values), texts])
