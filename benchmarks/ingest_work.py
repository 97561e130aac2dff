"""The loads that are measured, each a function that a fresh process can call: ours, bare DuckDB's, and bare COPY.

Seconds are those of the load alone, without starting Python and importing.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from benchmarks.ingest_data import COLUMNS, NIGHT_AT
from retention_pipeline.ingest import checks, file_loader, ingest, pull_loader, source_loader, staging
from retention_pipeline.settings import Home, parse_settings

COPY = "copy (select * from orders) to stdout (format csv, header)"
DSN = "INGEST_BENCHMARK_DSN"


def cpu_seconds() -> float:
    """User and system seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def server_seconds(postmaster: int) -> float:
    """User and system seconds of a PostgreSQL server, of its processes that live and those that have ended."""

    def ticks(process: str, fields: slice) -> int:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return sum(map(int, stat[fields]))

    total = ticks(str(postmaster), slice(11, 15))
    for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="utf-8").split():
        with suppress(FileNotFoundError):
            total += ticks(child, slice(11, 13))
    return total / os.sysconf("SC_CLK_TCK")


class _Clock:
    def __init__(self, postmaster: int | None = None) -> None:
        self.postmaster = postmaster
        self.wall, self.cpu, self.server = time.perf_counter(), cpu_seconds(), self._server()

    def _server(self) -> float:
        return server_seconds(self.postmaster) if self.postmaster else 0.0

    def read(self, **more: Any) -> dict[str, Any]:
        wall, cpu = time.perf_counter() - self.wall, cpu_seconds() - self.cpu
        if self.postmaster:
            time.sleep(0.2)  # the server's process ends a moment after the connection
        return {"wall": wall, "cpu": cpu, "server_cpu": self._server() - self.server, **more}


def bare_file(path: Path, kind: str, target: Path) -> dict[str, Any]:
    """A file into a new table of the same typed columns, with a checkpoint; nothing else."""
    listed = "{" + ", ".join(f"'{name}': '{type_}'" for name, type_ in COLUMNS.items()) + "}"
    as_csv = f"read_csv('{path}', auto_detect=false, header=true, delim=',', quote='\"', escape='\"', columns={listed})"
    relation = {
        "csv": as_csv,
        "csv.gz": as_csv,
        "parquet": f"read_parquet('{path}')",
        "jsonl": f"read_json('{path}', format='newline_delimited', columns={listed})",
    }[kind]
    target.unlink(missing_ok=True)
    clock = _Clock()
    with duckdb.connect(str(target)) as connection:
        connection.execute(f"create table orders ({', '.join(f'{name} {type_}' for name, type_ in COLUMNS.items())})")
        connection.execute(f"insert into orders from {relation}")
        connection.execute("checkpoint")
        row = connection.execute("select count(*) from orders").fetchone()
    result = clock.read(rows=row and row[0], bytes=target.stat().st_size)
    target.unlink()
    return result


def bare_copy(dsn: str, postmaster: int, psql: str) -> dict[str, Any]:
    """psql with its output to /dev/null: no client can read the stream for less."""
    clock = _Clock(postmaster)
    with open(os.devnull, "wb") as sink:
        subprocess.run([psql, dsn, "--no-psqlrc", "--command", COPY], stdout=sink, check=True)
    return clock.read()


def bare_copy_in_python(dsn: str, postmaster: int, target: Path) -> dict[str, Any]:
    """psycopg's loop over the stream, each row written to a file, which stays unread."""
    clock = _Clock(postmaster)
    with (
        target.open("wb") as sink,
        psycopg.connect(dsn) as connection,
        connection.cursor() as cursor,
        cursor.copy(COPY) as copy,  # type: ignore[arg-type]
    ):
        for row in copy:
            sink.write(row)
    result = clock.read(bytes=target.stat().st_size)
    target.unlink()
    return result


