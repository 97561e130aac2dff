"""Input that no figure can be made from, named before or after dbt in the user's words: alias cycles, missing rates.

A rule about one row belongs to ingest (quarantine), a rule about results to publish/audit.
"""

from datetime import date
from pathlib import Path

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.transform.missing_rates import MISSING_RATES
from retention_pipeline.warehouse import has_table, opened, opened_raw, tables_in

NAMED_AT_MOST = 5


class InputError(Exception):
    """The rows that were delivered contradict each other; str() names them and says what to do."""


def check_aliases(home: Home, *, timezone: str, as_of: date) -> None:
    """Raise InputError naming each cycle among the aliases that are known at `as_of` (valid before its 00:00)."""
    with opened_raw(home) as connection:
        if not has_table(connection, "customer_aliases", schema="raw"):
            return
        cycles = alias_cycles(connection, timezone=timezone, as_of=as_of)
    if cycles:
        named = "; ".join(" → ".join(cycle) for cycle in cycles[:NAMED_AT_MOST])
        more = f" (and {len(cycles) - NAMED_AT_MOST} more)" if len(cycles) > NAMED_AT_MOST else ""
        raise InputError(
            f"customer_aliases contains a cycle: {named}{more}. Correct one of these rows and deliver it again."
        )


def alias_cycles(connection: duckdb.DuckDBPyConnection, *, timezone: str, as_of: date) -> list[list[str]]:
    """Cycles in raw.customer_aliases, each from its smallest id back to it.

    Every alias has one target, so what is left after removing, again and again, the aliases that nothing points to is
    exactly the cycles; as many set-based rounds as the longest chain of merges.
    """
    connection.execute(
        """
        create or replace temp table links as
        select alias_id, customer_id
        from raw.customer_aliases
        where alias_id <> customer_id  -- another name for itself: says nothing
            and (
                valid_from is null
                or case
                    when valid_from_is_date then cast(valid_from as date)
                    else cast(timezone(?, timezone('UTC', valid_from)) as date)
                end < ?
            )
        """,
        [timezone, as_of],
    )
    removed: tuple[int, ...] | None = (1,)
    while removed and removed[0]:
        removed = connection.execute(
            "delete from links where not exists (select 1 from links as later where later.customer_id = links.alias_id)"
        ).fetchone()
    target = dict(connection.execute("select alias_id, customer_id from links").fetchall())
    cycles = []
    while target:
        path = [min(target)]
        while (following := target.pop(path[-1], None)) is not None:
            path.append(following)
        cycles.append(path)
    return cycles


def check_rates(warehouse_file: Path, *, as_of: date, reporting_currency: str) -> None:
    """Raise InputError naming currency and days before `as_of` on which a figure needs a rate that is not there."""
    with opened(warehouse_file, read_only=True) as connection:
        present = tables_in(connection)
        statements = [statement for tables, statement in MISSING_RATES.items() if present.issuperset(tables)]
        if not statements:
            return
        missing = connection.execute(
            f"""
            with missing (dataset, currency, rate_date) as ({" union ".join(f"({one})" for one in statements)})
            select currency, min(rate_date), max(rate_date), count(distinct rate_date),
                string_agg(distinct dataset, ', ')
            from missing
            where rate_date < $as_of and currency <> $reporting_currency
            group by currency
            order by currency
            """,
            {"as_of": as_of, "reporting_currency": reporting_currency},
        ).fetchall()
    if missing:
        lines = [
            f"  {currency}: {first}" + (f" to {last} ({days} days)" if days > 1 else "") + f", needed by {datasets}"
            for currency, first, last, days, datasets in missing
        ]
        raise InputError(
            "fx_rates has no rate for days that need one (a rate serves the days after it, up to fx_max_age_days):\n"
            + "\n".join(lines)
        )
