"""The clock of `customer_actions`: each of its rows is exported or posted once, by each action of each rule.

The keys that went out are in alerts/sent/<rule's slug>-<position>.parquet; keys that the table no longer lists
are forgotten, so that the file stays small.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import has_table, sql_text

ACTIONS = "customer_actions"
KEY = ("customer_id", "action", "subject", "due_on")


def unsent(
    home: Home, connection: duckdb.DuckDBPyConnection, rule: str, position: int, actions: str | bool
) -> list[dict[str, Any]]:
    """Rows of `customer_actions` that have not gone out, ordered by key; also the temporary table unsent_actions."""
    connection.execute("drop table if exists temp.unsent_actions")
    if not has_table(connection, ACTIONS):
        return []
    named = "true" if actions is True else f"action = {sql_text(str(actions))}"
    file = _sent(home, rule, position)
    known = f"read_parquet({sql_text(str(file))})" if file.exists() else f"(select * from {ACTIONS} where false)"
    same = " and ".join(f"sent.{name} is not distinct from current.{name}" for name in KEY)
    relation = connection.execute(
        f"""
        create temp table unsent_actions as
        select current.* from {ACTIONS} as current
        where {named} and not exists (select 1 from {known} as sent where {same})
        order by {", ".join(KEY)}
        """
    ).execute("from unsent_actions")
    names = [column[0] for column in relation.description or []]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def mark_sent(home: Home, connection: duckdb.DuckDBPyConnection, rule: str, position: int) -> None:
    """What `customer_actions` lists now has gone out."""
    file = _sent(home, rule, position)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    try:
        connection.execute(
            f"copy (select {', '.join(KEY)} from {ACTIONS} order by all) to {sql_text(str(temporary))} (format parquet)"
        )
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _sent(home: Home, rule: str, position: int) -> Path:
    return home.alerts / "sent" / f"{rule}-{position}.parquet"
