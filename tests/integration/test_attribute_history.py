"""The story tests/golden/attribute_history, night by night on the compiled models: it comes out as its README says."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from nights.compiled_models import CompiledModels, compile_models
from nights.warehouse_in_memory import Warehouse
from oracle.folders import COHORT_COLUMNS, COHORT_KEY, KPI_COLUMNS, KPI_KEY, cells

from retention_pipeline.ingest import ingest
from retention_pipeline.ingest.loads import max_load_id
from retention_pipeline.kpis import compute_kpis
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import attach

STORY = Path(__file__).parent.parent / "golden" / "attribute_history"
NIGHTS = ("2024-02-10", "2024-02-20", "2024-03-02", "2024-03-05")
FIGURES = ("customers_start", "customers_end", "customers_moved_in", "customers_moved_out")
Figures = dict[tuple[str, str, str], float]


class Told:
    """The story's home, and its warehouse in memory."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        shutil.copy(STORY / "settings.yaml", self.home.settings_file)
        settings = load_settings(self.home)
        self.models: CompiledModels = compile_models(settings, root / "compiled")
        self.connection = self.open_warehouse()
        self.before: tuple[date, int] | None = None
        self.figures: dict[str, Figures] = {}

    def open_warehouse(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 1")
        return connection

    def night(self, night: str) -> None:
        """What was delivered goes in, into what stands there since the night before."""
        for path in sorted((STORY / night).glob("*.csv")) if (STORY / night).is_dir() else []:
            folder = self.home.root / "landing" / path.stem
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / f"{night}.csv")
        as_of = date.fromisoformat(night)
        result = ingest(self.home, load_settings(self.home), now=datetime.combine(as_of, time(2)))
        assert not result.refused and sum(load.bad for load in result.loads) == 0
        attach(self.connection, self.home.raw_file, "raw_store")
        warehouse = Warehouse(self.connection, self.models)
        if self.before is None:
            warehouse.full_refresh(as_of)
        else:
            warehouse.night(as_of, *self.before)
        self.compute(self.connection, as_of)
        self.connection.execute("detach raw_store")
        self.before = as_of, max_load_id(self.home)
        self.figures[night] = figures(self.connection)

    def compute(self, connection: duckdb.DuckDBPyConnection, as_of: date) -> None:
        settings = load_settings(self.home)
        compute_kpis(
            connection,
            settings,
            as_of=as_of,
            run_id="told",
            computed_at=datetime.combine(as_of, time(2)),
            connected_datasets=settings.connected_datasets,
        )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    told = Told(tmp_path_factory.mktemp("attribute_history"))
    for night in NIGHTS:
        if night == NIGHTS[-1]:
            settings = yaml.safe_load(told.home.settings_file.read_text())
            settings["sources"]["customers"]["values"] = {"country": {"BE": ["DE"]}}
            told.home.settings_file.write_text(yaml.safe_dump(settings))
        told.night(night)
    yield told
    told.connection.close()


def figures(connection: duckdb.DuckDBPyConnection) -> Figures:
    """The figures by country that the story is about."""
    rows = connection.execute(
        """
        select kpi, cast(period_start as varchar), segment_value, value from retention_kpis
        where grain = 'month' and basis = 'order' and segment_dimension = 'country'
            and period_start >= date '2024-02-01'
        """
    ).fetchall()
    return {(kpi, month, country): value for kpi, month, country, value in rows if kpi in FIGURES}


def published(connection: duckdb.DuckDBPyConnection) -> list[dict[tuple[Any, ...], dict[str, Any]]]:
    """The cells of the tables of figures."""
    return [
        cells(connection.table("retention_kpis"), KPI_KEY, KPI_COLUMNS),
        cells(connection.table("cohort_retention"), COHORT_KEY, COHORT_COLUMNS),
    ]


def test_each_night_gives_the_figures_of_the_readme(told: Told) -> None:
    with (STORY / "expected_figures.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert {line["night"] for line in expected} == set(NIGHTS[1:])
    wrong = [
        line
        for line in expected
        if told.figures[line["night"]].get((line["kpi"], line["period_start"], line["segment_value"]))
        != float(line["value"])
    ]
    assert not wrong


def test_nobody_is_in_a_country_before_or_after_its_time(told: Told) -> None:
    countries = {night: {(month, country) for _, month, country in found} for night, found in told.figures.items()}
    february, march = "2024-02-01", "2024-03-01"
    assert countries["2024-02-20"] == {(february, "NL")}
    assert countries["2024-03-02"] == {(february, "NL"), (march, "NL"), (march, "DE")}
    assert countries["2024-03-05"] == {(february, "NL"), (march, "NL"), (march, "BE")}


def test_a_full_refresh_gives_the_same_cells(told: Told) -> None:
    as_of = date.fromisoformat(NIGHTS[-1])
    with told.open_warehouse() as connection:
        attach(connection, told.home.raw_file, "raw_store")
        Warehouse(connection, told.models).full_refresh(as_of)
        told.compute(connection, as_of)
        assert published(connection) == published(told.connection)
