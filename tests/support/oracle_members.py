"""The customers behind every KPI, held against its figures and against the oracle: what that says of a company with the
rows of one customer alone is that customer's part; with those of nobody, what no customer has.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from _pytest.mark import ParameterSet
from oracle.answers import Key, expected_kpis, read_company
from oracle.figures import Figure
from oracle.folders import read_folder
from oracle.identity import survivors

from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.registry import BY_ID, FAMILIES, KPIS, family_kpis
from retention_pipeline.read.members import ALL, NOBODY, Cell, columns_in, is_cell, parts_of, parts_query, with_ids
from retention_pipeline.settings import Home

Rows = dict[str, list[dict[str, Any]]]
Parts = dict[tuple[str, str], float]  # KPI and part (value, numerator, denominator)
SOME = "(value <> 0 or numerator <> 0 or denominator <> 0)"
LOOKED_AT = 4
# Not known of one customer alone, whose data may be shorter than six months; who is active, but has no event.
NOT_OF_ONE = {"clv_subscription", "engagement_index"}
JOINED_OR_PAID = ("customers_joined", "acquisition_cost")
# Companies that between them have every KPI of every basis, of everybody and of a segment value, as far as any has it.
EVERY_KPI = ("dogwood", "hazel", "kauri")


def companies_with_members(folders: list[Path]) -> list[ParameterSet]:
    """Of the companies those whose members are always compared; of the others `make proof` compares them."""
    return [
        pytest.param(folder, id=folder.name, marks=() if folder.name in EVERY_KPI else pytest.mark.long)
        for folder in folders
    ]


@dataclass
class Behind:
    """The figures of a family in one cell, and the parts of its members."""

    family: Family
    cell: Cell
    published: Parts
    members: dict[str, Parts]


def assert_members_of_every_kpi(root: Path, folder: Path) -> None:
    """Of a home made from a company: every KPI that counts or sums and has a figure other than 0, of each basis both of
    everybody and of a segment value, as far as there are such. Its members add up; and the parts of a few customers
    (between them behind all of these KPIs) and of nobody are what the oracle says.
    """
    rows, settings, as_of = read_folder(folder)
    chance = random.Random(folder.name)
    with duckdb.connect(str(Home(root).current), read_only=True, config={"threads": 1}) as connection:
        figures = [(family, _figures(connection, family)) for family in FAMILIES]
        found = [
            _behind(connection, family, cell) for family, of_family in figures for cell in _covering(of_family, chance)
        ]
    wanted = {kpi for _, of_family in figures for kpi in of_family}
    assert wanted and {kpi for one in found for kpi, _ in one.published} == wanted
    wrong = [line for one in found for line in _sums(one)]

    everybody, sharing = _customers(rows, settings, as_of), _sharing(rows, settings, as_of)
    chosen = _covering_customers(found, everybody, sharing)
    chosen |= {*chance.sample(everybody, 2), NOBODY}
    compared = set[str]()
    for customer in sorted(chosen):
        told = _oracles(rows, settings, as_of, customer)
        dimensions = {key.segment_dimension for key in told}
        for one in found:
            if one.family.name == "payments" and customer in sharing:
                continue
            if one.cell.segment_dimension not in dimensions:
                continue  # a dimension of which this customer alone has no value is left out
            kpis, lines = _as_the_oracle_says(one, told, customer)
            compared |= kpis
            wrong += lines
    assert not wrong, "\n".join(["", *wrong])
    payers = {name for one in found if one.family.name == "payments" for name in one.members}
    not_compared = NOT_OF_ONE | {kpi.id for kpi in KPIS if kpi.family.name == "payments" and payers <= sharing}
    assert wanted - compared <= not_compared


def kpis_with_members(family: Family) -> dict[str, dict[str, str]]:
    """The parts of the family's KPIs that count or sum."""
    return {kpi.id: parts for kpi in family_kpis(family) if (parts := parts_of(kpi))}


def _figures(connection: duckdb.DuckDBPyConnection, family: Family) -> dict[str, set[Cell]]:
    """KPI → its cells with a figure."""
    found: dict[str, set[Cell]] = {}
    for kpi, *cell in connection.execute(
        f"select kpi, grain, period_start, basis, segment_dimension, segment_value from retention_kpis "
        f"where {SOME} and kpi in (select unnest(?))",
        [sorted(kpis_with_members(family))],
    ).fetchall():
        found.setdefault(kpi, set()).add(Cell(*cell))
    return found


def _covering(figures: dict[str, set[Cell]], chance: random.Random) -> list[Cell]:
    """A few cells in which every KPI has a figure: of each basis, of everybody and of a segment value."""
    kinds = sorted({(cell.basis, cell.segment_dimension == ALL) for cells in figures.values() for cell in cells})
    chosen = []
    for basis, is_all in kinds:
        of_kind = {
            kpi: cells
            for kpi, every in figures.items()
            if (cells := {one for one in every if (one.basis, one.segment_dimension == ALL) == (basis, is_all)})
        }
        while of_kind:
            rarest = min(of_kind.values(), key=len)
            some = chance.sample(sorted(rarest, key=str), min(LOOKED_AT, len(rarest)))
            cell = max(some, key=lambda one: sum(one in cells for cells in of_kind.values()))
            chosen.append(cell)
            of_kind = {kpi: cells for kpi, cells in of_kind.items() if cell not in cells}
    return chosen


