"""The story tests/golden/attribute_history, night by night through the product: what its README works out comes out."""

from __future__ import annotations

import csv
import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml
from support.published_cells import published_cells, run_home

STORY = Path(__file__).parent.parent / "golden" / "attribute_history"
NIGHTS = ("2024-02-10", "2024-02-20", "2024-03-02", "2024-03-05")
FIGURES = ("customers_start", "customers_end", "customers_moved_in", "customers_moved_out")
Figures = dict[tuple[str, str, str], float]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("attribute_history")
    (root / "settings.yaml").write_text((STORY / "settings.yaml").read_text() + "exchange_from_rows: 0\n")
    return root


@pytest.fixture(scope="module")
def nights(root: Path) -> dict[str, Figures]:
    """Per night the figures by country that the story is about."""
    found = {}
    for night in NIGHTS:
        for path in sorted((STORY / night).glob("*.csv")) if (STORY / night).is_dir() else []:
            folder = root / "landing" / path.stem
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / f"{night}.csv")
        if night == NIGHTS[-1]:
            settings = yaml.safe_load((root / "settings.yaml").read_text())
            settings["sources"]["customers"]["values"] = {"country": {"BE": ["DE"]}}
            (root / "settings.yaml").write_text(yaml.safe_dump(settings))
        result = run_home(root, date.fromisoformat(night))
        assert result.mode.name == ("full refresh" if night == NIGHTS[0] else "night"), result.mode.reason
        found[night] = figures(root)
    return found


def figures(root: Path) -> Figures:
    published = Path(root) / "published" / "current.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        rows = connection.execute(
            """
            select kpi, cast(period_start as varchar), segment_value, value from retention_kpis
            where grain = 'month' and basis = 'order' and segment_dimension = 'country'
                and period_start >= date '2024-02-01'
            """
        ).fetchall()
    return {(kpi, month, country): value for kpi, month, country, value in rows if kpi in FIGURES}


def test_each_night_gives_the_figures_of_the_readme(nights: dict[str, Figures]) -> None:
    with (STORY / "expected_figures.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert {line["night"] for line in expected} == set(NIGHTS[1:])
    wrong = [
        line
        for line in expected
        if nights[line["night"]].get((line["kpi"], line["period_start"], line["segment_value"])) != float(line["value"])
    ]
    assert not wrong


def test_nobody_is_in_a_country_before_or_after_its_time(nights: dict[str, Figures]) -> None:
    countries = {night: {(month, country) for _, month, country in found} for night, found in nights.items()}
    february, march = "2024-02-01", "2024-03-01"
    assert countries["2024-02-20"] == {(february, "NL")}
    assert countries["2024-03-02"] == {(february, "NL"), (march, "NL"), (march, "DE")}
    assert countries["2024-03-05"] == {(february, "NL"), (march, "NL"), (march, "BE")}


def test_a_full_refresh_gives_the_same_cells(root: Path, nights: dict[str, Figures]) -> None:
    assert nights
    before = published_cells(root)
    run_home(root, date.fromisoformat(NIGHTS[-1]), full_refresh=True)
    assert published_cells(root) == before
