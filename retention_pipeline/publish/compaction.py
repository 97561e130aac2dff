"""The published file does not grow for nothing: DuckDB reuses freed blocks and rows, but never gives them back.

A file is measured against what was in use when it was last written as a whole (`pipeline_state.fresh_bytes` and
`fresh_rows`), row for row. Where it is larger by more than LARGEST_GROWTH, it is written anew. Free blocks alone are no
reason: the next night makes its working tables there.
"""

import os
from pathlib import Path

import duckdb

from retention_pipeline.settings import Home, memory_limit
from retention_pipeline.warehouse import STORAGE_VERSION, connect, opened, sql_text

LARGEST_GROWTH = 1.6


def is_bloated(warehouse_file: Path, rows: int, fresh_bytes: int | None, fresh_rows: int | None) -> bool:
    """Whether a checkpointed file is worth writing anew. fresh_*: its size and rows when it last was; None: unknown."""
    if fresh_bytes is None or not fresh_rows:
        return fresh_bytes is None
    return warehouse_file.stat().st_size > LARGEST_GROWTH * fresh_bytes * max(rows / fresh_rows, 1)


def bytes_in_use(warehouse_file: Path) -> int:
    """What the blocks of a checkpointed file weigh that are not free."""
    with opened(warehouse_file, read_only=True) as connection:
        (size,) = connection.execute(
            "select used_blocks * block_size from pragma_database_size() where database_name = current_database()"
        ).fetchone() or (0,)
    return int(size)


def compact(home: Home) -> bool:
    """Write `next.duckdb` anew, the same tables and views; False where there is no room for that, which is no reason to
    publish nothing.
    """
    made = home.next_file.with_name(f"{home.next_file.name}.compact")
    try:
        with connect() as connection:
            connection.execute(f"set memory_limit = {sql_text(memory_limit())}")
            connection.execute(f"set temp_directory = {sql_text(str(home.next_file) + '.spill')}")
            connection.execute(f"attach {sql_text(str(made))} as made (storage_version '{STORAGE_VERSION}')")
            connection.execute(f"attach {sql_text(str(home.next_file))} as bloated (read_only)")
            connection.execute("copy from database bloated to made")
            connection.execute("checkpoint made")
    except duckdb.IOException:
        made.unlink(missing_ok=True)
        return False
    os.replace(made, home.next_file)
    return True
