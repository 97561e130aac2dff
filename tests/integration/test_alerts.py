"""Alerts through the whole product: a rule of settings.yaml becomes a message, a file, a row and an asset check."""

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from support.command import retention as answered
from support.quick_build import models_made_quickly
from support.small_shop import deliver, open_shop

from retention_pipeline.alerts import load
from retention_pipeline.orchestration import instance as storage
from retention_pipeline.settings import Home

ALERTS = """
alerts:
  channels: {team: {env: TEAM_ADDRESS}}
  rules:
    - name: churn high
      when: {kpi: customer_churn_rate, basis: subscription, above: 0.05}
      then: [{export: kpi_definitions, to: exports/definitions.csv}]
    - name: nobody buys
      when: {kpi: orders, below: 1}
      then: [{notify: team}]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = open_shop(tmp_path_factory.mktemp("alerts") / "shop")
    home.settings_file.write_text(home.settings_file.read_text() + ALERTS)
    with models_made_quickly():
        retention(home, "run", "--as-of", "2024-05-10")
    return home


def retention(home: Home, *arguments: str, fails: bool = False) -> str:
    # Nothing listens at port 9: what goes to the team waits.
    done = answered(home, *arguments, TEAM_ADDRESS="json://127.0.0.1:9/token-of-the-team")
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert "token-of-the-team" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_rule_that_holds_is_published_carried_out_and_shown(shop: Home) -> None:
    with duckdb.connect(str(shop.current), read_only=True) as connection:
        rows = connection.execute("select rule, kpi, period_start::varchar, value > 0.3 from alerts").fetchall()
    assert rows == [("churn high", "customer_churn_rate", "2024-04-01", True)]
    assert (shop.root / "exports" / "definitions.csv").read_text().startswith("kpi,")
    assert "churn high: Customer churn rate, subscribers, of Apr 2024 is 33.3 %" in retention(shop, "alerts")
    assert "alert 1" in retention(shop, "status")


def test_each_rule_is_an_asset_check(shop: Home) -> None:
    with storage.open_instance(shop) as instance:
        keys = {name: dg.AssetCheckKey(dg.AssetKey("alerts"), name) for name in ("churn_high", "nobody_buys")}
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
    passed = {}
    for name, key in keys.items():
        event: Any = found[key].event
        passed[name] = event.dagster_event.asset_check_evaluation_data.passed
    assert passed == {"churn_high": False, "nobody_buys": True}


def test_a_failed_run_waits_for_its_channel_and_is_over_with_the_next_publication(shop: Home) -> None:
    deliver(
        shop, "orders", "bad.csv", "order_id,customer_id,ordered_at,amount,currency,status\n9,x,yesterday,1,EUR,paid\n"
    )
    answer = retention(shop, "run", "--as-of", "2024-05-11", fails=True)
    assert "alerts: operations: channel team: the message was not taken" in answer
    assert [(one.finding.rule, one.waiting) for one in load(shop)] == [("churn high", []), ("operations", ["team"])]
    (Path(shop.root) / "landing" / "orders" / "bad.csv").unlink()
    assert "The run failed" in retention(shop, "alerts")
    retention(shop, "alerts", "ack", "2")
    assert load(shop)[1].waiting == []
