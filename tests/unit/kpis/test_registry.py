"""The registry says everything once, and nothing that is not used: measures, settings, words, docs/kpis.md."""

import re
from pathlib import Path

import duckdb
import pytest
from hand_made import Warehouse

from retention_pipeline.kpis.declaration import Kpi, LookBack, proportion
from retention_pipeline.kpis.dictionary import dictionary
from retention_pipeline.kpis.registry import BY_ID, FAMILIES, KPIS, family_kpis, registry_fingerprint
from retention_pipeline.kpis.vocabulary import SETTINGS
from retention_pipeline.settings import Business

ROOT = Path(__file__).parents[3]


def expressions(kpi: Kpi) -> str:
    """Everything of a declaration that names columns of cells."""
    parts = [kpi.value, kpi.numerator, kpi.denominator, kpi.n, kpi.factor_numerator, kpi.factor_denominator]
    return " ".join(filter(None, [*parts, kpi.immature_when, kpi.sample]))


def test_every_measure_of_a_family_is_used_by_one_of_its_kpis() -> None:
    for family in FAMILIES:
        used = set(re.findall(r"\w+", " ".join(map(expressions, family_kpis(family)))))
        assert set(family.measures) <= used, family.name


def test_every_declaration_names_only_columns_of_its_cells() -> None:
    """The statement of all KPIs over empty period tables names a column that is not there, if one is not."""
    assert Warehouse().compute().rows == 0


def test_the_statement_fails_for_a_measure_that_is_not_there() -> None:
    warehouse = Warehouse()
    warehouse.connection.execute("alter table period_orders drop column repeat_customers")
    with pytest.raises(duckdb.BinderException, match="repeat_customers"):
        warehouse.compute()


def test_every_setting_that_a_kpi_names_exists_and_is_explained() -> None:
    named = {setting for kpi in KPIS for setting in kpi.settings}
    assert named <= set(Business.model_fields)
    assert set(SETTINGS) == set(Business.model_fields)


def test_every_look_back_is_used_and_every_horizon_is_in_the_name() -> None:
    assert {look_back for kpi in KPIS for look_back in kpi.look_back} == set(LookBack)
    assert all(kpi.id.endswith(f"_{kpi.horizon_days}d") for kpi in KPIS if kpi.horizon_days)


def test_docs_are_what_the_registry_says() -> None:
    text = (ROOT / "docs" / "kpis.md").read_text(encoding="utf-8")
    assert text == dictionary(), "run: python -m retention_pipeline.kpis.dictionary"


def test_docs_and_registry_name_the_same_kpis_in_both_directions() -> None:
    text = (ROOT / "docs" / "kpis.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == set(BY_ID)


def test_definitions_are_published_one_row_per_kpi_in_the_registrys_order() -> None:
    warehouse = Warehouse()
    warehouse.compute()
    rows = warehouse.connection.execute("select kpi, definition, valid_max, bases from kpi_definitions").fetchall()
    assert [row[0] for row in rows] == [kpi.id for kpi in KPIS]
    assert [row[1] for row in rows] == [kpi.definition for kpi in KPIS]
    churn = next(row for row in rows if row[0] == "customer_churn_rate")
    assert churn[2:] == (1.0, "subscription, order, any")


def test_a_declaration_that_contradicts_itself_is_refused() -> None:
    family = FAMILIES[0]
    with pytest.raises(ValueError, match="either value, or numerator and denominator"):
        Kpi("a", "A", "A.", family, unit="count", value="1", numerator="1")
    with pytest.raises(ValueError, match="declares n"):
        Kpi("a", "A", "A.", family, unit="ratio", numerator="1", denominator="1")
    with pytest.raises(ValueError, match="unit"):
        Kpi("a", "A", "A.", family, unit="euros", value="1")
    with pytest.raises(ValueError, match="within 0 and 1"):
        proportion("a", "A", "A.", family, "1", "1", valid_range=(0.0, None))


def test_words_do_not_change_the_fingerprint_but_versions_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from retention_pipeline.kpis import registry

    before = registry_fingerprint()
    monkeypatch.setattr(registry, "KPIS", (replace(KPIS[0], label="Other words"), *KPIS[1:]))
    assert registry_fingerprint() == before
    monkeypatch.setattr(registry, "KPIS", (replace(KPIS[0], version=2), *KPIS[1:]))
    assert registry_fingerprint() != before
