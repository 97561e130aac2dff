"""The table of one KPI that the command `retention kpis KPI` shows."""

from datetime import date

import pytest
from hand_made import MONTHS, Warehouse

from retention_pipeline.kpis import NoSuchRows, UnknownKpi, kpi_table


@pytest.fixture(scope="module")
def warehouse() -> Warehouse:
    """Six months of customers in two bases, in the whole and in two countries."""
    made = Warehouse()
    made.months(*MONTHS[:6], as_of=date(2024, 1, 1))
    for number, month in enumerate(MONTHS[:6]):
        for segment in ("all=all", "country=NL", "country=DE"):
            for basis in ("order", "any"):
                made.put("period_customers", month, segment, basis, customers_end=number)
    made.compute()
    return made


def test_the_last_months_come_oldest_first(warehouse: Warehouse) -> None:
    table = kpi_table(warehouse.connection, "customers_end", basis="any", last=3)
    assert [(row["period_start"], row["value"]) for row in table.rows] == list(zip(MONTHS[3:6], (3, 4, 5), strict=True))
    assert table.kpi.label == "Customers at the end"


def test_without_a_basis_every_basis_is_shown(warehouse: Warehouse) -> None:
    assert {row["basis"] for row in kpi_table(warehouse.connection, "customers_end").rows} == {"order", "any"}


def test_a_dimension_shows_all_its_values_and_a_value_only_itself(warehouse: Warehouse) -> None:
    every = kpi_table(warehouse.connection, "customers_end", segment="country", last=1)
    one = kpi_table(warehouse.connection, "customers_end", segment="country=NL", last=1)
    assert {row["segment_value"] for row in every.rows} == {"NL", "DE"}
    assert {row["segment_value"] for row in one.rows} == {"NL"}


def test_a_misspelt_kpi_is_met_with_the_right_one(warehouse: Warehouse) -> None:
    with pytest.raises(UnknownKpi, match="customer_churn_rate"):
        kpi_table(warehouse.connection, "customer_chrun_rate")


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        ({"grain": "week"}, "month"),
        ({"basis": "subscription"}, "any, order"),
        ({"segment": "city"}, "all, country"),
        ({"segment": "country=FR"}, "DE, NL"),
    ],
)
def test_a_choice_that_is_not_there_is_met_with_those_that_are(warehouse: Warehouse, choice: dict, there: str) -> None:
    with pytest.raises(NoSuchRows, match=there):
        kpi_table(warehouse.connection, "customers_end", **choice)
