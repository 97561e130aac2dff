"""The sample company and the commented settings: they load, are the same each time, and hold what they promise."""

import csv
import re
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
import yaml
from pydantic import BaseModel

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.demo import make_company, settings_template
from retention_pipeline.ingest import ingest
from retention_pipeline.settings import (
    Business,
    FileSource,
    PostgresSource,
    Settings,
    load_settings,
    parse_settings,
    resolve_home,
)

AS_OF = date(2025, 3, 18)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("company")
    make_company(home, customers=1500, months=36, as_of=AS_OF)
    return home


def files_of(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(company: Path, tmp_path: Path) -> None:
    make_company(tmp_path / "again", customers=1500, months=36, as_of=AS_OF)
    make_company(tmp_path / "other", customers=1500, months=36, as_of=AS_OF, seed=8)
    assert files_of(tmp_path / "again") == files_of(company)
    assert files_of(tmp_path / "other") != files_of(company)


def test_the_settings_of_the_company_load_and_every_source_has_files(company: Path) -> None:
    settings = load_settings(resolve_home(company))
    assert settings.connected_datasets == list(CONTRACTS)
    for name, source in settings.sources.items():
        assert any(list(company.glob(pattern)) for pattern in source.paths), name  # type: ignore[union-attr]


def test_every_file_of_the_company_is_found_by_a_source(company: Path) -> None:
    settings = load_settings(resolve_home(company))
    patterns = [pattern for source in settings.sources.values() for pattern in source.paths]  # type: ignore[union-attr]
    found = {path for pattern in patterns for path in company.glob(pattern)}
    assert found == {path for path in (company / "landing").rglob("*") if path.is_file()}


def test_the_subscribers_go_through_every_status_and_some_come_back(company: Path) -> None:
    rows = [
        row
        for path in sorted((company / "landing/subscriptions").glob("*.csv"))
        for row in csv.DictReader(path.read_text().splitlines())
        if not row["subscription_id"].startswith("S9")
    ]
    assert {row["state"] for row in rows} == {"in_trial", "live", "dunning", "on_hold", "unpaid", "cancelled"}
    assert any(row["subscription_id"].endswith("b") for row in rows), "nobody returned with a second subscription"
    assert {row["interval"] for row in rows} == {"month", "year"}
    assert {row["currency"] for row in rows} == {"EUR", "GBP"}


@pytest.mark.parametrize(("customers", "months"), [(10, 2), (60, 3), (200, 6)])
def test_a_small_company_is_not_refused_for_its_broken_lines(customers: int, months: int, tmp_path: Path) -> None:
    make_company(tmp_path, customers=customers, months=months, as_of=AS_OF)
    home = resolve_home(tmp_path)
    result = ingest(home, load_settings(home), now=datetime(2025, 3, 18, 2))
    assert result.loads and not result.refused


def test_nothing_in_landing_happened_on_or_after_as_of(company: Path) -> None:
    with duckdb.connect() as connection:
        latest = connection.execute(
            f"""
            select max(strptime(regexp_extract(content, '{AS_OF.year}-[0-9]{{2}}-[0-9]{{2}}'), '%Y-%m-%d'))
            from (select unnest(string_split(content, '\n')) as content
                  from read_text('{company}/landing/orders/{AS_OF:%Y-%m}.csv'))
            where content like 'E%'
            """
        ).fetchone()
    assert latest is not None and latest[0].date() < AS_OF


def test_a_folder_with_settings_is_not_overwritten(company: Path) -> None:
    with pytest.raises(FileExistsError):
        make_company(company, customers=10, as_of=AS_OF)


def test_the_template_loads_and_states_the_defaults() -> None:
    settings = parse_settings(yaml.safe_load(settings_template()))
    bare = parse_settings({"business": {"timezone": "UTC", "reporting_currency": "EUR"}})
    assert settings.model_copy(update={"sources": {}}) == bare


def test_the_template_names_every_setting() -> None:
    text = settings_template()

    models: list[type[BaseModel]] = [Settings, Business, FileSource, PostgresSource]
    expected = {name for model in models for name in model.model_fields}
    assert [name for name in sorted(expected) if not re.search(rf"\b{name}:", text)] == []
