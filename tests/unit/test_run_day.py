"""Days that a run may be for."""

from datetime import date

import pytest

from retention_pipeline.run.day import ImpossibleDay, check_day

TODAY = date(2024, 5, 10)


@pytest.mark.parametrize("day", [date(1900, 1, 1), date(2024, 5, 9), TODAY])
def test_today_and_the_past_are_allowed(day: date) -> None:
    check_day(day, today=TODAY)


def test_the_future_is_refused_unless_it_is_meant() -> None:
    with pytest.raises(ImpossibleDay, match=r"2024-05-11 is after today, 2024-05-10.*--allow-future"):
        check_day(date(2024, 5, 11), today=TODAY)
    check_day(date(2024, 5, 11), today=TODAY, allow_future=True)


@pytest.mark.parametrize("day", [date(1800, 1, 1), date(9999, 12, 31)])
def test_days_outside_the_calendar_are_refused_always(day: date) -> None:
    with pytest.raises(ImpossibleDay, match="1900-01-01 to 2200-12-31"):
        check_day(day, today=TODAY, allow_future=True)
