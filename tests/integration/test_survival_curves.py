"""`survival_curves` against lifelines, on its data sets and on random lives: counts, survival, intervals, median."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from nights.compiled_models import compile_models
from oracle.folders import COMPANIES

from retention_pipeline.settings import Settings

AS_OF = date(2150, 1, 1)
SETTINGS = {
    "business": {"timezone": "UTC", "reporting_currency": "EUR"},
    "sources": {"orders": {"type": "files", "path": "orders.csv", "timezone": "UTC"}},
}
REFERENCES = sorted((COMPANIES.parent / "km-references").glob("*.csv"))
Lives = list[tuple[int, bool]]


@pytest.fixture(scope="module")
def curve_sql(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model as dbt compiles it."""
    models = compile_models(Settings.model_validate(SETTINGS), tmp_path_factory.mktemp("compiled"))
    return next(model for model in models.full if model.name == "survival_curves").text(AS_OF, None, -1)


def curve_of(sql: str, lives: Lives) -> list[tuple[Any, ...]]:
    """(t, at_risk, events, censored, survival, ci_low, ci_high, median) of lives as (days, whether they are over)."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as next")
    connection.execute("use next")
    connection.execute(
        "create table int_cohort_members (cohort_event varchar, basis varchar, is_only_basis boolean, "
        "customer_key bigint, cohort_date date, first_end_date date, profile_key bigint)"
    )
    connection.execute(
        "create table int_profile_values as select 0 as profile_key, 'all' as segment_dimension, 'all' as segment_value"
    )
    rows = []
    for number, (days, is_over) in enumerate(lives):
        first = AS_OF - timedelta(days=days + (1 + number % 400 if is_over else 0))
        rows.append((number, first, first + timedelta(days=days) if is_over else date(9999, 12, 31)))
    connection.executemany("insert into int_cohort_members values ('first_activity', 'order', false, ?, ?, ?, 0)", rows)
    return connection.execute(
        f"select t, at_risk, events, censored, survival, ci_low, ci_high, median from ({sql}) order by t"
    ).fetchall()


def compare(sql: str, lives: Lives) -> None:
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit([days for days, _ in lives], [over for _, over in lives])
    table, survival = fitter.event_table, fitter.survival_function_["KM_estimate"]
    interval = fitter.confidence_interval_
    curve = curve_of(sql, lives)
    assert [row[0] for row in curve] == [int(t) for t in table.index]
    for t, at_risk, events, censored, share, low, high, _ in curve:
        if t > 0:
            assert (at_risk, events, censored) == tuple(table.loc[t, ["at_risk", "observed", "censored"]])
        assert share == pytest.approx(survival[t], rel=1e-9, abs=1e-12)
        if 1e-9 < share < 1 - 1e-9:  # elsewhere lifelines gives no interval
            assert (low, high) == pytest.approx(tuple(interval.loc[t]), rel=1e-6)
        else:
            assert low == high == share
    median = float(fitter.median_survival_time_)
    assert curve[0][7] == (None if median == float("inf") else int(median))


@pytest.mark.skipif(not REFERENCES, reason="the data sets are not laid out beside the repository")
@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_a_published_data_set_has_the_curve_of_lifelines(path: Path, curve_sql: str) -> None:
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    time = next(name for name in ("T", "t", "time", "duration") if name in lines[0])
    event = next(name for name in ("E", "status", "observed") if name in lines[0])
    lives = [(round(float(line[time])), float(line[event]) == 1) for line in lines]
    compare(curve_sql, lives)


@pytest.mark.parametrize("seed", range(5))
def test_random_lives_have_the_curve_of_lifelines(seed: int, curve_sql: str) -> None:
    random = Random(seed)
    lives = [(random.randint(1, random.choice((5, 60, 900))), random.random() < 0.7) for _ in range(400)]
    compare(curve_sql, lives)


def test_half_of_the_waltons_live_56_days(curve_sql: str) -> None:
    path = COMPANIES.parent / "km-references" / "waltons.csv"
    if not path.exists():
        pytest.skip("the data sets are not laid out beside the repository")
    with path.open(newline="") as file:
        lives = [(round(float(line["T"])), line["E"] == "1") for line in csv.DictReader(file)]
    assert {row[-1] for row in curve_of(curve_sql, lives)} == {56}
