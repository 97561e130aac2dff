"""The published table `quarantine`. One row per refused row that still misses: which file and line, and why.

What was refused and loads since then is not in it. `raw` is the line as it was delivered, null where it is not UTF-8
text; raw.duckdb has the bytes of all of them. When a load was, `pipeline_loads` tells.
"""

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened_raw, tables_in

LISTED_ROWS = 100_000  # the latest ones; more are a matter of raw.duckdb
COLUMNS = {
    "dataset": "varchar not null",
    "source": "varchar",
    "file_name": "varchar",
    "line": "bigint",
    "byte_position": "bigint",
    "reason": "varchar",
    "raw": "varchar",
    "load_id": "bigint not null",
}


def write_quarantine(connection: duckdb.DuckDBPyConnection, home: Home) -> int:
    """Create `quarantine` in the open warehouse from raw; returns the number of rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"create or replace table quarantine ({columns})")
    if not home.raw_file.exists():
        return 0
    with opened_raw(home) as raw:
        if not {"quarantine", "ledger"} <= tables_in(raw, schema="raw"):
            return 0
        rows = raw.sql(
            f"""
            select refused.dataset, ledger.source, refused.file_name, refused.line, refused.byte_position,
                refused.reason, try(decode(refused.raw)) as raw, refused.load_id
            from raw.quarantine as refused left join raw.ledger as ledger on ledger.load_id = refused.load_id
            where refused.resolved_by is null
            order by refused.load_id desc, refused.line nulls last, refused.byte_position nulls last
            limit {LISTED_ROWS}
            """
        ).to_arrow_table()
    connection.register("refused_rows", rows)
    connection.execute("insert into quarantine by name from refused_rows")
    connection.unregister("refused_rows")
    [(number,)] = connection.execute("select count(*) from quarantine").fetchall()
    return int(number)