def _behind(connection: duckdb.DuckDBPyConnection, family: Family, cell: Cell) -> Behind:
    """One query for all KPIs of the family that have figures in the cell."""
    with_parts = kpis_with_members(family)
    published = {
        (kpi, part): figure[part]
        for kpi, *measures in connection.execute(
            f"select kpi, value, numerator, denominator from retention_kpis where {is_cell(cell)} and {SOME} order by 1"
        ).fetchall()
        if kpi in with_parts
        for figure in [dict(zip(("value", "numerator", "denominator"), measures, strict=True))]
        for part in with_parts[kpi]
    }
    named = {f"{kpi}__{part}": with_parts[kpi][part] for kpi, part in published}
    query = parts_query(connection, family_kpis(family)[0], named, cell)
    members = {
        customer: {key: float(part) for key, part in zip(published, parts, strict=True) if part}
        for _, customer, *parts in connection.execute(with_ids(query, named)).fetchall()
    }
    return Behind(family, cell, published, members)


def _sums(one: Behind) -> list[str]:
    wrong = []
    for (kpi, part), figure in one.published.items():
        added = sum(parts.get((kpi, part), 0.0) for parts in one.members.values())
        if figure is not None and abs(figure - added) > 1e-9 * max(1.0, abs(figure)):
            wrong.append(f"{kpi} {one.cell}: {part} is {figure}, members add up to {added}")
    return wrong


def _covering_customers(found: list[Behind], among: list[str], sharing: set[str]) -> set[str]:
    """A few customers who between them are behind every KPI that has any of them behind it."""
    kpis = {
        customer: {
            kpi
            for one in found
            if one.family.name != "payments" or customer not in sharing
            for kpi, _ in one.members.get(customer, ())
        }
        for customer in among
    }
    chosen, known = set[str](), set[str]()
    while more := max(((len(kpis[customer] - known), customer) for customer in among), default=(0, "")):
        if not more[0]:
            break
        chosen.add(more[1])
        known |= kpis[more[1]]
    return chosen


def _as_the_oracle_says(one: Behind, told: dict[Key, Figure], customer: str) -> tuple[set[str], list[str]]:
    """(KPIs of which a part other than 0 was compared, differences in words)."""
    compared, wrong = set(), []
    for kpi, part in one.published:
        key = Key(kpi, *vars(one.cell).values())
        columns = columns_in(parts_of(BY_ID[kpi])[part])
        if key not in told and columns & _trailing(one.family):
            continue  # months behind in which the customer was in this segment make no row of it
        begun = key._replace(segment_dimension=ALL, segment_value=ALL) in told
        if not begun and columns & {name for borrowed in one.family.borrowed for name in borrowed.measures}:
            continue  # who is counted by another family, too, but alone has no row before the first fact of this one
        expected = getattr(told.get(key, Figure(0.0, 0.0, 0.0)), part)
        if expected is None:
            continue  # not known of one alone
        given = one.members.get(customer, {}).get((kpi, part), 0.0)
        if given or expected:
            compared.add(kpi)
        if abs(given - expected) > 1e-6 * max(1.0, abs(expected)):
            wrong.append(f"{key}: {part} of {customer} is {given}, the oracle says {expected}")
    return compared, wrong


def _trailing(family: Family) -> set[str]:
    """The columns of a family's cells that are sums over months behind."""
    return {name for months in family.trailing for name in months.columns} | {f"{name}_6m" for name in JOINED_OR_PAID}


def _oracles(rows: Rows, settings: dict[str, Any], as_of: date, customer: str) -> dict[Key, Figure]:
    alone = _rows_of(rows, settings, as_of, customer)
    return {key: answer.figure for key, answer in expected_kpis(read_company(alone, settings, as_of)).items()}


def _survivors(rows: Rows, settings: dict[str, Any], as_of: date) -> Callable[[str | None], str]:
    """Under which id a customer is known; of none NOBODY."""
    zone = ZoneInfo(settings["business"]["timezone"])
    survivor = survivors(rows.get("customer_aliases", []), as_of, zone, zone)
    return lambda given: str(survivor(given)) if given else NOBODY


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
    of_invoice: dict[str, set[str]] = {}
    for row in rows.get("payments", []):
        invoice = row.get("invoice_id") or row["payment_id"]
        of_invoice.setdefault(invoice, set()).add(survivor(row.get("customer_id")))
    return set().union(*(payers for payers in of_invoice.values() if len(payers) > 1))


def _rows_of(rows: Rows, settings: dict[str, Any], as_of: date, customer: str) -> Rows:
    """All rows of one customer, or of nobody, to whom costs belong."""
    survivor = _survivors(rows, settings, as_of)
    kept: Rows = {}
    for dataset, found in rows.items():
        owner = "alias_id" if dataset == "customer_aliases" else "customer_id"
        kept[dataset] = [row for row in found if owner not in row or survivor(row[owner]) == customer]
    if customer != NOBODY:
        # Someone without a row has one that says nothing, so that its columns are there.
        kept["customers"] = kept.get("customers") or [
            dict.fromkeys(row, "") | {"customer_id": customer} for row in rows.get("customers", [])[:1]
        ]
        kept["acquisition_costs"] = [row | {"amount": "0"} for row in rows.get("acquisition_costs", [])]
    return {dataset: found for dataset, found in kept.items() if found or dataset in rows}
