"""When the schedule fires next, for `retention status`: as Dagster's daemon has it, also where clocks change."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from dagster._utils.schedules import get_next_cron_tick

from retention_pipeline.settings.cron import check_cron, next_after

ZONES = ("UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
DAYS = ("*", "*", "*", "1", "15", "1,15", "28-31", "*/10", "29", "l")
MONTHS = ("*", "*", "*", "2", "jan-mar", "*/6", "3,10")
WEEKDAYS = ("*", "*", "*", "sun", "mon-fri", "5-7", "0", "7")
# Clocks change in the night that follows.
NIGHTS = (datetime(2025, 3, 29, 12), datetime(2025, 10, 25, 12), datetime(2025, 3, 8, 12), datetime(2025, 11, 1, 12))


def of_dagster(cron: str, moment: datetime, zone: str) -> datetime:
    found: datetime = get_next_cron_tick(cron, moment, zone)
    return found if found > moment else get_next_cron_tick(cron, moment + timedelta(seconds=1), zone)


def test_it_is_the_moment_at_which_the_daemon_starts_a_run() -> None:
    chance = random.Random(18)
    for _ in range(400):
        hours = chance.choice((str(chance.randrange(24)), "1-5", "22,2", "*/8"))
        fields = (chance.randrange(60), hours, chance.choice(DAYS), chance.choice(MONTHS), chance.choice(WEEKDAYS))
        cron, zone = " ".join(map(str, fields)), chance.choice(ZONES)
        moment = datetime(2025, 4, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(200 * 1440))
        assert next_after(cron, moment, zone) == of_dagster(cron, moment, zone), (cron, zone, moment)


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "15 1 * * *", "0 3 * * sun", "20 * * * *", "@hourly"])
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("night", NIGHTS)
def test_on_the_days_on_which_clocks_change_it_is_so_too(cron: str, zone: str, night: datetime) -> None:
    moment = night.replace(tzinfo=UTC)
    for _ in range(30):
        following = next_after(cron, moment, zone)
        assert following == of_dagster(cron, moment, zone)
        moment = following.astimezone(UTC)


@pytest.mark.parametrize("cron", ["0 2 30 2 *", "0 2 31 4,6 *"])
def test_a_day_that_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="there is no such day"):
        check_cron(cron)


def test_a_leap_day_comes_though_it_takes_years() -> None:
    following = next_after(check_cron("0 2 29 2 *"), datetime(2096, 3, 1, tzinfo=UTC), "UTC")
    assert following == datetime(2104, 2, 29, 2, tzinfo=UTC)
