"""The graph as operators see it: groups that lead one way, checks that say what they block, a form with the day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from retention_pipeline.orchestration.definitions import build_definitions
from retention_pipeline.orchestration.instance import open_instance, process_tags
from retention_pipeline.orchestration.run_storage import LOCATION
from retention_pipeline.orchestration.schedules import hidden_month, is_of_its_month
from retention_pipeline.settings import Home, parse_settings

SOURCES = {
    name: {"type": "files", "path": f"landing/{name}/*.csv"}
    for name in ("orders", "subscriptions", "customers", "customer_aliases", "fx_rates", "events", "emails", "tickets")
}


@dg.job
def nightly() -> None:
    """A job without steps."""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    settings = parse_settings({"business": {"timezone": "UTC", "reporting_currency": "EUR"}, "sources": SOURCES})
    return build_definitions(tmp_path_factory.mktemp("home"), settings=settings)


def test_no_group_of_assets_leads_back_to_itself(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    into: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        into.setdefault(node.group_name or "", set()).update(
            graph.get(one).group_name or "" for one in node.parent_keys
        )
    into = {group: parents - {group} for group, parents in into.items()}
    while free := [group for group, parents in into.items() if not parents & into.keys()]:
        for group in free:
            del into[group]
    assert into == {}


def test_checks_that_stop_a_publication_are_shown_as_blocking(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}
    warning = {key.name for key in graph.asset_check_keys} - blocking
    assert "reconciliations_hold" in blocking
    assert {"reported_figures_stand", "every_file_accepted"} <= warning


def test_the_form_of_the_launchpad_has_the_day_and_the_backfill(definitions: dg.Definitions) -> None:
    schema = definitions.resolve_job_def("nightly").resource_defs["night"].config_schema
    fields = schema.config_type.fields  # type: ignore[union-attr]
    assert {"as_of", "backfill"} <= fields.keys()
    assert all(field.description and field.default_provided for field in fields.values())  # so the form shows them


def test_a_run_for_another_day_of_this_month_is_under_no_month_that_is_shown() -> None:
    today = date(2024, 5, 20)
    assert is_of_its_month(today, today) and is_of_its_month(date(2024, 3, 31), today)
    assert not is_of_its_month(date(2024, 5, 3), today)
    assert not is_of_its_month(date(2024, 6, 3), today)
    assert hidden_month(date(1999, 3, 31)) == date(1999, 2, 1)
    # A page that was opened before the first run shows months from 2015 on.
    assert hidden_month(date(2024, 1, 31)) == date(2014, 12, 1)


def test_runs_of_the_command_line_have_their_place_on_the_timeline_and_the_daemon_starts_none_again(
    tmp_path: Path,
) -> None:
    with open_instance(Home(tmp_path)) as instance:
        run = instance.create_run_for_job(nightly, tags=process_tags())
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        found = instance.get_run_by_id(run.run_id)
    assert found is not None and found.remote_job_origin is not None
    assert (found.remote_job_origin.location_name, found.remote_job_origin.job_name) == (LOCATION, "nightly")
    assert found.tags["dagster/max_retries"] == "0"


def test_the_console_is_quiet_at_info(tmp_path: Path) -> None:
    with open_instance(Home(tmp_path)) as instance:
        assert instance.python_log_level == "INFO"
