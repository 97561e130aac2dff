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
    """Mark what earlier loads refused with the first of these loads that brought it in, or told it again, as if they
    had come one by one. Call when they are written down, with their rows still on the stage; `is_whole`: each of them
    has all rows of the source.
    """
    ids = [load.load_id for load in loads if load.load_id is not None]
    ours = [contract.dataset, ids]
    still = "quarantine.dataset = $1 and quarantine.resolved_by is null"
    earlier = f"from raw.quarantine where {still} and load_id < (select max(id) from unnest($2) as t(id)) limit 1"
    if not ids or connection.execute(earlier, ours).fetchone() is None:
        return
    first_key = f"cast({quoted(contract.key_columns[0])} as varchar)"
    line = "case when key is null and raw <> ''::blob then raw end"
    pulls = [load.load_id for load in loads if load.is_pull]  # the next one was asked for other rows
    connection.execute(
        f"""
        with missing as (
            select rowid as refused_row, load_id, sha256, key, {line} as line from raw.quarantine where {still}
        ),
        later as (
            select
                load_id, file_name, sha256,
                case when list_contains(cast($5 as bigint[]), load_id) then -1
                    else n_changed + n_unchanged + n_stale end as n_known
            from raw.ledger where list_contains($2, load_id)
        ),
        told_keys as (
            select {_key(contract)} as key, _load_id as load_id from stage
            where _error is null and list_contains($2, _load_id) and {first_key} in (
                select json_extract_string(key, '$[0]') from missing where key is not null
            )
            union
            select key, load_id from raw.quarantine where dataset = $1 and list_contains($2, load_id)
        ),
        told_lines as (
            select distinct {line} as line, load_id from raw.quarantine
            where dataset = $1 and list_contains($2, load_id)
        ),
        replaced as (
            select former.load_id, min(later.load_id) as by_load
            from raw.ledger as former
                join later on former.load_id < later.load_id and former.source = $3
                    and ($4 or (former.file_name = later.file_name and former.n_good <= later.n_known))
            where former.load_id in (select load_id from missing)
            group by former.load_id
        ),
        told as (
            select missing.refused_row, told_keys.load_id as by_load
            from missing asof join told_keys on missing.key = told_keys.key and missing.load_id < told_keys.load_id
            union all
            select missing.refused_row, told_lines.load_id
            from missing asof join told_lines on missing.line = told_lines.line and missing.load_id < told_lines.load_id
            union all
            select missing.refused_row, later.load_id
            from missing join later on missing.sha256 = later.sha256 and missing.load_id < later.load_id
            union all
            select missing.refused_row, replaced.by_load
            from missing join replaced on missing.load_id = replaced.load_id
        ),
        first_told as (
            select refused_row, min(by_load) as by_load from told group by refused_row
        )
        update raw.quarantine set resolved_by = first_told.by_load
        from first_told where quarantine.rowid = first_told.refused_row
        """,
        [*ours, source, is_whole, pulls],
    )
