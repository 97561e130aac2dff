"""The job `nightly` on a small shop, in this process on the home's own storage, as `retention run` does it; and, as the
last test, by the schedule of a real daemon, which is started first since it waits for its minute.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
import pytest
from dagster import DagsterEventType
from support.daemon_night import DaemonNight
from support.plain_run import run as plain_run
from support.quick_build import models_made_quickly
from support.small_shop import AS_OF, LATE_ORDER, MONTHS, deliver, open_shop

from retention_pipeline.ingest import IngestError
from retention_pipeline.kpis.violation import Violation
from retention_pipeline.orchestration import run_context
from retention_pipeline.orchestration.assets.raw import raw_key
from retention_pipeline.orchestration.definitions import build_definitions
from retention_pipeline.orchestration.instance import open_instance
from retention_pipeline.orchestration.launch import Launched, NoSuchMonths, RunFailed, launch
from retention_pipeline.run.frame import Assembly
from retention_pipeline.run.operations import NothingPending
from retention_pipeline.run.records import all_records
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform.manifest import manifest_json
from retention_pipeline.transform.selection import absent_models, excluded_nodes

FIGURES = dg.AssetKey("retention_kpis")


def run(home: Home, said: list[str] | None = None, **changes: object) -> Launched:
    arguments = {"as_of": AS_OF, "say": (said if said is not None else []).append} | changes
    return launch(home, load_settings(home), **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def by_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonNight]:
    night = DaemonNight(tmp_path_factory.mktemp("daemon"))
    night.start()
    yield night
    night.give_up()
    night.join()


@pytest.fixture(scope="module")
def first_run(by_daemon: DaemonNight, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Launched, list[str]]:
    home = open_shop(tmp_path_factory.mktemp("shop") / "home")
    said: list[str] = []
    return home, run(home, said), said


def events(home: Home, run_id: str, kind: DagsterEventType) -> list[dg.DagsterEvent]:
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:  # Dagster's own classes read what ours wrote
        return [
            entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind) if entry.dagster_event is not None
        ]


def figures(home: Home) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.current.resolve()), read_only=True) as connection:
        return connection.execute(
            "select kpi, grain, period_start, basis, segment_dimension, segment_value, value, run_id "
            "from retention_kpis order by all"
        ).fetchall()


def test_the_run_publishes_and_its_record_says_so(first_run: tuple[Home, Launched, list[str]]) -> None:
    home, launched, said = first_run
    assert home.current.resolve().name == "g1.duckdb"
    assert launched.record["status"] == "succeeded"
    assert launched.record["as_of"] == AS_OF.isoformat()
    assert launched.record["files_loaded"] == 2
    assert any("published generation 1" in line for line in said)
    log = (home.runs / launched.record["run_id"] / "run.log").read_text()
    assert [line.split(" ", 1)[1].removeprefix("INFO").strip() for line in log.splitlines()] == [
        line.strip() for text in said for line in text.splitlines()
    ]


def test_every_model_is_materialized_and_every_data_test_is_a_check_that_passed(
    first_run: tuple[Home, Launched, list[str]],
) -> None:
    home, launched, _ = first_run
    manifest = manifest_json()
    left_out = set(excluded_nodes(manifest, absent_models(manifest, ["orders", "subscriptions"])))
    nodes = [node for node in manifest["nodes"].values() if node["name"] not in left_out]
    models = {node["name"] for node in nodes if node["resource_type"] == "model" and _is_table(node)}
    tests = sum(node["resource_type"] == "test" for node in nodes)
    made = {
        event.asset_key.to_user_string()
        for event in events(home, launched.dagster_run_id, DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key
    }
    checks = [
        event.asset_check_evaluation_data
        for event in events(home, launched.dagster_run_id, DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    raw = {"raw/orders", "raw/subscriptions", "raw/customer_keys", "raw/ledger"}
    assert made == models | raw | {"retention_kpis", "published_snapshot", "report"}
    assert all(check.passed for check in checks)
    assert len(checks) == tests + 4  # one more per raw asset, two on retention_kpis
    by_asset = Counter(check.asset_key.to_user_string() for check in checks)
    assert by_asset["period_orders"] == 1, "all rules of a model are one check of its asset"


def _is_table(node: dict[str, Any]) -> bool:
    return bool(node["config"]["materialized"] != "ephemeral")


def test_metadata_show_row_counts_previews_and_the_headline(first_run: tuple[Home, Launched, list[str]]) -> None:
    home, launched, _ = first_run
    by_asset: dict[str, Any] = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in events(home, launched.dagster_run_id, DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key and set(event.materialization.metadata) != {"as_of"}  # those of further months
    }
    assert by_asset["raw/orders"]["new"].value == 8
    assert by_asset["period_orders"]["dagster/row_count"].value > 0
    assert "| grain |" in by_asset["period_orders"]["preview"].value
    assert by_asset["retention_kpis"]["dagster/row_count"].value == len(figures(home))
    headline = by_asset["published_snapshot"]["headline"].value
    # April: subscribes and upgrades stay, quits leaves on the 1st; 10 + 25 + 10 - 10 = 35 a month.
    assert "**Apr 2024**" in headline
    assert "| = At the end | € 35.00 |" in headline


def test_the_run_is_under_its_month_and_logs_the_other_months_that_changed(
    first_run: tuple[Home, Launched, list[str]],
) -> None:
    home, launched, _ = first_run
    months = Counter(
        (event.asset_key.to_user_string(), event.partition)
        for event in events(home, launched.dagster_run_id, DagsterEventType.ASSET_MATERIALIZATION)
        if event.partition and event.asset_key
    )
    assert months == {(asset, month): 1 for asset in {key for key, _ in months} for month in MONTHS}
    assert {key for key, _ in months} >= {"retention_kpis", "period_customers", "period_mrr"}


def test_a_backfill_is_one_run_that_loads_nothing_and_changes_nothing(
    first_run: tuple[Home, Launched, list[str]],
) -> None:
    home, _, _ = first_run
    before = figures(home)
    deliver(home, "orders", "late.csv", LATE_ORDER)
    launched = run(home, as_of=None, months=("2024-02", "2024-04"), command="backfill")
    made = events(home, launched.dagster_run_id, DagsterEventType.ASSET_MATERIALIZATION)
    assert sorted(event.partition for event in made if event.asset_key == FIGURES if event.partition) == MONTHS[1:4]
    assert launched.record["command"] == "backfill"
    assert launched.record["as_of"] == AS_OF.isoformat()
    assert figures(home) == before
    assert launched.record["restated"] == 0
    with models_made_quickly():
        launched = run(home)  # the night after it loads what was waiting
    assert launched.record["files_loaded"] == 1
    assert figures(home) != before
    (check,) = [
        event.asset_check_evaluation_data
        for event in events(home, launched.dagster_run_id, DagsterEventType.ASSET_CHECK_EVALUATION)
        if event.asset_check_evaluation_data.check_name == "reported_figures_stand"
    ]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["restated"].value == launched.record["restated"] > 0
    assert "| late |" in str(check.metadata["restated_by_cause"].value)
    assert launched.record["restatements"][0].endswith(
        f"{launched.record['restated']:,} because of rows that came late"
    )
    said = [check.metadata[name].value for name in ("restatements", "largest_restatement", "all_restatements")]
    assert said == launched.record["restatements"]


def test_months_outside_the_history_cannot_be_backfilled(first_run: tuple[Home, Launched, list[str]]) -> None:
    with pytest.raises(NoSuchMonths, match="2023-12 cannot be backfilled: there are figures from 2024-01 to 2024-05"):
        run(first_run[0], as_of=None, months=("2023-12", "2024-02"), command="backfill")


def test_a_failed_audit_fails_the_check_names_the_rule_and_leaves_the_published_figures(
    first_run: tuple[Home, Launched, list[str]],
) -> None:
    home, _, _ = first_run
    before, generation = figures(home), home.current.resolve()
    broken = Assembly(validate_kpis=lambda *_: [Violation("rates_in_range", 3, [{"kpi": "made_up", "value": 7.0}])])
    with models_made_quickly(), pytest.raises(RunFailed, match=r"(?s)rates_in_range.*3 cells.*kpi=made_up") as failed:
        run(home, assembly=broken)
    assert failed.value.kind == "AuditError"
    log = max(home.runs.glob("*/run.log"), key=lambda path: path.stat().st_mtime).read_text()
    assert "ERROR   AuditError: " in log and "rates_in_range" in log
    assert (home.current.resolve(), figures(home)) == (generation, before)
    assert not home.next_file.exists()
    with open_instance(home) as instance:
        record = instance.get_run_records(limit=1)[0]
        assert record.dagster_run.status == dg.DagsterRunStatus.FAILURE
    checks = [
        event.asset_check_evaluation_data
        for event in events(home, record.dagster_run.run_id, DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    assert [check.check_name for check in checks if not check.passed] == ["reconciliations_hold"]


def test_held_figures_are_let_in_by_a_run_that_loads_nothing(first_run: tuple[Home, Launched, list[str]]) -> None:
    home, _, _ = first_run
    home.settings_file.write_text(home.settings_file.read_text() + "close_after_days: 0\nclosed_periods: hold\n")
    deliver(home, "orders", "held.csv", LATE_ORDER.replace("9,buys_once", "11,buys_once"))
    before = figures(home)
    plain_run(home, load_settings(home), AS_OF, now=datetime.now(UTC).replace(tzinfo=None), full_refresh=True)
    assert all_records(home)[-1]["pending"] > 0
    deliver(home, "orders", "waits.csv", LATE_ORDER.replace("9,buys_once", "12,buys_once"))
    with models_made_quickly():
        let_in = run(home, as_of=None, restate=[], command="restate")
    assert (let_in.record["command"], let_in.record["as_of"]) == ("restate", AS_OF.isoformat())
    assert (let_in.record.get("files_loaded", 0), let_in.record["pending"]) == (0, 0)
    assert let_in.record["restated"] > 0 and figures(home) != before
    with pytest.raises(NothingPending, match="held back are figures of: no period"):
        run(home, as_of=None, restate=[("month", date(2024, 2, 1))], command="restate")


@pytest.mark.parametrize(
    ("error", "tries"),
    [(ConnectionResetError("the shop's database went away"), 3), (IngestError("half of a file is refused"), 1)],
)
def test_what_can_pass_is_tried_three_times_and_bad_data_once(
    error: Exception, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_context, "SECONDS_BEFORE_RETRY", 0)
    asked: list[str] = []

    def ingest(*_: object, datasets: list[str], **__: object) -> None:
        asked.extend(datasets)
        raise error

    with pytest.raises(RunFailed, match=str(error)) as failed:
        run(open_shop(tmp_path / "home"), assembly=Assembly(ingest=ingest))
    assert failed.value.kind == type(error).__name__ and "Traceback" not in str(failed.value)
    assert asked.count("orders") == tries


@pytest.mark.parametrize("chosen", [["raw/orders"], ["period_customers", "retention_kpis"], ["published_snapshot"]])
def test_a_selection_that_cannot_publish_fails_at_once_and_names_the_job(chosen: list[str], tmp_path: Path) -> None:
    home = open_shop(tmp_path / "home")
    definitions = build_definitions(home)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("nightly").execute_in_process(
            instance=instance,
            partition_key="2024-05",
            asset_selection=[dg.AssetKey(key.split("/")) for key in chosen],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    assert not result.success
    failure: Any = result.get_step_failure_events()[0].event_specific_data
    assert "launch the whole job 'nightly'" in failure.user_failure_data.description
    assert not home.raw_file.exists() and not home.runs.exists()


def test_without_settings_the_graph_loads_and_a_run_says_how_to_make_them(tmp_path: Path) -> None:
    definitions = build_definitions(tmp_path)
    dg.Definitions.validate_loadable(definitions)
    result = definitions.resolve_job_def("nightly").execute_in_process(
        partition_key="2024-05",
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    failure: Any = result.get_step_failure_events()[0].event_specific_data
    assert "retention init" in failure.user_failure_data.description
    assert list(tmp_path.iterdir()) == []


def test_the_graph_leads_from_raw_files_to_the_snapshot(tmp_path: Path) -> None:
    graph = build_definitions(open_shop(tmp_path / "home")).resolve_asset_graph()
    above_snapshot = {dg.AssetKey("published_snapshot")}
    while True:
        parents = {parent for key in above_snapshot for parent in graph.get(key).parent_keys}
        if parents <= above_snapshot:
            break
        above_snapshot |= parents
    assert {raw_key("orders"), raw_key("subscriptions"), FIGURES} <= above_snapshot
    assert {key.to_user_string() for key in graph.get_all_asset_keys() - above_snapshot} == {"report"}
    partitioned = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).partitions_def}
    assert partitioned == {"retention_kpis"} | {
        key.to_user_string() for key in graph.get_all_asset_keys() if key.path[-1].startswith("period_")
    }


def test_a_published_day_before_the_first_partition_still_has_one(tmp_path: Path) -> None:
    home = open_shop(tmp_path / "home")
    definitions = build_definitions(home, no_month_after=date(1999, 3, 1))
    partitions = definitions.resolve_job_def("nightly").partitions_def
    assert partitions is not None and partitions.get_first_partition_key() == "1999-03"


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_the_daemon_starts_the_nightly_job_by_itself_and_it_publishes(by_daemon: DaemonNight) -> None:
    by_daemon.join()
    home, log, record = by_daemon.home, by_daemon.log, by_daemon.record
    assert by_daemon.error is None and record is not None, by_daemon.error
    assert by_daemon.states == ["on", "no daemon"]
    ran = record.dagster_run
    assert ran.status == dg.DagsterRunStatus.SUCCESS, log.read_text()[-5000:]
    assert ran.job_name == "nightly"
    assert ran.tags["dagster/schedule_name"] == "every_night"
    started = datetime.fromtimestamp(record.create_timestamp.timestamp(), ZoneInfo("Europe/Amsterdam")).date()
    as_of = date.fromisoformat(ran.tags["retention/as_of"])
    assert 0 <= (started - as_of).days <= 1, "the tick's day, which may have ended before the run began"
    assert ran.tags["dagster/partition"] == f"{as_of:%Y-%m}"
    assert home.current.resolve().name == "g1.duckdb"
    records = [json.loads(path.read_text()) for path in home.runs.glob("*.json")]
    assert {(one["status"], one["command"], one["as_of"]) for one in records if one["status"] != "running"} == {
        ("succeeded", "schedule", as_of.isoformat())
    }
