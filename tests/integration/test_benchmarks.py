"""The benchmark's two baselines and the pipeline, three ways to the same numbers: they agree on a small history."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from benchmarks import activity, work
from retention_pipeline.settings import Home, load_settings

TABLES = {"bridge": ["month"], "orders_by_month": ["month"], "cohorts": ["cohort_start", "age"], "mrr": ["month"]}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("history")
    work.make_data(root, "10k")
    fewer = yaml.safe_load(Home(root).settings_file.read_text()) | {"segments": ["country"], "grains": ["month"]}
    Home(root).settings_file.write_text(yaml.safe_dump(fewer))  # what the baselines have, and one segment
    work.baseline_sql(root)
    work.baseline_sql_further(root)
    work.baseline_in_pandas(root)
    return root


def test_the_two_baselines_agree(history: Path) -> None:
    with duckdb.connect() as connection:
        for baseline in ("baseline_sql", "baseline_pandas"):
            connection.execute(f"attach '{history}/{baseline}.duckdb' as {baseline} (read_only)")
        for table, keys in TABLES.items():
            names = [
                name
                for (name,) in connection.execute(f"select column_name from (describe baseline_sql.{table})").fetchall()
            ]
            columns = [f"cast({name} as date)" if name in ("month", "cohort_start") else name for name in keys] + [
                f"round(cast({name} as double), 4)" for name in names if name not in keys
            ]
            listed = ", ".join(columns)
            by_sql, by_pandas = (
                connection.execute(f"select {listed} from {baseline}.{table} order by all").fetchall()
                for baseline in ("baseline_sql", "baseline_pandas")
            )
            assert len(by_sql) > 50, table
            assert by_sql == by_pandas, table


def test_the_pipeline_publishes_what_the_baselines_found_and_a_night_keeps_to_it(history: Path) -> None:
    work.pipeline_run(history, 0, True)
    tables = work.BASELINE_TABLES + work.FURTHER_TABLES
    assert work.differences(history, "baseline_sql_further") == dict.fromkeys(tables, 0)
    assert work.differences(history, "baseline_pandas") == dict.fromkeys(TABLES, 0)
    delivered = work.deliver_night(history, "10k")["rows"]
    night = work.pipeline_run(history, 1, False)
    assert delivered == 1000
    assert night["kpi_rows_changed"] > 0
    # Late orders change months before the night; the comparison sees it.
    assert all(work.differences(history, "baseline_sql_further")[table] > 0 for table in ("orders_by_month", "gaps"))


def test_a_variant_has_the_same_raw_rows_under_other_settings(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(root: Path, days_later: int, full_refresh: bool) -> dict[str, Any]:
        return {"rows": work.raw_rows(root), "grains": load_settings(Home(root)).grains}

    monkeypatch.setattr(work, "pipeline_run", seen)
    assert work.full_refresh_with(history, {"grains": ["month", "year"]}) == {
        "rows": work.raw_rows(history),
        "grains": ["month", "year"],
    }


def test_engagement_is_what_the_script_by_hand_finds(tmp_path: Path) -> None:
    activity.make_activity(tmp_path / "home", "10k")
    activity.engagement_by_hand(tmp_path / "home")
    work.pipeline_run(tmp_path / "home", 0, True)
    assert activity.unlike_by_hand(tmp_path / "home") == {"months": 0, "bars": 0}
