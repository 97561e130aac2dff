"""Checks between the rows of `raw.customer_aliases`, which no single row can break."""

from __future__ import annotations

import duckdb

from retention_pipeline.ingest.result import IngestError


def check_aliases(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise IngestError that names the customers, if aliases lead back to where they began.

    `connection` has raw.duckdb open. An id has at most one alias row, so a walk along the aliases either ends or
    comes back; the walk stops after as many steps as there are aliases that lead on.
    """
    links = dict(
        connection.execute(
            """
            select alias_id, customer_id from raw.customer_aliases
            where customer_id in (select alias_id from raw.customer_aliases)
            order by alias_id
            """
        ).fetchall()
    )
    done: set[str] = set()
    for start in links:
        path: list[str] = []
        seen: set[str] = set()
        here = start
        while here in links and here not in done and here not in seen:
            path.append(here)
            seen.add(here)
            here = links[here]
        if here in seen:
            cycle = path[path.index(here) :]
            raise IngestError("customer_aliases: a cycle of aliases: " + " → ".join([*cycle, here]))
        done |= seen
