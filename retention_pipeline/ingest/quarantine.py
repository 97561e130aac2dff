"""Which refused rows still miss: each is told once, however often it is seen, and no more when it has come in good.

A refused row is known by its key, where that can be read, else by its bytes; and of a file that is delivered again
under its name, with all that it had, only what the later version says counts. `resolved_by` is the load that brought
the row in, or that told it again.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.result import LoadResult
from retention_pipeline.ingest.schema import literal, quoted


def _key(contract: Contract) -> str:
    """The key of a row of the stage as one text."""
    return (
        f"cast(json_array({', '.join(f'cast({quoted(name)} as varchar)' for name in contract.key_columns)}) as varchar)"
    )


def told_key(contract: Contract) -> str:
    """The key of a refused row of the stage; null where what is wrong with the row is wrong with its key."""
    names = "|".join(contract.key_columns)
    is_wrong = f"regexp_matches(_error, {literal(f'(^|; )({names})(:| )')})"
    return f"case when {quoted(contract.key_columns[0])} is not null and not {is_wrong} then {_key(contract)} end"


def settle(
    connection: duckdb.DuckDBPyConnection, contract: Contract, source: str, loads: list[LoadResult], *, is_whole: bool
) -> None:
    """Mark what earlier loads refused and these loads brought in, or told again. Call when they are written down, with
    their rows still on the stage; `is_whole`: each of them has all rows of the source.
    """
    ids = [load.load_id for load in loads if load.load_id is not None]
    ours = [contract.dataset, ids]
    still = "quarantine.dataset = $1 and quarantine.resolved_by is null"
    earlier = f"from raw.quarantine where {still} and load_id < (select max(id) from unnest($2) as t(id)) limit 1"
    if not ids or connection.execute(earlier, ours).fetchone() is None:
        return
    first_key = f"cast({quoted(contract.key_columns[0])} as varchar)"
    connection.execute(
        f"""
        update raw.quarantine set resolved_by = good.load_id
        from (
            select {_key(contract)} as key, max(_load_id) as load_id from stage
            where _error is null and list_contains($2, _load_id) and {first_key} in (
                select json_extract_string(key, '$[0]') from raw.quarantine where {still} and key is not null
            )
            group by all
        ) as good
        where {still} and quarantine.key = good.key and quarantine.load_id < good.load_id
        """,
        ours,
    )
    for sign, condition in (("key", "key is not null"), ("raw", "key is null and raw <> ''::blob")):
        connection.execute(
            f"""
            update raw.quarantine set resolved_by = again.load_id
            from (
                select {sign} as sign, max(load_id) as load_id from raw.quarantine
                where {still} and list_contains($2, load_id) and {condition} group by all
            ) as again
            where {still} and {condition} and quarantine.{sign} = again.sign and quarantine.load_id < again.load_id
            """,
            ours,
        )
    for load in loads:
        known = load.changed + load.unchanged + load.stale
        connection.execute(
            f"""
            update raw.quarantine set resolved_by = $2 from raw.ledger as former
            where {still} and former.load_id = quarantine.load_id and former.load_id < $2 and former.source = $3
                and ($4 or (former.file_name = $5 and former.n_good <= $6))
            """,
            [contract.dataset, load.load_id, source, is_whole, load.file_name, -1 if load.is_pull else known],
        )
