"""The columns of `restatements` and `restatement_rows`."""

from __future__ import annotations

import duckdb

from retention_pipeline.history.causes import CAUSES
from retention_pipeline.history.reported import ROW_KEY
from retention_pipeline.warehouse import has_table, sql_text

RESTATEMENTS, ROWS = "restatements", "restatement_rows"
# The customer of a line that has what the other rows of a figure and cause do not: all of it, where there are too many.
NOT_LISTED = "(not listed)"
KEY_COLUMNS = {name: "date not null" if name == "period_start" else "varchar not null" for name in ROW_KEY}
COLUMNS = {
    "generation": "bigint not null",
    "published_at": "timestamp not null",
    **KEY_COLUMNS,
    "cause": "varchar not null",
    "old": "double",
    "new": "double",
    "delta": "double not null",
    "old_numerator": "double",
    "new_numerator": "double",
    "numerator_delta": "double",
    "old_denominator": "double",
    "new_denominator": "double",
    "denominator_delta": "double",
    "old_n": "bigint",
    "new_n": "bigint",
    "other_causes": "varchar",
    "is_closed": "boolean not null",
}
ROW_COLUMNS = {
    "generation": "bigint not null",
    **KEY_COLUMNS,
    "cause": "varchar not null",
    "customer_id": "varchar",
    "dataset": "varchar",
    "row_key": "varchar",
    "load_id": "bigint",
    "numerator_delta": "double",
    "denominator_delta": "double",
}
DESCRIPTIONS = {
    RESTATEMENTS: "One row per publication, figure of a complete period that it changed, and cause; the deltas of a "
    "figure's causes add up to the whole change.",
    ROWS: "One row per publication, restated figure and row of raw that may be behind it: the customer, the dataset, "
    "the row's key and the load that brought it.",
}
COMMENTS = {
    RESTATEMENTS: {
        "old": "The value that was published before; empty where there was none",
        "new": "The value that is published now; empty where there is none",
        "delta": "This cause's part of the change of the value, an empty value counting as 0",
        "cause": f"One of {', '.join(sorted(CAUSES))}",
        "other_causes": "Causes that may be in the delta, too, and are not known apart",
        "is_closed": "Whether the period was closed (close_after_days)",
    },
    ROWS: {
        "customer_id": "The customer whom the row belongs to, or belonged to before; empty for rows of nobody; "
        f"{NOT_LISTED}: all that the figure's other rows of this cause leave out, or all of it",
        "row_key": "The values of the contract's key, with blanks between",
        "numerator_delta": "The customer's part of the change of numerator (of a count or sum: value), on the first of "
        "the customer's rows; empty where parts are not known",
        "denominator_delta": "The same of the denominator",
    },
}


def create_tables(connection: duckdb.DuckDBPyConnection, *, temporary: bool = False) -> None:
    """Create both where they are not there yet."""
    for table, columns in ((RESTATEMENTS, COLUMNS), (ROWS, ROW_COLUMNS)):
        if has_table(connection, table):
            continue
        is_temporary = "temp " if temporary else ""
        connection.execute(
            f"create {is_temporary}table {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})"
        )
        connection.execute(f"comment on table {table} is {sql_text(DESCRIPTIONS[table])}")
        for column, words in COMMENTS[table].items():
            connection.execute(f"comment on column {table}.{column} is {sql_text(words)}")
