"""The registry says everything once, and nothing that is not used: measures, settings, words, docs/kpis.md."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.hand_made import Warehouse

from retention_pipeline.kpis.declaration import Kpi, proportion, settings_named
from retention_pipeline.kpis.dictionary import dictionary
from retention_pipeline.kpis.inputs import Borrowed
from retention_pipeline.kpis.registry import BY_ID, FAMILIES, KPIS, family_kpis, headline_places, registry_fingerprint
from retention_pipeline.kpis.vocabulary import SETTINGS
from retention_pipeline.settings import Business

ROOT = Path(__file__).parents[3]


def test_every_measure_of_a_family_is_used_by_one_of_its_kpis() -> None:
    for family in FAMILIES:
        used = {name for kpi in family_kpis(family) for text in kpi.expressions for name in re.findall(r"\w+", text)}
        assert set(family.measure_names) <= used, family.name
        assert {name for borrowed in family.borrowed for name in borrowed.measures} <= used, family.name


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
    in_expressions = {name for kpi in KPIS for name in settings_named(kpi.expressions)}
    assert named | in_expressions <= set(Business.model_fields)
    assert all(settings_named(kpi.expressions) <= set(kpi.settings) for kpi in KPIS)
    assert set(SETTINGS) == set(Business.model_fields)


def test_look_backs_of_one_name_are_the_same_and_every_horizon_of_a_repurchase_is_in_its_name() -> None:
    used = {look_back for kpi in KPIS for look_back in kpi.look_back}
    assert len({look_back.name for look_back in used}) == len(used)
    assert all(kpi.id.endswith(f"_{kpi.horizon_days}d") for kpi in KPIS if "repurchase_within" in kpi.id)


def test_each_section_of_the_headline_stands_once_and_every_family_with_data_of_its_own_has_one() -> None:
    """Two KPIs of one place once put Payments into the middle of Engagement."""
    placed = [kpi for kpi, _ in headline_places()]
    sections = [kpi.headline.section for kpi in placed if kpi.headline]
    begun = [section for section, before in zip(sections, ["", *sections], strict=False) if section != before]
    assert begun == list(dict.fromkeys(sections))
    assert {kpi.family.name for kpi in placed} >= {family.name for family in FAMILIES if family.bases == ("all",)}


def test_figures_are_borrowed_of_families_that_borrow_none() -> None:
    assert not [
        figure.kpi
        for family in FAMILIES
        for figure in family.borrowed_figures
        if BY_ID[figure.kpi].family.borrowed_figures
    ]


def test_docs_are_what_the_registry_says() -> None:
    text = (ROOT / "docs" / "kpis.md").read_text(encoding="utf-8")
    assert text == dictionary(), "run: python -m retention_pipeline.kpis.dictionary"


def test_docs_and_registry_name_the_same_kpis_in_both_directions() -> None:
    text = (ROOT / "docs" / "kpis.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == set(BY_ID)


def test_definitions_are_published_one_row_per_kpi_in_the_registrys_order() -> None:
    warehouse = Warehouse()
    warehouse.compute()
    columns = "kpi, definition, valid_max, bases, better, format, headline_order, is_proportion, interval_kind"
    rows = warehouse.connection.execute(f"select {columns} from kpi_definitions").fetchall()
    assert [row[0] for row in rows] == [kpi.id for kpi in KPIS]
    assert [row[1] for row in rows] == [kpi.definition for kpi in KPIS]
    churn = next(row for row in rows if row[0] == "customer_churn_rate")
    assert churn[2:] == (1.0, "subscription, order, any", "lower", "percent", 30, True, "wilson")


def test_a_declaration_that_contradicts_itself_is_refused() -> None:
    family = FAMILIES[0]

    def declared(**fields: Any) -> Kpi:
        return Kpi("a", "A", "A.", family, **({"unit": "count", "better": "higher"} | fields))

    with pytest.raises(ValueError, match="either value, or numerator and denominator"):
        declared(value="1", numerator="1")
    with pytest.raises(ValueError, match="declares n"):
        declared(numerator="1", denominator="1")
    with pytest.raises(ValueError, match="unit"):
        declared(unit="euros", value="1")
    with pytest.raises(ValueError, match="better"):
        declared(better="more", value="1")
    with pytest.raises(ValueError, match="format"):
        declared(format="euros", value="1")
    with pytest.raises(ValueError, match="interval"):
        declared(interval="students", value="1")
    with pytest.raises(ValueError, match="sum_of_squares"):
        declared(interval="nps", numerator="1", denominator="1", n="1", valid_range=(-100.0, 100.0))
    with pytest.raises(ValueError, match="over n units"):
        declared(can_be_unreached=True, value="1")
    with pytest.raises(ValueError, match="grains, and bases"):
        declared(grains=("day",), value="1")
    with pytest.raises(ValueError, match="within 0 and 1"):
        proportion("a", "A", "A.", family, "1", "1", better="higher", valid_range=(0.0, None))


def test_a_family_borrows_only_what_there_is_and_names_each_column_once() -> None:
    family = FAMILIES[0]
    with pytest.raises(ValueError, match="customers has no orders"):
        Borrowed(family, "any", ("orders",))
    with pytest.raises(ValueError, match="customers has no basis all"):
        Borrowed(family, "all", ("customers_end",))
    with pytest.raises(ValueError, match="customers_end stands twice"):
        replace(family, borrowed=(Borrowed(family, "any", ("customers_end",)),))


def test_words_do_not_change_the_fingerprint_but_versions_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from retention_pipeline.kpis import registry

    before = registry_fingerprint()
    monkeypatch.setattr(registry, "KPIS", (replace(KPIS[0], label="Other words"), *KPIS[1:]))
    assert registry_fingerprint() == before
    monkeypatch.setattr(registry, "KPIS", (replace(KPIS[0], version=2), *KPIS[1:]))
    assert registry_fingerprint() != before
