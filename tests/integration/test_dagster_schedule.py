"""The schedule and the partitions: which day a tick is for, on the days on which clocks change too."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from retention_pipeline.orchestration.schedules import (
    month_partitions,
    nightly_job,
    nightly_schedule,
    partition_of,
    run_config,
)
from retention_pipeline.settings import Home, Settings, parse_settings


def settings(timezone: str, cron: str = "0 2 * * *") -> Settings:
    return parse_settings({"business": {"timezone": timezone, "reporting_currency": "EUR"}, "schedule": {"cron": cron}})


def ticks(wanted: Settings, first: datetime, count: int) -> list[datetime]:
    """When the schedule fires from `first` on."""
    schedule = build(wanted)
    iterator = schedule_execution_time_iterator(
        first.timestamp(), str(schedule.cron_schedule), schedule.execution_timezone, ascending=True
    )
    return [next(iterator) for _ in range(count)]


def build(wanted: Settings) -> dg.ScheduleDefinition:
    months = month_partitions(wanted, date(2020, 1, 1))
    return nightly_schedule(Home(Path("/nowhere")), wanted, nightly_job(), months)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as opened:
        yield opened


def request(instance: dg.DagsterInstance, wanted: Settings, tick: datetime) -> dg.RunRequest:
    """What the schedule asks for at a tick."""
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=tick) as context:
        answer = build(wanted)(context)
    assert isinstance(answer, dg.RunRequest)
    return answer


def as_of(asked: dg.RunRequest) -> str:
    return str(asked.run_config["resources"]["night"]["config"]["as_of"])


@pytest.mark.parametrize(
    ("timezone", "days"),
    [
        ("Europe/Amsterdam", [date(2025, 3, 29), date(2025, 3, 30), date(2025, 3, 31)]),  # 02:00 is missing on the 30th
        (
            "Europe/Amsterdam",
            [date(2025, 10, 25), date(2025, 10, 26), date(2025, 10, 27)],
        ),  # 02:00 comes twice on the 26th
        ("America/New_York", [date(2025, 3, 8), date(2025, 3, 9), date(2025, 3, 10)]),
        ("Pacific/Auckland", [date(2025, 9, 27), date(2025, 9, 28), date(2025, 9, 29)]),
        ("Pacific/Kiritimati", [date(2025, 12, 31), date(2026, 1, 1)]),  # a day ahead of most of UTC's
    ],
)
def test_every_business_day_has_one_tick_and_it_is_for_that_day(
    instance: dg.DagsterInstance, timezone: str, days: list[date]
) -> None:
    wanted = settings(timezone)
    midnight = datetime(days[0].year, days[0].month, days[0].day, tzinfo=ZoneInfo(timezone))
    found = ticks(wanted, midnight, len(days))
    assert [tick.astimezone(ZoneInfo(timezone)).date() for tick in found] == days
    assert [as_of(request(instance, wanted, tick.astimezone(UTC))) for tick in found] == [
        day.isoformat() for day in days
    ]


def test_the_cron_expression_and_the_zone_are_those_of_the_settings() -> None:
    schedule = build(settings("Asia/Tokyo", "30 5 * * *"))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 5 * * *", "Asia/Tokyo")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_run_is_under_the_month_of_its_day_or_the_nearest_that_there_is() -> None:
    months = dg.StaticPartitionsDefinition(["2024-03", "2024-04", "2024-05"])
    assert partition_of(date(2024, 4, 30), months) == "2024-04"
    assert partition_of(date(2023, 1, 1), months) == "2024-03"
    assert partition_of(date(2031, 1, 1), months) == "2024-05"


def test_the_month_under_way_has_a_partition_as_soon_as_it_begins_in_the_business_zone() -> None:
    months = month_partitions(settings("Pacific/Auckland"), date(2024, 1, 1))
    new_year_there = datetime(2024, 12, 31, 11, 0, tzinfo=UTC)  # 00:00 on 1 January 2025 in Auckland
    assert months.get_partition_keys(current_time=new_year_there)[-1] == "2025-01"
    assert months.get_partition_keys(current_time=datetime(2024, 12, 31, 10, 59, tzinfo=UTC))[-1] == "2024-12"


def test_the_configuration_of_a_day_is_what_the_resource_takes() -> None:
    assert run_config(date(2024, 5, 1), full_refresh=True) == {
        "resources": {"night": {"config": {"as_of": "2024-05-01", "full_refresh": True}}}
    }
