"""Publications made by hand: a home whose runs only write rows of `retention_kpis`, their history, and publish."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.history import closing
from retention_pipeline.history.archive import write_missing
from retention_pipeline.history.publications import Publication, publications
from retention_pipeline.history.record import Recorded, record
from retention_pipeline.kpis.store import COLUMNS, ROW_KEY
from retention_pipeline.publish import generations
from retention_pipeline.settings import Home, Settings
from retention_pipeline.warehouse import attach, opened

Figure = dict[str, Any]
DEFINITIONS = """
create or replace table kpi_definitions as
select 'orders' as kpi, 'count' as unit, 'Orders' as label, '{definition}' as definition, 'orders' as value,
    null as numerator, null as denominator, null as n, null as factor, null as settings, 1 as definition_version
"""


def figure(month: int, value: float | None, segment: str = "all=all", **more: Any) -> Figure:
    """A row of retention_kpis: orders of a month of 2026; `more` replaces columns."""
    dimension, _, segment_value = segment.partition("=")
    start, end = date(2026, month, 1), date(2026 + month // 12, month % 12 + 1, 1)
    row = {"kpi": "orders", "grain": "month", "period_start": start, "period_end": end, "basis": "order"}
    row |= {"segment_dimension": dimension, "segment_value": segment_value, "value": value, "unit": "count"}
    return row | {"null_reason": None if value is not None else "immature", "definition_version": 1} | more


class MadeHome:
    """A home in a folder; `publish` makes its next generation."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.runs = 0

    def publish(
        self,
        figures: Iterable[Figure],
        *,
        as_of: date,
        at: datetime,
        full_refresh: bool = False,
        archived: bool = True,
        settings: Settings | None = None,
        released: tuple[tuple[str, date], ...] = (),
        **made: str,
    ) -> Recorded:
        """A run that computes these figures: rows that say the same stay. `settings`: those of closed periods."""
        self.runs += 1
        run_id = f"run-{self.runs}"
        generations.begin(self.home, full_refresh=full_refresh)
        number = generations.next_number(self.home)
        with opened(self.home.next_file) as connection:
            closing.put_in(connection, run_id=run_id)
            removed = self._write(connection, list(figures), as_of, at, run_id)
            publication = Publication(
                at, number, made.get("kind", "night"), as_of, run_id, made.get("settings_fingerprint", "s1"),
                made.get("code", "c1"), made.get("kpis", "k1"), "{}",
            )  # fmt: skip
            held = 0
            if settings is not None and self.home.current.exists():
                attach(connection, self.home.current.resolve(), "published")
                held = closing.hold(connection, settings, publications(connection)[-1], publication, released)
            connection.execute(DEFINITIONS.format(definition=made.get("definition", "Orders.")))
            recorded = record(connection, self.home, publication, published=None, removed=removed or held > 0)
        generations.publish(self.home, number, keep=9)
        if archived:
            write_missing(self.home)
        return recorded

    def _write(
        self, connection: duckdb.DuckDBPyConnection, figures: list[Figure], as_of: date, at: datetime, run_id: str
    ) -> bool:
        """Rows that differ are written with the run's id; returns whether rows were taken out."""
        listed = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"create table if not exists retention_kpis ({listed})")
        connection.execute(f"create or replace temp table asked ({listed})")
        for row in figures:
            full = row | {"is_complete": row["period_end"] <= as_of, "as_of": as_of, "computed_at": at}
            names = ", ".join([*full, "run_id"])
            connection.execute(
                f"insert into asked ({names}) values ({', '.join('?' * (len(full) + 1))})", [*full.values(), run_id]
            )
        key = ", ".join(ROW_KEY)
        said = [name for name in COLUMNS if name not in ("as_of", "computed_at", "run_id")]
        same = " and ".join(f"asked.{name} is not distinct from old.{name}" for name in said)
        gone = connection.execute(
            f"delete from retention_kpis where ({key}) not in (select ({key}) from asked)"
        ).fetchall()
        connection.execute(
            f"create or replace temp table news as select * from asked where not exists "
            f"(select 1 from retention_kpis as old where {same})"
        )
        connection.execute(f"delete from retention_kpis where ({key}) in (select ({key}) from news)")
        connection.execute("insert into retention_kpis from news")
        return bool(gone[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the published generation."""
        with duckdb.connect(str(self.home.current), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def history(self) -> list[tuple[Any, ...]]:
        """(month, segment value, value, publication that began it, publication that ended it) in order."""
        return self.rows(
            """
            select month(period_start), segment_value, value, day(known_from), day(known_to)
            from retention_kpi_history order by all
            """
        )
