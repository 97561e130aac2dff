"""Points in time as sources write them: bare dates, offsets, no zone; at edges of days, and at most once per key."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from oracle.business_days import Moment, moment

EDGES = ((0, 0, 0), (0, 0, 1), (23, 59, 59), (12, 0, 0), (2, 30, 0), (11, 59, 59))


class Clock:
    """Writes moments of business days as text for one source."""

    def __init__(self, random: Random, business_zone: str, source_zone: str) -> None:
        self.random = random
        self.business_zone, self.source_zone = ZoneInfo(business_zone), ZoneInfo(source_zone)

    def text(self, day: date, *, after: datetime | None = None, bare: float = 0.15) -> tuple[str, datetime]:
        """(text, instant) of a moment on this business day; not before `after` (then of the same day or earlier)."""
        if self.random.random() < bare:
            midnight = datetime.combine(day, time.min, self.business_zone).astimezone(UTC)
            if after is None or midnight >= after:
                return day.isoformat(), midnight
        instant = self._instant(day)
        for _ in range(20):
            if after is None or instant >= after:
                break
            instant = self._instant(day)
        else:
            instant = after if after is not None else instant
        return self._written(instant), instant

    def moment_of(self, text: str) -> Moment:
        """What a text of this source means."""
        found = moment(text, self.business_zone, self.source_zone)
        assert found is not None
        return found

    def days_of_change(self, day: date, count: int) -> list[date]:
        """The days of the next `count` on which the business zone's clocks change: they have no 24 hours."""
        following = [day + timedelta(days=number) for number in range(count + 1)]
        midnights = [datetime.combine(day, time.min, self.business_zone).astimezone(UTC) for day in following]
        return [
            day
            for day, start, end in zip(following, midnights, midnights[1:], strict=False)
            if end - start != timedelta(days=1)
        ]

    def _instant(self, day: date) -> datetime:
        hour, minute, second = self.random.choice(EDGES)
        if self.random.random() < 0.4:
            hour, minute, second = (self.random.randrange(60) % limit for limit in (24, 60, 60))
        local = datetime.combine(day, time(hour, minute, second), self.business_zone)
        instant = local.astimezone(UTC)
        # A local time that the clocks skip lands on another one of that day or the next: keep to the day.
        return instant if instant.astimezone(self.business_zone).date() == day else instant - timedelta(hours=2)

    def _written(self, instant: datetime) -> str:
        """With the local offset, in UTC, with Z, or without a zone (in the source's, where that is not ambiguous)."""
        form = self.random.random()
        if form < 0.4:
            return instant.astimezone(self.business_zone).isoformat()
        if form < 0.6:
            return instant.isoformat()
        if form < 0.75:
            return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
        local = instant.astimezone(self.source_zone)
        if 5 <= local.hour < 23:
            return local.strftime("%Y-%m-%d %H:%M:%S")
        return instant.isoformat()
