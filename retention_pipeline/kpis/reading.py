"""Answers from a published `retention_kpis`: one KPI over its last periods. Only reads; looks are decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from retention_pipeline.kpis.declaration import Kpi
from retention_pipeline.kpis.registry import kpi_named


class NoSuchRows(Exception):
    """The KPI has no rows under this basis, dimension, value or grain; the message lists what there is."""


@dataclass(frozen=True)
class KpiTable:
    """A KPI's declaration and its rows of `retention_kpis` as dictionaries, oldest first."""

    kpi: Kpi
    rows: list[dict[str, Any]]


def kpi_table(
    connection: duckdb.DuckDBPyConnection,
    kpi: str,
    grain: str = "month",
    segment: str | None = None,
    basis: str | None = None,
    last: int = 12,
) -> KpiTable:
    """The last `last` periods of a KPI that have rows of it.

    `segment`: None = the whole, 'dimension' = every value of it, 'dimension=value' = that value. `basis`: None =
    every basis that the KPI has. Raises UnknownKpi, or NoSuchRows with the choices that there are.
    """
    declaration = kpi_named(kpi)
    dimension, has_value, value = (segment or "all=all").partition("=")
    wanted = [
        ("grain", grain),
        ("basis", basis),
        ("segment_dimension", dimension),
        ("segment_value", value if has_value else None),
    ]
    where, parameters = ["kpi = ?"], [kpi]
    for column, choice in wanted:
        if choice is None:
            continue
        where.append(f"{column} = ?")
        parameters.append(choice)
        if not connection.execute(
            f"select 1 from retention_kpis where {' and '.join(where)} limit 1", parameters
        ).fetchall():
            found = connection.execute(
                f"select distinct {column} from retention_kpis where {' and '.join(where[:-1])} order by 1",
                parameters[:-1],
            ).fetchall()
            there = ", ".join(row[0] for row in found) or "none"
            raise NoSuchRows(f"{kpi} has no rows with {column} {choice!r}; there are: {there}")
    cursor = connection.execute(
        f"""
        with rows as (select * from retention_kpis where {" and ".join(where)})
        select * from rows
        where period_start in (select distinct period_start from rows order by period_start desc limit ?)
        order by period_start, basis, segment_value
        """,
        [*parameters, last],
    )
    names = [column[0] for column in cursor.description or []]
    return KpiTable(declaration, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
