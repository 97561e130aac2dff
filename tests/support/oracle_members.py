"""The customers behind figures, held against the oracle: what it says of a company with the rows of one customer alone
is that customer's part.
"""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from oracle.answers import Key, expected_kpis, read_company
from oracle.figures import Figure
from oracle.folders import read_folder
from oracle.identity import survivors

from retention_pipeline.kpis.registry import KPIS
from retention_pipeline.read.members import COSTS, Cell, columns_in, kpi_query, parts_of, with_ids
from retention_pipeline.settings import Home

Rows = dict[str, list[dict[str, Any]]]


def assert_members_are_the_oracles(root: Path, folder: Path, *, customers: int, share: int = 1, seed: int = 0) -> None:
    """Of a home made from a company: the parts of some customers in one cell of every KPI that counts or sums, or of
    every `share`-th of them.
    """
    rows, settings, as_of = read_folder(folder)
    chance = random.Random(f"{folder.name} {seed}")
    chosen = chance.sample(_customers(rows, settings, as_of), customers)
    told = {customer: _figures(rows, settings, as_of, customer) for customer in chosen}
    sharing, compared, wrong = _sharing(rows, settings, as_of), 0, []
    with duckdb.connect(str(Home(root).current), read_only=True, config={"threads": 1}) as connection:
        published = {
            Key(*row) for row in connection.execute(f"select {', '.join(Key._fields)} from retention_kpis").fetchall()
        }
        for kpi in [one for one in KPIS if parts_of(one)][chance.randrange(share) :: share]:
            keys = sorted(
                {
                    key
                    for figures in told.values()
                    for key, figure in figures.items()
                    if key.kpi == kpi.id
                    and key in published
                    and (figure.numerator or figure.denominator or figure.value)
                }
            )
            if not keys:
                continue
            key = chance.choice(keys)
            query, names = kpi_query(connection, kpi, Cell(*key[1:]))
            found = {
                row[1]: dict(zip(names, row[2:], strict=True))
                for row in connection.execute(with_ids(query, names)).fetchall()
            }
            for customer, figures in told.items():
                if kpi.family.name == "payments" and customer in sharing:
                    continue
                if key.segment_dimension not in {one.segment_dimension for one in figures}:
                    continue  # a dimension of which this customer alone has no value is left out
                begun = key._replace(segment_dimension="all", segment_value="all") in figures
                if kpi.family.name == "engagement" and not begun:
                    continue  # who is active without an event counts, too, but alone has no row before the first event
                figure = figures.get(key, Figure(0.0, 0.0, 0.0))
                for name, text in parts_of(kpi).items():
                    expected = getattr(figure, name)
                    if expected is None or columns_in(text) & {*COSTS}:  # not known of one alone; costs are nobody's
                        continue
                    compared += 1
                    part = float(found.get(customer, {}).get(name) or 0)
                    if abs(part - expected) > 1e-6 * max(1.0, abs(expected)):
                        wrong.append(f"{key}: {name} of {customer} is {part}, the oracle says {expected}")
    assert compared > 10
    assert not wrong, "\n".join(["", *wrong])


def _figures(rows: Rows, settings: dict[str, Any], as_of: date, customer: str) -> dict[Key, Figure]:
    alone = _rows_of(rows, settings, as_of, customer)
    return {key: answer.figure for key, answer in expected_kpis(read_company(alone, settings, as_of)).items()}


def _survivors(rows: Rows, settings: dict[str, Any], as_of: date) -> Any:
    zone = ZoneInfo(settings["business"]["timezone"])
    return survivors(rows.get("customer_aliases", []), as_of, zone, zone)


def _customers(rows: Rows, settings: dict[str, Any], as_of: date) -> list[str]:
    """Those who have done something, by the ids under which they are known."""
    survivor = _survivors(rows, settings, as_of)
    busy = {
        survivor(row["customer_id"])
        for dataset in ("orders", "subscriptions", "events", "payments")
        for row in rows.get(dataset, [])
        if row.get("customer_id")
    }
    return sorted(busy)


def _sharing(rows: Rows, settings: dict[str, Any], as_of: date) -> set[str]:
    """Customers who share an invoice with another: alone, each of them would have it."""
    survivor = _survivors(rows, settings, as_of)
    owners = {row["subscription_id"]: row["customer_id"] for row in rows.get("subscriptions", [])}
    of_invoice: dict[str, set[str]] = {}
    for row in rows.get("payments", []):
        payers = {
            survivor(owner) for owner in (row.get("customer_id"), owners.get(row.get("subscription_id"))) if owner
        }
        of_invoice.setdefault(row.get("invoice_id") or row["payment_id"], set()).update(payers)
    return set().union(*(payers for payers in of_invoice.values() if len(payers) > 1))


def _rows_of(rows: Rows, settings: dict[str, Any], as_of: date, customer: str) -> Rows:
    """All rows of one customer and of nobody in particular (rates, costs)."""
    survivor = _survivors(rows, settings, as_of)
    kept: Rows = {}
    for dataset, found in rows.items():
        owner = "alias_id" if dataset == "customer_aliases" else "customer_id"
        kept[dataset] = [row for row in found if owner not in row or survivor(row[owner]) == customer]
    subscriptions = {row["subscription_id"] for row in kept.get("subscriptions", [])}
    kept["payments"] = [
        row
        for row in rows.get("payments", [])
        if (
            survivor(row["customer_id"]) == customer
            if row.get("customer_id")
            else row.get("subscription_id") in subscriptions
        )
    ]
    return {dataset: found for dataset, found in kept.items() if found or dataset in rows}
