"""Whether a source is late: judged by its settings (`max_age`, `max_shrink`) and by whether it could be loaded.

A state is a function of raw, the settings and the moment of the run. Whether figures lack data is another question:
data reach up to the business day of the last good delivery, that day not included, and where they reach `as_of` nothing
is missing, whatever the clock says. So a run for a day in the past may find a source stale and its figures whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo

import duckdb

from retention_pipeline import formatting
from retention_pipeline.freshness.deliveries import Deliveries, Delivery, deliveries_of
from retention_pipeline.settings import DatabaseSource, Home, Settings, Source
from retention_pipeline.warehouse import opened_raw

State = Literal["fresh", "stale", "shrunken", "failed"]
USUAL = 7  # a delivery is compared with the median of so many before it
# Of a file replaced under its name, and of a pull of the whole table, one before it is enough. Files of new names hold
# what is new, and the first of them all of history: so many deliveries must have come before one is judged.
FEWEST_WHOLE, FEWEST_PARTS = 1, 3


class NotFresh(Exception):
    """A source that may block is late; nothing is published."""


@dataclass(frozen=True)
class SourceState:
    """One source at the moment of a run.

    fresh_until: of a source that is not fresh, the business day before which its data are there (None: there is none).
    lacks: figures as of the run's day miss data. why: in words, empty for a fresh source. error: why it could not be
    loaded, empty for one that could.
    """

    source: str
    dataset: str
    state: State
    last_delivery: datetime | None
    max_age: timedelta | None
    fell_by: float | None
    fresh_until: date | None
    lacks: bool
    may_block: bool
    why: str
    error: str = ""

    @property
    def blocks(self) -> bool:
        """Whether nothing may be published."""
        return self.may_block and self.lacks

    @property
    def warning(self) -> str:
        """One line for people; empty for a fresh source."""
        return f"{self.source} {self.state}: {self.why}" if self.why else ""

    def as_json(self) -> dict[str, Any]:
        """The state for the run's record and for programs; hours as numbers, moments as naive UTC."""
        return {
            "source": self.source,
            "dataset": self.dataset,
            "state": self.state,
            "last_delivery": self.last_delivery.isoformat() if self.last_delivery else None,
            "max_age_hours": self.max_age / timedelta(hours=1) if self.max_age else None,
            "fell_by": self.fell_by,
            "fresh_until": self.fresh_until.isoformat() if self.fresh_until else None,
            "figures_lack_data": self.lacks,
            "blocks": self.blocks,
            "why": self.why,
        }


@dataclass(frozen=True)
class Shrunken:
    """A delivery that fell: the share, what is usual, and the last one before it that was whole."""

    delivery: Delivery
    fell_by: float
    usual: float
    whole_before: datetime | None


def source_states(home: Home, settings: Settings, *, now: datetime, as_of: date) -> list[SourceState]:
    """The state of every source, in the order of the settings; `now` in naive UTC. Empty before the first run.

    Raises duckdb.IOException while a run writes raw.
    """
    if not home.raw_file.exists():
        return []
    with opened_raw(home) as raw:
        return states_in(raw, settings, settings.sources, now=now, as_of=as_of)


def states_in(
    raw: duckdb.DuckDBPyConnection, settings: Settings, names: Iterable[str], *, now: datetime, as_of: date
) -> list[SourceState]:
    """The states of the sources of these names, by the open raw store."""
    zone = ZoneInfo(settings.business.timezone)
    states = []
    for name in names:
        source, dataset = settings.sources[name], settings.dataset_of(name)
        found = deliveries_of(
            raw,
            dataset,
            name,
            is_pull=isinstance(source, DatabaseSource),
            with_rows=source.max_shrink is not None,
        )
        states.append(judge(name, dataset, source, found, now=now, as_of=as_of, zone=zone))
    return states


