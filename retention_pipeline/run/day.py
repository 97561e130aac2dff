"""Which days a run may be for."""

from datetime import date

FIRST, LAST = date(1900, 1, 1), date(2200, 12, 31)  # the years that rows may be of


class ImpossibleDay(Exception):
    """There are no figures as of this day."""


def check_day(as_of: date, *, today: date, allow_future: bool = False) -> None:
    """Raise ImpossibleDay for a day outside the calendar, and for one that is still to come: everybody would be counted
    as staying until then.
    """
    if not FIRST <= as_of <= LAST:
        raise ImpossibleDay(f"as_of {as_of} is outside the days that there can be figures for: {FIRST} to {LAST}")
    if as_of > today and not allow_future:
        raise ImpossibleDay(
            f"as_of {as_of} is after today, {today}: figures would count everybody as staying until then."
            " If that is what you want: --allow-future"
        )
