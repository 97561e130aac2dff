"""What raw knows of a source's deliveries: when they came, how many rows they had, and since when it fails.

A delivery is what came of a source in one run: a pull, or the files that were new to that run. A file counts when it
has a new name, other bytes than before under its name, or a new time of change (the same export, written again);
a file that only lies there does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from retention_pipeline.warehouse import tables_in

KEPT = 24  # newest deliveries that are looked at
TABLES = frozenset({"ledger", "deliveries"})

_SIGHTED = """
    select deliveries.seen_at, deliveries.file_name, deliveries.sha256, ledger.n_good + ledger.n_bad as rows,
        split_part(deliveries.file_stamp, ':', 2) as written
    from raw.deliveries as deliveries
    inner join raw.ledger as ledger on deliveries.load_id = ledger.load_id
    where deliveries.dataset = $dataset and deliveries.source = $source and ledger.status = 'loaded'
"""
# A file that had just been written when it was seen has no stamp. After such a sighting only other bytes are news.
_COUNTED = f"""
    select seen_at, file_name, rows, version
    from (
        select *, row_number() over by_name as version, lag(sha256) over by_name as sha256_before,
            lag(written) over by_name as written_before
        from ({_SIGHTED})
        window by_name as (partition by file_name order by seen_at)
    )
    where version = 1 or sha256 <> sha256_before
        or (written_before is not null and written is distinct from written_before)
"""


@dataclass(frozen=True)
class Delivery:
    """A delivery: when it came (naive UTC), and its rows (None: not known)."""

    at: datetime
    rows: int | None


@dataclass(frozen=True)
class Deliveries:
    """What raw knows of one source; lists are from old to new, of the newest KEPT.

    whole: pulls. versions: per file name, the deliveries under this name where there are several. parts: what came in
    files of new names, one entry per run. failing_since: the first of the visits, up to the last one, that could not
    load everything; error: what the last one said.
    """

    last: datetime | None = None
    last_before_failing: datetime | None = None
    failing_since: datetime | None = None
    error: str | None = None
    whole: list[Delivery] = field(default_factory=list)
    versions: dict[str, list[Delivery]] = field(default_factory=dict)
    parts: list[Delivery] = field(default_factory=list)


def deliveries_of(
    connection: duckdb.DuckDBPyConnection, dataset: str, source: str, *, is_pull: bool, with_rows: bool
) -> Deliveries:
    """The deliveries of a source, from the open raw tables. `with_rows`: how many rows they had is asked for too."""
    known = tables_in(connection, schema="raw")
    if not known >= TABLES:
        return Deliveries()
    failing_since, error = _failure(connection, dataset, source) if "source_visits" in known else (None, None)
    if is_pull:
        pulls = _pulls(connection, dataset, source, with_visits="source_visits" in known)
        moments = [pull.at for pull in pulls]
        return Deliveries(max(moments, default=None), _before(moments, failing_since), failing_since, error, pulls)
    moments = [
        at
        for (at,) in connection.execute(
            f"select distinct seen_at from ({_COUNTED}) order by seen_at", _names(dataset, source)
        ).fetchall()
    ]
    found = Deliveries(max(moments, default=None), _before(moments, failing_since), failing_since, error)
    if with_rows:
        found.parts.extend(_parts(connection, dataset, source))
        found.versions.update(_versions(connection, dataset, source))
    return found


def _before(moments: Iterable[datetime], moment: datetime | None) -> datetime | None:
    return max((one for one in moments if moment is None or one < moment), default=None)


def _names(dataset: str, source: str) -> dict[str, str]:
    return {"dataset": dataset, "source": source}


def _failure(connection: duckdb.DuckDBPyConnection, dataset: str, source: str) -> tuple[datetime | None, str | None]:
    """Since when visits fail without a good one in between, and what the last said."""
    row = connection.execute(
        """
        with visits as (select * from raw.source_visits where dataset = $dataset and source = $source)
        select min(visited_at), max_by(error, visited_at) from visits
        where visited_at > coalesce((select max(visited_at) from visits where error is null), timestamp '1900-01-01')
        """,
        _names(dataset, source),
    ).fetchone()
    return row if row else (None, None)


def _pulls(connection: duckdb.DuckDBPyConnection, dataset: str, source: str, *, with_visits: bool) -> list[Delivery]:
    """The newest pulls: those that loaded rows, and those that brought what was known."""
    visits = (
        "union all select visited_at, rows from raw.source_visits "
        "where dataset = $dataset and source = $source and error is null"
    )
    rows = connection.execute(
        f"""
        select pulled_at, max(rows)
        from (
            select finished_at as pulled_at, n_good + n_bad as rows from raw.ledger
            where dataset = $dataset and source = $source and status = 'loaded'
            {visits if with_visits else ""}
        )
        group by pulled_at order by pulled_at desc limit {KEPT}
        """,
        _names(dataset, source),
    ).fetchall()
    return [Delivery(at, count) for at, count in reversed(rows)]


def _parts(connection: duckdb.DuckDBPyConnection, dataset: str, source: str) -> list[Delivery]:
    rows = connection.execute(
        f"""
        select seen_at, sum(rows)::bigint from ({_COUNTED}) where version = 1
        group by seen_at order by seen_at desc limit {KEPT}
        """,
        _names(dataset, source),
    ).fetchall()
    return [Delivery(at, count) for at, count in reversed(rows)]


def _versions(connection: duckdb.DuckDBPyConnection, dataset: str, source: str) -> dict[str, list[Delivery]]:
    """The newest deliveries of each file that came more than once under its name."""
    found: dict[str, list[Delivery]] = {}
    for name, at, rows in connection.execute(
        f"""
        select file_name, seen_at, rows from ({_COUNTED})
        qualify count(*) over (partition by file_name) > 1
            and row_number() over (partition by file_name order by seen_at desc) <= {KEPT}
        order by file_name, seen_at
        """,
        _names(dataset, source),
    ).fetchall():
        found.setdefault(name, []).append(Delivery(at, rows))
    return found
