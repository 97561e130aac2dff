"""`retention kpis NAME` shows what a figure is held against: a line per target, the benchmark beside the value."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.published_sample import make_published

from retention_pipeline.cli import figures


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = make_published(tmp_path / "home")
    with duckdb.connect(str(home.current.resolve())) as connection:
        connection.execute(
            "create table kpi_attainment as select 'customer_churn_rate' as kpi, 'month' as grain, 'order' as basis, "
            "'all' as segment_dimension, 'all' as segment_value, date '2024-01-01' as start_on, "
            "date '2024-06-30' as due_on, 0.06 as baseline, 0.04 as target, 0.05 as value, 0.5 as progress, "
            "0.38 as elapsed, 'ahead' as status"
        )
        connection.execute(
            "create table kpi_with_benchmark as select 'customer_churn_rate' as kpi, 'month' as grain, "
            "date '2024-02-01' as period_start, 'order' as basis, 0.05 as value, 0.045 as benchmark, 0.005 as gap, "
            "'Alpha study' as source, 2023 as year"
        )
    return home.root


def shown(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int = 160, **asked: Any
) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    question = {"grain": "month", "segment": None, "basis": "order", "last": 3, "as_json": False} | asked
    figures.kpi(home, "customer_churn_rate", **question)
    return capsys.readouterr().out


def test_a_target_has_its_way_its_time_and_how_it_stands(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(home, capsys, monkeypatch)
    assert "Target 4.0 % by 30 Jun 2024, from 6.0 %: 50.0 % of the way, 38.0 % of the time, ahead" in text


def test_a_period_has_its_benchmark_and_how_far_the_figure_is_from_it(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(home, capsys, monkeypatch)
    february = text.split("Feb 2024")[1].splitlines()
    assert february[0].rstrip().endswith("4.5 %") and february[1].strip() == "(+0.5 pp)"
    assert "Benchmark Alpha study, 2023" in text


def test_a_period_and_its_benchmark_fit_into_a_line_of_eighty_characters(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source stood in every row, cut into seven lines."""
    text = shown(home, capsys, monkeypatch, columns=80, last=2)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    (line,) = (number for number, one in enumerate(lines) if one.startswith("──"))
    table = lines[line + 1 : lines.index("Benchmark Alpha study, 2023")]
    assert len(table) == 3, table  # two months, and the gap of the one that has a benchmark
    assert "…" not in text


def test_side_by_side_the_targets_say_whose_they_are_and_the_benchmark_is_a_column(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(home, capsys, monkeypatch, basis=None)
    assert "Target (buyers) 4.0 % by 30 Jun 2024, from 6.0 %: 50.0 % of the way" in text
    heading, source = (line for line in text.splitlines() if "Benchmark" in line)
    assert source == "Benchmark Alpha study, 2023"
    assert heading.split()[-1] == "Benchmark" and "buyers" in heading
    months = {line.split()[0]: line.split() for line in text.splitlines() if " 2024 " in line and "%" in line}
    assert months["Feb"][-2:] == ["4.5", "%"] and months["Jan"][-2:] != ["4.5", "%"]


def test_json_has_the_benchmark_of_each_period_and_the_targets_of_the_series(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = json.loads(shown(home, capsys, monkeypatch, basis=None, as_json=True))
    benchmarks = {(row["period_start"], row["basis"]): row["benchmark"] for row in rows if row["benchmark"]}
    assert {key: held["benchmark"] for key, held in benchmarks.items()} == {("2024-02-01", "order"): "0.045"}
    assert {row["basis"] for row in rows if row["targets"]} == {"order"}
    (target,) = next(row["targets"] for row in rows if row["basis"] == "order")
    assert (target["due_on"], target["status"]) == ("2024-06-30", "ahead")


def test_another_basis_shows_neither(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(home, capsys, monkeypatch, basis="subscription")
    assert "Target" not in text and "Benchmark" not in text


def test_a_target_without_a_figure_says_so(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with duckdb.connect(str(home / "published" / "current.duckdb")) as connection:
        connection.execute("update kpi_attainment set value = null, progress = null, status = null")
    assert "by 30 Jun 2024, from 6.0 %: no figure to measure it by yet" in shown(home, capsys, monkeypatch)
