"""What every run of the tests says first (sizes and seed of the random ones, so that a failure can be had again), and
what holds for all tests.
"""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.sizes import SEED, SIZES, size

from retention_pipeline.cycles import look_for_cycles_less_often

# Thousands of collected tests and dbt's manifest live to the end: looking for cycles among them takes a twentieth of
# the time of tests that run dbt and Dagster.
look_for_cycles_less_often()


@pytest.fixture(autouse=True)
def _open_lines_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests deliver files and load them at once, also those whose last line has no end."""
    from retention_pipeline.ingest import landing

    monkeypatch.setattr(landing, "OPEN_LINE_SECONDS", 0.0)


@cache
def _made_raw() -> TemporaryDirectory[str]:
    """A folder with a raw.duckdb that holds every table, all of them empty."""
    from retention_pipeline.ingest import open_raw

    folder = TemporaryDirectory(prefix="raw-")
    with open_raw(Path(folder.name) / "made.duckdb") as connection:
        connection.execute("delete from raw.epochs")  # each copy gets an identity of its own
    return folder


@pytest.fixture(autouse=True)
def _raw_is_copied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home's raw.duckdb is a copy of one that is made once: its tables take longer than what most tests load. Tests
    of how the file is made get none.
    """
    from retention_pipeline.ingest import schema

    if "kills" not in request.path.parts:
        made = Path(_made_raw().name) / "made.duckdb"
        monkeypatch.setattr(schema, "_create_file", lambda _, raw_file: shutil.copyfile(made, raw_file))


# Files of half a minute and more on one core, longest first: they begin first, so that all workers end at about the
# same time. A file that is not here begins in the order of its name.
LONGEST = (
    *("kills/test_kills.py", "kills/test_kills_of_mixed_sources.py", "kills/test_signals.py"),
    *("integration/test_companies2.py", "integration/test_forgetting.py", "integration/test_late_sources.py"),
    *("integration/publish/test_publish_runs.py", "integration/test_cli_runs.py", "integration/test_companies.py"),
    *("integration/test_doctor.py", "nights/test_nights_through_the_pipeline.py", "integration/test_random_nights.py"),
    *("integration/test_dagster_job.py", "integration/test_nights_of_small_homes.py", "nights/test_nights.py"),
    *("integration/test_front_door.py", "integration/publish/test_raw_and_published.py"),
    *("nights/test_companies_at_size.py", "integration/test_benchmarks.py", "integration/templates/test_templates.py"),
    *("integration/history/test_story.py", "integration/test_golden.py", "nights/test_marks.py"),
    *("oracle/test_oracle.py", "integration/test_hostile_home.py", "integration/test_mutated_files.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    assert all(path.exists() for path in place), [str(path) for path in place if not path.exists()]
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_report_header() -> str:
    sizes = ", ".join(f"{name}={size(name)}" for name in SIZES)
    return f"random tests: RETENTION_SEED={SEED}, {sizes}"
