"""How far back figures look, and so where `data_start` leaves them NULL (`left_truncated`).

A figure needs some day and every later one; it is cut where that first day lies before `data_start`. Look-backs that
one family alone has are declared in its module, in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN_BASIS = "own"  # the basis of the row


@dataclass(frozen=True)
class LookBack:
    """The first day that a figure needs. `day` is SQL over the days of a cell (cells.py, DAYS); `{name}` stands for
    the value of a setting. With `state_of`, a basis, the state at the opening of `day` is needed: the activity window
    before it, or of subscriptions the day before.
    """

    name: str
    day: str
    state_of: str | None = None

    @property
    def column(self) -> str:
        """The cell column that says whether `data_start` cuts it."""
        return f"{self.name}_is_cut"

    @property
    def words(self) -> str:
        """Its name as people read it."""
        return self.name.replace("_", " ")


# The state at the opening, or which span, order or movement was the first.
OPENING = LookBack("opening", "period_start", OWN_BASIS)
CLOSE = LookBack("close", "close", OWN_BASIS)
# The state twelve calendar months before the close.
TWELVE_MONTHS = LookBack("twelve_months", "close_12m", OWN_BASIS)
# Everything of the period; its first day may be the first of the data.
PERIOD = LookBack("period", "period_start")
# What came before the period: whether something is the first ever.
BEFORE_PERIOD = LookBack("before_period", "period_start - 1")
PREVIOUS_PERIOD = LookBack("previous_period", "previous_start")


def days_before_close(days: int | str) -> LookBack:
    """The days before the close: a number of them, or the setting that has it."""
    return LookBack(f"last_{days}_days" if isinstance(days, int) else f"last_{days}", f"close - {day_count(days)}")


def state_at(name: str, day: str, basis: str) -> LookBack:
    """The state of a basis other than the row's at the opening of a day of the cell."""
    return LookBack(f"{name}_of_{basis}", day, basis)


def day_count(days: int | str) -> str:
    """SQL: a number of days, or the placeholder of the setting that has it."""
    return str(days) if isinstance(days, int) else f"{{{days}}}"


YEAR = days_before_close(365)