def judge(
    name: str, dataset: str, source: Source, found: Deliveries, *, now: datetime, as_of: date, zone: ZoneInfo
) -> SourceState:
    """The state of one source: `failed` before `shrunken` before `stale`, with the words of all that apply."""
    last = f"last delivery {formatting.moment(found.last)}" if found.last else "nothing was ever delivered"
    findings: list[tuple[State, str, date | None]] = []
    if found.failing_since is not None:
        findings.append(("failed", f"not loaded: {found.error}; {last}", _day(found.last_before_failing, zone)))
    fallen = shrunken(found, source.max_shrink) if source.max_shrink is not None else None
    if fallen is not None:
        removes = isinstance(source, DatabaseSource) and source.deletes == "compare_keys"
        until = None if removes else _untouched_until(fallen, zone)
        findings.append(("shrunken", _fall_in_words(fallen, source.max_shrink or 0), until))
    if source.max_age is not None and (found.last is None or now - found.last > source.max_age):
        ago = f", {formatting.lasting(now - found.last)} ago" if found.last else ""
        findings.append(
            ("stale", f"{last}{ago} (max_age {formatting.lasting(source.max_age)})", _day(found.last, zone))
        )
    days = [day for _, _, day in findings]
    fresh_until = None if None in days else min((day for day in days if day is not None), default=None)
    return SourceState(
        source=name,
        dataset=dataset,
        state=findings[0][0] if findings else "fresh",
        last_delivery=found.last,
        max_age=source.max_age,
        fell_by=round(fallen.fell_by, 4) if fallen else None,
        fresh_until=fresh_until,
        lacks=bool(findings) and _lacks(fresh_until, as_of),
        may_block=source.on_stale == "block",
        why="; ".join(why for _, why, _ in findings),
        error=(found.error or "") if found.failing_since is not None else "",
    )


def shrunken(found: Deliveries, max_shrink: float) -> Shrunken | None:
    """The newest delivery, if it has fewer rows than the share `max_shrink` below what is usual; of several files that
    came with it, the one that fell most.
    """
    series = [(found.whole, FEWEST_WHOLE), (found.parts, FEWEST_PARTS)]
    series += [(versions, FEWEST_WHOLE) for versions in found.versions.values()]
    fallen = [
        _newest_fall(deliveries, max_shrink, fewest)
        for deliveries, fewest in series
        if deliveries and deliveries[-1].at == found.last
    ]
    return max((fall for fall in fallen if fall is not None), key=lambda fall: fall.fell_by, default=None)


def not_fresh(states: Sequence[SourceState]) -> list[SourceState]:
    """Those that there is something to say about."""
    return [state for state in states if state.state != "fresh"]


def check_blocks(states: Sequence[SourceState]) -> None:
    """Raise NotFresh, in one line, if a source with `on_stale: block` lacks data that the figures need."""
    blocking = [state.warning for state in states if state.blocks]
    if blocking:
        raise NotFresh(
            f"{'; '.join(blocking)}. Nothing was published, as on_stale says (block); the last figures stay."
        )


def states_now(home: Home, settings: Settings, now: datetime) -> list[SourceState] | None:
    """The states that a run would find which began `now` (with a zone), as of that day; None while a run writes raw."""
    today = now.astimezone(ZoneInfo(settings.business.timezone)).date()
    try:
        return source_states(home, settings, now=now.astimezone(UTC).replace(tzinfo=None), as_of=today)
    except duckdb.IOException:
        return None


def _newest_fall(deliveries: list[Delivery], max_shrink: float, fewest: int) -> Shrunken | None:
    """The newest of a series, if it fell; `whole_before` is the newest before it that had not fallen."""
    newest: Shrunken | None = None
    for position in range(len(deliveries) - 1, -1, -1):
        delivery = deliveries[position]
        earlier = [one.rows for one in deliveries[:position] if one.rows is not None][-USUAL:]
        usual = median(earlier) if len(earlier) >= fewest else 0
        has_fallen = delivery.rows is not None and usual > 0 and 1 - delivery.rows / usual > max_shrink + 1e-9
        if not has_fallen:
            return Shrunken(newest.delivery, newest.fell_by, newest.usual, delivery.at) if newest else None
        if newest is None:
            newest = Shrunken(delivery, 1 - (delivery.rows or 0) / usual, usual, None)
    return newest


def _fall_in_words(fallen: Shrunken, max_shrink: float) -> str:
    return (
        f"the delivery of {formatting.moment(fallen.delivery.at)} has {fallen.delivery.rows:,} rows, "
        f"{fallen.fell_by:.0%} fewer than the usual {fallen.usual:,.0f} (max_shrink {max_shrink:.0%})"
    )


def _day(moment: datetime | None, zone: ZoneInfo) -> date | None:
    """The business day of a naive UTC moment."""
    return moment.replace(tzinfo=UTC).astimezone(zone).date() if moment else None


def _untouched_until(fallen: Shrunken, zone: ZoneInfo) -> date | None:
    """The business day before which a fall touches nothing: that of the last whole delivery, or the eve of the one that
    fell where both came on the same day.
    """
    whole, fell = _day(fallen.whole_before, zone), _day(fallen.delivery.at, zone)
    return min(whole, fell - timedelta(days=1)) if whole and fell else None


def _lacks(fresh_until: date | None, as_of: date) -> bool:
    return fresh_until is None or fresh_until < as_of
