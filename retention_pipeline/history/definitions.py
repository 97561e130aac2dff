"""The table `kpi_definition_history`: each definition of a KPI that was in force, and from when to when.

`kpi_definitions` has the present ones alone: one row per KPI, as everybody joins it.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.history.publications import Publication
from retention_pipeline.history.reported import instant
from retention_pipeline.warehouse import has_table, sql_text

TABLE, PRESENT = "kpi_definition_history", "kpi_definitions"
SAID = {
    "label": "varchar",
    "definition": "varchar",
    "value": "varchar",
    "numerator": "varchar",
    "denominator": "varchar",
    "n": "varchar",
    "factor": "varchar",
    "settings": "varchar",
    "definition_version": "integer",
}
DESCRIPTION = (
    "One row per KPI and definition that was in force: known_from and known_to are the moments of the publications "
    "that first and no longer had it."
)


def create_table(connection: duckdb.DuckDBPyConnection, *, temporary: bool = False) -> None:
    """Create it where it is not there yet."""
    if has_table(connection, TABLE):
        return
    listed = ", ".join(f"{name} {kind}" for name, kind in SAID.items())
    connection.execute(
        f"create {'temp ' if temporary else ''}table {TABLE} (kpi varchar not null, {listed}, "
        "known_from timestamp not null, known_to timestamp)"
    )
    connection.execute(f"comment on table {TABLE} is {sql_text(DESCRIPTION)}")


def write_definition_history(connection: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    """Bring the table up to the definitions that are going to be published."""
    create_table(connection)
    if not has_table(connection, PRESENT):
        return
    said = ", ".join(SAID)
    moment = instant(publication.published_at)
    connection.execute(f"""
        create or replace temp table new_definitions as
        select kpi, {said} from {PRESENT} except select kpi, {said} from {TABLE} where known_to is null""")
    connection.execute(
        f"update {TABLE} set known_to = {moment} where known_to is null and (kpi in (select kpi from new_definitions) "
        f"or kpi not in (select kpi from {PRESENT}))"
    )
    connection.execute(f"insert into {TABLE} select kpi, {said}, {moment}, null from new_definitions order by kpi")
