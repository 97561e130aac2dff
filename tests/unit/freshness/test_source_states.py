"""When a source is late: age, shrinking, failure, and what a run of an earlier day makes of it."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from retention_pipeline.freshness.deliveries import Deliveries, Delivery
from retention_pipeline.freshness.sources import NotFresh, SourceState, check_blocks, judge, shrunken
from retention_pipeline.settings import Source, parse_settings

ZONE = ZoneInfo("Europe/Amsterdam")
LAST = datetime(2024, 5, 10, 1)  # 03:00 in Amsterdam
FILES = {"type": "files", "path": "orders/*"}
PULLS = {"type": "postgres", "dsn": {"env": "SHOP"}, "table": "orders"}


def source(given: dict[str, Any], **settings: Any) -> Source:
    business = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
    return parse_settings({"business": business, "sources": {"orders": {**given, **settings}}}).sources["orders"]


def state(given: Source, found: Deliveries, now: datetime, as_of: date) -> SourceState:
    return judge("orders", "orders", given, found, now=now, as_of=as_of, zone=ZONE)


def nightly(rows: list[int | None]) -> list[Delivery]:
    """A delivery per night, the last of them at LAST."""
    return [Delivery(LAST - timedelta(days=len(rows) - 1 - night), count) for night, count in enumerate(rows)]


def pulls(rows: list[int | None]) -> Deliveries:
    return Deliveries(last=LAST, last_before_failing=LAST, whole=nightly(rows))


def parts(rows: list[int | None]) -> Deliveries:
    return Deliveries(last=LAST, last_before_failing=LAST, parts=nightly(rows))


@pytest.mark.parametrize(("hours", "expected"), [(35, "fresh"), (36, "fresh"), (36.1, "stale")])
def test_a_source_is_stale_when_its_last_delivery_is_older_than_max_age(hours: float, expected: str) -> None:
    now = LAST + timedelta(hours=hours)
    found = state(source(FILES, max_age="36h"), Deliveries(last=LAST), now, date(2024, 5, 12))
    assert (found.state, found.lacks) == (expected, expected == "stale")


def test_the_words_name_the_last_delivery_how_long_ago_it_was_and_the_setting() -> None:
    late = state(source(FILES, max_age="36h"), Deliveries(last=LAST), LAST + timedelta(days=3), date(2024, 5, 13))
    assert late.warning == "orders stale: last delivery 10 May 2024 01:00 UTC, 3 days ago (max_age 36 h)"


def test_without_max_age_no_source_is_stale_however_old() -> None:
    found = state(source(FILES), Deliveries(last=LAST), LAST + timedelta(days=999), date(2027, 1, 1))
    assert (found.state, found.why, found.lacks) == ("fresh", "", False)


def test_a_source_that_never_delivered_is_stale_and_no_day_of_it_is_there() -> None:
    found = state(source(FILES, max_age="3d"), Deliveries(), LAST, date(2024, 5, 10))
    assert (found.state, found.fresh_until, found.lacks) == ("stale", None, True)
    assert "nothing was ever delivered" in found.why


def test_data_are_there_before_the_business_day_of_the_last_delivery() -> None:
    evening = datetime(2024, 5, 9, 23)  # 01:00 of the 10th in Amsterdam
    late = state(source(FILES, max_age="1h"), Deliveries(last=evening), LAST, date(2024, 5, 20))
    assert late.fresh_until == date(2024, 5, 10)


def test_figures_of_a_day_that_the_data_reach_lack_nothing_and_are_not_blocked_however_late_the_source_is() -> None:
    given, years_later = source(FILES, max_age="36h", on_stale="block"), LAST + timedelta(days=900)
    reached = state(given, Deliveries(last=LAST), years_later, date(2024, 5, 10))
    beyond = state(given, Deliveries(last=LAST), years_later, date(2024, 5, 11))
    assert (reached.state, reached.lacks, reached.blocks) == ("stale", False, False)
    assert (beyond.state, beyond.lacks, beyond.blocks) == ("stale", True, True)


def test_a_source_that_could_not_be_loaded_is_failed_without_any_setting() -> None:
    broken = Deliveries(LAST, LAST, LAST + timedelta(days=1), "orders: no connection")
    found = state(source(PULLS), broken, LAST + timedelta(days=1), date(2024, 5, 11))
    assert (found.state, found.lacks, found.fresh_until) == ("failed", True, date(2024, 5, 10))
    assert found.warning == ("orders failed: not loaded: orders: no connection; last delivery 10 May 2024 01:00 UTC")


def test_a_failure_after_a_good_load_of_the_same_day_is_told_but_nothing_is_missing() -> None:
    broken = Deliveries(LAST, LAST, LAST + timedelta(hours=6), "orders: no connection")
    found = state(source(PULLS, on_stale="block"), broken, LAST + timedelta(hours=6), date(2024, 5, 10))
    assert (found.state, found.lacks, found.blocks) == ("failed", False, False)


def test_good_files_beside_a_refused_one_do_not_move_the_day_from_which_data_are_missing() -> None:
    since = datetime(2024, 5, 6, 1)
    broken = Deliveries(LAST, datetime(2024, 5, 5, 1), since, "a.csv: no header")
    assert state(source(FILES), broken, LAST, date(2024, 5, 10)).fresh_until == date(2024, 5, 5)


def test_failed_goes_before_stale_and_both_are_told() -> None:
    broken = Deliveries(LAST, LAST, LAST + timedelta(days=1), "orders: no connection")
    found = state(source(PULLS, max_age="1d"), broken, LAST + timedelta(days=5), date(2024, 5, 15))
    assert found.state == "failed"
    assert "no connection" in found.why and "max_age 24 h" in found.why


@pytest.mark.parametrize(
    ("rows", "fell_by"),
    [
        ([1000, 800], None),  # just as far as max_shrink allows
        ([1000, 799], 0.201),
        ([1000], None),  # nothing to compare with
        ([0, 0], None),
        ([1000, None], None),
        ([1000, 1000, 1000, 0], 1.0),
        ([10, 1000, 1000, 1000, 790], 0.21),  # the usual is the median, not the last
        ([1000, 1000, 1000, 1000, 10, 790], 0.21),
        ([2000] * 20 + [1000] * 7 + [1000], None),  # a new size is usual after a while
    ],
)
def test_a_pull_of_the_whole_table_has_shrunk_when_it_is_smaller_than_the_usual_one(
    rows: list[int | None], fell_by: float | None
) -> None:
    found = shrunken(pulls(rows), 0.2)
    assert (found and round(found.fell_by, 3)) == fell_by


def test_a_share_that_floats_cannot_say_exactly_is_allowed_to_the_last_row() -> None:
    assert shrunken(pulls([10, 3]), 0.7) is None
    assert shrunken(pulls([10, 2]), 0.7) is not None


@pytest.mark.parametrize(
    ("rows", "has_fallen"),
    [
        ([1_000_000, 1000], False),  # the first files hold all of history
        ([1_000_000, 1000, 1000], False),
        ([1_000_000, 1000, 1000, 1000], False),
        ([1_000_000, 1000, 1000, 700], True),
    ],
)
def test_files_of_new_names_are_judged_once_there_is_something_usual(rows: list[int | None], has_fallen: bool) -> None:
    assert (shrunken(parts(rows), 0.2) is not None) == has_fallen


def test_a_file_replaced_under_its_name_is_compared_with_its_former_versions() -> None:
    found = Deliveries(last=LAST, versions={"a.csv": nightly([500, 490]), "b.csv": nightly([1000, 400])})
    fallen = shrunken(found, 0.2)
    assert fallen is not None and (fallen.delivery.rows, fallen.usual) == (400, 1000)


def test_only_the_newest_delivery_counts() -> None:
    old = [replace(one, at=one.at - timedelta(days=30)) for one in nightly([1000, 400])]
    assert shrunken(Deliveries(last=LAST, versions={"a.csv": old}), 0.2) is None


def test_a_shrunken_source_has_its_data_until_the_last_whole_delivery() -> None:
    found = state(source(PULLS, max_shrink=0.2), pulls([1000, 1000, 300, 300]), LAST, date(2024, 5, 10))
    assert (found.state, found.fell_by, found.fresh_until) == ("shrunken", 0.7, date(2024, 5, 8))
    assert found.why == (
        "the delivery of 10 May 2024 01:00 UTC has 300 rows, 70% fewer than the usual 1,000 (max_shrink 20%)"
    )


def test_a_delivery_that_fell_on_the_day_of_a_whole_one_is_missing_too() -> None:
    twice = Deliveries(last=LAST, whole=[Delivery(LAST - timedelta(hours=2), 1000), Delivery(LAST, 300)])
    given = source(PULLS, max_shrink=0.2, on_stale="block")
    found = state(given, twice, LAST, date(2024, 5, 10))
    assert (found.fresh_until, found.blocks) == (date(2024, 5, 9), True)
    assert not state(given, twice, LAST, date(2024, 5, 9)).lacks


def test_where_rows_that_are_gone_are_removed_a_shrunken_pull_leaves_no_period_whole() -> None:
    given = source(PULLS, max_shrink=0.2, deletes="compare_keys")
    assert state(given, pulls([1000, 300]), LAST, date(2024, 5, 10)).fresh_until is None


def test_a_source_blocks_only_if_it_may_and_lacks_data() -> None:
    now, day = LAST + timedelta(days=3), date(2024, 5, 13)
    warns = state(source(FILES, max_age="1d"), Deliveries(last=LAST), now, day)
    holds = state(source(FILES, max_age="1d", on_stale="block"), Deliveries(last=LAST), now, day)
    fresh = state(source(FILES, max_age="9d", on_stale="block"), Deliveries(last=LAST), now, day)
    check_blocks([warns, fresh])
    with pytest.raises(NotFresh) as caught:
        check_blocks([warns, holds, fresh])
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(holds.warning)
