"""What must hold whatever the rows are, tried on random companies: an oracle that breaks its own sums is none."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import pytest

from oracle.answers import Key, expected_kpis, read_company
from oracle.companies import made_company

pytestmark = pytest.mark.proof
ADDITIVE = {
    "customers_start",
    "customers_end",
    "customers_new",
    "customers_lost",
    "customers_joined",
    "churn_events",
    "orders",
    "order_revenue",
    "refunds_by_refund_date",
    "mrr_end",
    "mrr_new",
    "mrr_churn",
    "mrr_fx",
    "renewals_due",
    "cancellations_requested",
}


@pytest.fixture(scope="module", params=range(12))
def answers(request: pytest.FixtureRequest) -> dict[Key, float]:
    """Values of a random company by key; NULLs are left out."""
    company = made_company(Random(request.param))
    found = expected_kpis(read_company(company.rows, company.settings, company.as_of))
    return {key: answer.figure.value for key, answer in found.items() if answer.figure.value is not None}


def rows(answers: dict[Key, float], marker: str) -> list[dict[str, float]]:
    """The figures of each (grain, period, basis, segment) that has this one."""
    found: dict[tuple[Any, ...], dict[str, float]] = defaultdict(dict)
    for key, value in answers.items():
        found[key[1:]][key.kpi] = value
    return [row for row in found.values() if marker in row]


def test_the_bridge_of_customers_closes(answers: dict[Key, float]) -> None:
    for row in rows(answers, "customers_start"):
        if "customers_end" in row:
            change = row["customers_new"] + row["customers_reactivated"] - row["customers_lost"]
            assert row["customers_start"] + change == row["customers_end"]
            assert row["customers_retained"] + row["customers_lost"] == row["customers_start"]


def test_the_bridge_of_mrr_closes_and_grr_is_at_most_nrr(answers: dict[Key, float]) -> None:
    for row in rows(answers, "mrr_start"):
        gained = row["mrr_new"] + row["mrr_reactivation"] + row["mrr_expansion"]
        lost = row["mrr_contraction"] + row["mrr_churn"]
        assert row["mrr_start"] + gained - lost + row["mrr_fx"] == pytest.approx(row["mrr_end"], abs=1e-5)
        if "gross_revenue_retention" in row:
            assert row["gross_revenue_retention"] <= min(1, row["net_revenue_retention"]) + 1e-12


def test_segments_of_a_dimension_add_up_to_all(answers: dict[Key, float]) -> None:
    sums: dict[tuple[Any, ...], float] = defaultdict(float)
    for key, value in answers.items():
        if key.kpi in ADDITIVE:
            sums[(*key[:4], key.segment_dimension)] += value
    for (*rest, dimension), value in sums.items():
        if dimension != "all":
            assert value == pytest.approx(sums[(*rest, "all")], abs=1e-4), (rest, dimension)


def test_nothing_moves_to_mrr_fx_without_a_foreign_currency() -> None:
    companies = (made_company(Random(seed)) for seed in range(5, 50))
    company = next(made for made in companies if made.rows.get("subscriptions"))
    company.rows.pop("fx_rates", None)
    for row in (*company.rows.get("orders", ()), *company.rows.get("subscriptions", ())):
        row["currency"] = "EUR"
    found = expected_kpis(read_company(company.rows, company.settings, company.as_of))
    moved = [answer.figure.value for key, answer in found.items() if key.kpi == "mrr_fx" and answer.figure.value]
    assert any(key.kpi == "mrr_fx" for key in found)
    assert not moved