def load(root: Path, path: str | None, postmaster: int | None = None, dsn: str = "") -> dict[str, Any]:
    """`ingest` of the home at `root`: the files at `path`, or without one the table; CPU seconds by part."""
    os.environ[DSN] = dsn
    parts: dict[str, float] = {}
    for module, name, label in (
        (file_loader, "take", "copy, hash, count lines"),
        (pull_loader.PullLoader, "_pull", "copy, hash, count lines"),
        (source_loader, "stage_file", "read and check"),
        (source_loader.SourceLoader, "commit_batch", "commit a batch"),
    ):
        _timed(module, name, label, parts)
    source: dict[str, Any] = (
        {"type": "files", "path": path, "timezone": "UTC"}
        if path
        else {"type": "postgres", "dsn": {"env": DSN}, "table": "public.orders", "cursor": "updated_at"}
    )
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
    settings = parse_settings({"business": business, "sources": {"orders": source}})
    clock = _Clock(postmaster)
    result = ingest(Home(root), settings, now=NIGHT_AT)
    done = result.loads[-1]
    assert done.status == "loaded", done
    counts = {name: getattr(done, name) for name in ("good", "bad", "new", "changed", "unchanged", "stale")}
    return clock.read(parts=parts, **counts)


def _timed(holder: Any, name: str, label: str, parts: dict[str, float]) -> None:
    function: Callable[..., Any] = getattr(holder, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        before = cpu_seconds()
        try:
            return function(*arguments, **named)
        finally:
            parts[label] = round(parts.get(label, 0.0) + cpu_seconds() - before, 2)

    setattr(holder, name, timed)


def load_unchecked(root: Path, path: str) -> dict[str, Any]:
    """The same load of a file where every value is cast and nothing is checked: what remains is the cost of checks.

    The file must be sound. Everything else, the accounting too, is as ever.
    """

    def plain(contract: Any, source: Any, mapping: Any, relation: str, **named: Any) -> str:
        values = []
        for column in contract.columns:
            given = mapping.given[column.name]
            values.append(f"cast({given.expression if given else 'null'} as {column.type}) as {column.name}")
            if column.companion:
                null = given.expression if given else "null"
                values.append(f"case when {null} is not null then false end as {column.companion}")
        return (
            f"select {', '.join(values)}, cast(null as varchar) as _extra, cast(null as varchar) as _error, "
            f"cast({named['load_id']} as bigint) as _load_id, false as _deleted from {relation}"
        )

    staging_query = staging.stage_query
    staging.stage_query = plain
    try:
        return load(root, path)
    finally:
        staging.stage_query = staging_query
        assert checks.stage_query is staging_query


def fresh_home(root: Path) -> None:
    """An empty home."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)


def raw_summary(root: Path) -> dict[str, Any]:
    """Rows of raw.orders and sums over them, by which loads of different kinds are compared."""
    from retention_pipeline.warehouse import opened_raw

    with opened_raw(Home(root)) as connection:
        row = connection.execute(
            "select count(*), sum(amount), bit_xor(hash(order_id, customer_id, ordered_at, amount, currency, status, "
            "refunded_amount, refunded_at, is_test, channel, updated_at)) from raw.orders"
        ).fetchone()
    assert row is not None
    return {"rows": row[0], "amount": str(row[1]), "content": row[2]}


def generate_raw(root: Path, rows: int) -> dict[str, Any]:
    """raw.orders of `rows` rows written directly, with the ledger's line: what first loads would have left."""
    from benchmarks.ingest_data import rows_query
    from retention_pipeline.ingest import open_raw

    fresh_home(root)
    columns = ", ".join(COLUMNS)
    with open_raw(Home(root).raw_file) as connection:
        step = 5_000_000
        for start in range(0, rows, step):
            query = rows_query(rows).replace(f"range({rows})", f"range({start}, {min(rows, start + step)})")
            connection.execute(
                f"""
                insert into raw.orders ({columns}, ordered_at_is_date, refunded_at_is_date, _load_id, _loaded_at,
                    _customer_key)
                select {columns}, false, case when refunded_at is not null then false end, 1,
                    timestamp '2025-01-01', cast(customer_id[2:] as bigint) + 1 from ({query})
                """
            )
        connection.execute(
            "insert into raw.customer_keys select customer_id, _customer_key from raw.orders group by all"
        )
        connection.execute(
            "insert into raw.ledger by name select 1 as load_id, 'orders' as dataset, 'generated' as source, "
            "'generated' as file_name, 'generated' as sha256, 'loaded' as status, 'generated' as mapping"
        )
        connection.execute("checkpoint raw_store")
    return {"bytes": Home(root).raw_file.stat().st_size}
