"""The life of an incident, publication by publication."""

from datetime import date, datetime
from pathlib import Path

from retention_pipeline.alerts.incidents import Finding, Incident, acknowledge, after, cause_of, load, save
from retention_pipeline.settings import Home

MARCH, APRIL = date(2024, 3, 1), date(2024, 4, 1)
ACTIONS: dict[str, list[int | str]] = {"churn": [0, 1]}


def churn(period: date, subject: str = "all") -> Finding:
    return Finding("churn", subject, f"churn of {period} is high", period_start=period)


def night(before: list[Incident], day: int, *findings: Finding, judged: str = "churn") -> list[Incident]:
    return after(before, findings, datetime(2024, 5, day), actions=ACTIONS, judged={judged})


def delivered(incidents: list[Incident]) -> list[Incident]:
    return [Incident(**{**vars(one), "waiting": [], "told": one.waiting or one.told}) for one in incidents]


def test_an_incident_is_told_once_while_it_lasts() -> None:
    first = night([], 1, churn(MARCH))
    assert [(one.alert_id, one.waiting) for one in first] == [(1, [0, 1])]
    [second] = night(delivered(first), 2, churn(MARCH))
    assert second.waiting == [] and second.opened_at == datetime(2024, 5, 1) and second.seen_at == datetime(2024, 5, 2)


def test_what_could_not_be_delivered_waits() -> None:
    first = night([], 1, churn(MARCH))
    assert night(first, 2, churn(MARCH))[0].waiting == [0, 1]


def test_another_period_is_told_again_unless_it_was_acknowledged(tmp_path: Path) -> None:
    home = Home(tmp_path)
    told = delivered(night([], 1, churn(MARCH)))
    assert night(told, 2, churn(APRIL))[0].waiting == [0, 1]
    save(home, told)
    assert [one.alert_id for one in acknowledge(home, [1], datetime(2024, 5, 1, 12))] == [1]
    [seen] = night(load(home), 2, churn(APRIL))
    assert seen.waiting == [] and seen.acknowledged_at == datetime(2024, 5, 1, 12)


def test_it_is_over_when_the_rule_does_not_hold_and_begins_anew_after_that() -> None:
    over = night(delivered(night([], 1, churn(MARCH))), 2)
    assert over[0].resolved_at == datetime(2024, 5, 2)
    again = night(over, 3, churn(APRIL))
    assert [(one.alert_id, one.is_open) for one in again] == [(1, False), (2, True)]


def test_a_rule_that_was_not_looked_at_leaves_its_incidents() -> None:
    opened = night([], 1, churn(MARCH))
    assert night(opened, 2, judged="other") == opened


def test_subjects_are_incidents_of_their_own() -> None:
    two = night([], 1, churn(MARCH), churn(MARCH, "pro"))
    assert [one.is_open for one in night(two, 2, churn(MARCH, "pro"))] == [False, True]


def test_a_notice_is_over_at_once_and_not_repeated() -> None:
    notice = Finding("churn", "month", "March is complete", period_start=MARCH, is_notice=True)
    first = night([], 1, notice)
    assert [(one.is_open, one.waiting) for one in first] == [(False, [0, 1])]
    assert night(first, 2, notice) == first


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert load(home) == []
    kept = night(night([], 1, churn(MARCH)), 2)
    save(home, kept)
    assert load(home) == kept


def test_the_end_is_told_where_the_beginning_was() -> None:
    [told] = night(delivered(night([], 1, churn(MARCH))), 2)
    assert told.is_all_clear and told.waiting == [0, 1]
    [never_told] = night(night([], 1, churn(MARCH)), 2)
    assert never_told.is_all_clear and never_told.waiting == []
    [without_rule] = after(
        delivered(night([], 1, churn(MARCH))), [], datetime(2024, 5, 2), actions={}, judged={"churn"}
    )
    assert not without_rule.is_open and without_rule.waiting == []


def test_another_cause_is_another_incident() -> None:
    def late(cause: str) -> Finding:
        return Finding("churn", "source orders", f"orders {cause}", cause=cause)

    first = delivered(night([], 1, late("stale")))
    assert night(first, 2, late("stale"))[0].waiting == []
    one, two = night(first, 2, late("failed"))
    assert not one.is_open and two.is_open and two.waiting == [0, 1]


def test_an_incident_that_was_kept_without_its_cause_goes_on() -> None:
    before = delivered(night([], 1, Finding("churn", "run", "The run failed: no rights")))
    [same] = night(before, 2, Finding("churn", "run", "The run failed: no rights", cause="no rights"))
    assert same.alert_id == 1 and same.is_open and same.waiting == []


def test_a_cause_is_the_same_on_every_night() -> None:
    first = cause_of(
        "orders stale: last delivery 30 Oct 2026 02:00, 26 h ago (max_age 36 h)\n"
        "orders: orders-2026-10-30.csv: 12 of 3,400 rows refused (0.4 %, allowed 0.1 %); first: line 7: no day: 'x'\n"
        "    segment=NL, value=3"
    )
    second = cause_of(
        "orders stale: last delivery 1 Nov 2026 02:10, 2.1 days ago (max_age 36 h)\n"
        "orders: orders-2026-11-01.csv: 1 of 9 rows refused (11.1 %, allowed 0.1 %); first: line 2: no day: 'y'\n"
        "orders: orders-2026-11-02.csv: 1 of 2 rows refused (50.0 %, allowed 0.1 %); first: line 2: no day: 'z'\n"
        "    segment=DE, value=4"
    )
    assert first == second
    assert cause_of("1 of 1 rows refused; first: line 2: no day") != cause_of(
        "1 of 1 rows refused; first: line 2: no id"
    )
    assert cause_of("orders1: no rights") != cause_of("orders2: no rights")
    assert cause_of("rule bridge_closes: 3 cells") != cause_of("rule segments_add_up: 3 cells")
    assert cause_of("runs/20261130T020000-0a1b2c3d: full") == cause_of("runs/20261201T020000-9f8e7d6c: full")
