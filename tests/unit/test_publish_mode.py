"""When a run is a full refresh, and what it says about it."""

import json
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from retention_pipeline.run.mode import Mode, decide_mode
from retention_pipeline.run.state import PipelineState

KEPT = {"activity_window_days": 90, "datasets": ["orders"], "segments": []}
PREVIOUS = PipelineState(4, 17, date(2024, 4, 30), "settings", "code", "kpis", "run", datetime(2024, 4, 30, 2))
PREVIOUS = replace(PREVIOUS, kept_settings=json.dumps(KEPT))


def decide(previous: PipelineState | None = PREVIOUS, **changes: Any) -> Any:
    asked = {
        "as_of": date(2024, 5, 1),
        "settings_fingerprint": "settings",
        "code_fingerprint": "code",
        "kept_settings": KEPT,
    }
    return decide_mode(previous, **{**asked, **changes})


def test_an_ordinary_night_adds_to_the_previous_generation() -> None:
    mode = decide()
    assert (mode.full_refresh, mode.name) == (False, "night")
    assert mode.reason == "on top of generation 4 as of 2024-04-30"


def test_the_same_as_of_again_is_a_night() -> None:
    assert not decide(as_of=PREVIOUS.as_of).full_refresh


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"previous": None}, "first run"),
        ({"asked": True}, "asked for"),
        ({"as_of": date(2024, 4, 29)}, "as_of 2024-04-29 is earlier than 2024-04-30, that of generation 4"),
        (
            {"kept_settings": KEPT | {"activity_window_days": 60}},
            "settings that move sums changed since generation 4 (activity_window_days)",
        ),
        (
            {"previous": replace(PREVIOUS, kept_settings=None), "settings_fingerprint": "other"},
            "settings that move sums changed since generation 4",
        ),
        ({"code_fingerprint": "other"}, "models or macros changed since generation 4"),
        ({"engine": "spark"}, "engine spark computes everything anew in every run"),
        ({"engine": "spark", "months": (date(2024, 1, 1), date(2024, 2, 1))}, "engine spark computes everything anew"),
    ],
)
def test_a_full_refresh_says_why_in_one_line(changes: dict[str, Any], reason: str) -> None:
    mode = decide(**changes)
    assert mode.full_refresh
    assert reason in mode.reason and "\n" not in mode.reason


def test_settings_that_only_kpis_read_leave_a_night_a_night() -> None:
    mode = decide(settings_fingerprint="other")
    assert not mode.full_refresh
    assert mode.reason.endswith("; settings that only KPIs read changed")


def with_datasets(*names: str, **others: Any) -> dict[str, Any]:
    return KEPT | {"datasets": sorted(("orders", *names))} | others


def test_a_dataset_with_models_of_its_own_leaves_a_night_a_night() -> None:
    mode = decide(settings_fingerprint="other", kept_settings=with_datasets("tickets", "events"))
    assert (mode.full_refresh, mode.new_datasets) == (False, ("events", "tickets"))
    assert mode.reason == "on top of generation 4 as of 2024-04-30, with events, tickets for the first time"


@pytest.mark.parametrize(
    "changes",
    [
        {"kept_settings": with_datasets("subscriptions")},
        {"kept_settings": with_datasets("customers", "tickets")},
        {"kept_settings": KEPT | {"datasets": []}},
        {"kept_settings": with_datasets("events", segments=["engagement_group"])},
        {"kept_settings": with_datasets("tickets"), "loaded_before": {"tickets"}},
        {"kept_settings": with_datasets("tickets"), "months": (date(2024, 3, 1), date(2024, 3, 1))},
    ],
)
def test_any_other_change_of_datasets_is_a_full_refresh(changes: dict[str, Any]) -> None:
    assert decide(settings_fingerprint="other", **changes).full_refresh


def test_what_costs_less_is_done_and_said() -> None:
    assert decide(cheaper=lambda published: f"so says {published.generation}") == Mode(
        True, "so says 4", by_same_code=True
    )
    assert decide(cheaper=lambda published: None).name == "night"


def test_a_generation_of_other_code_is_not_asked_what_a_night_on_it_costs() -> None:
    def ask(published: PipelineState) -> str:
        raise AssertionError("its tables may be other ones")

    assert decide(code_fingerprint="other", cheaper=ask).full_refresh
    assert decide(None, cheaper=ask).full_refresh
