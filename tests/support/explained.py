"""Whether explanations of some figures add up: parts, steps of the change, effects of segments, variants."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb

from retention_pipeline.kpis.rules import text_literal
from retention_pipeline.read.explain import cell_of, explain, is_close
from retention_pipeline.read.members import is_cell
from retention_pipeline.read.published import rows_of
from retention_pipeline.read.variants import VARIANTS, difference_of_parts, variant_differences
from retention_pipeline.settings import Home


def assert_explanations_add_up(root: Path, *, figures: int, seed: int = 0) -> None:
    """Of a home with a generation: so many random figures, of different KPIs as far as there are, and all variants."""
    chance = random.Random(seed)
    with duckdb.connect(str(Home(root).current), read_only=True, config={"threads": 1}) as connection:
        kpis = [kpi for (kpi,) in connection.execute("select distinct kpi from retention_kpis order by 1").fetchall()]
        wrong = [
            line for kpi in chance.sample(kpis, min(figures, len(kpis))) for line in _of_kpi(connection, kpi, chance)
        ]
        wrong += _of_variants(connection, chance)
    assert not wrong, "\n".join(["", *wrong])


def assert_variants_add_up(root: Path, *, cells: int, seed: int = 0) -> None:
    """Of a home with a generation: the customers' differences between the forms of so many figures of each pair."""
    chance = random.Random(seed)
    with duckdb.connect(str(Home(root).current), read_only=True, config={"threads": 1}) as connection:
        wrong = [line for _ in range(cells) for line in _of_variants(connection, chance)]
    assert not wrong, "\n".join(["", *wrong])


def _of_kpi(connection: duckdb.DuckDBPyConnection, kpi: str, chance: random.Random) -> list[str]:
    rows = rows_of(
        connection,
        f"select * from retention_kpis where kpi = {text_literal(kpi)} and value is not null order by all",
    )
    if not rows:
        return []
    row = chance.choice(rows)
    explained = explain(
        connection,
        kpi,
        row["period_start"].isoformat(),
        grain=row["grain"],
        segment=f"{row['segment_dimension']}={row['segment_value']}",
        basis=row["basis"],
        everybody=True,
    )
    where = f"{kpi} {cell_of(row)}"
    wrong = [f"{where}: {note}" for note in explained.notes if "report this" in note]
    for part in explained.parts:
        listed = sum(member.parts[part.name] for member in explained.members or [])
        if listed != part.total or part.published is None or not is_close(part.published, part.total):
            wrong.append(
                f"{where}: {part.name} is {part.published}, of all customers {part.total}, of those listed {listed}"
            )
        for member in part.largest:
            if member.customer_id != "(unattributed)" and not member.facts:
                wrong.append(f"{where}: no fact says why {member.customer_id} is in the {part.name}")
    for change in explained.changes:
        for step in change.parts:
            if step.before + step.entered.amount + step.left.amount + step.changed.amount != step.now:
                wrong.append(f"{where}: the change of {step.name} does not add up: {step}")
        for effect in change.dimensions:
            told = effect.within + effect.mix + effect.factor + effect.rest
            by_value = sum(one.within + one.mix for one in effect.segments)
            if change.value_before is None:
                continue
            if effect.rest:
                wrong.append(f"{where}: {effect.rest} of the change is in no value of {effect.dimension}")
            if abs(told - (row["value"] - change.value_before)) > 1e-9 * max(1.0, abs(row["value"])):
                wrong.append(f"{where}: {effect.dimension} explains {told} of {row['value']} - {change.value_before}")
            if abs(by_value - effect.within - effect.mix) > 1e-9 * max(1.0, abs(row["value"])):
                wrong.append(f"{where}: the values of {effect.dimension} do not add up")
    return wrong


def _of_variants(connection: duckdb.DuckDBPyConnection, chance: random.Random) -> list[str]:
    wrong = []
    for pair in VARIANTS:
        rows = rows_of(
            connection,
            f"select * from retention_kpis where kpi = {text_literal(pair.a)} and value is not null order by all",
        )
        if not rows:
            continue
        cell = cell_of(chance.choice(rows))
        found = rows_of(connection, variant_differences(connection, pair, cell))
        published = {
            name: rows_of(
                connection, f"select * from retention_kpis where kpi = {text_literal(name)} and {is_cell(cell)}"
            )
            for name in (pair.a, pair.b)
        }
        for part in difference_of_parts(pair):
            told = sum(row["difference"] for row in found if row["part"] == part)
            a, b = (published[name][0][part] for name in (pair.a, pair.b))
            if a is not None and b is not None and abs(float(told) - (b - a)) > 1e-6:
                wrong.append(f"{pair.a}, {pair.b} {cell}: {part} differs by {b - a}, told is {told}")
    return wrong
