"""The golden stories of tests/golden run through the product; what their READMEs work out by hand must come out.

A story is a home folder: settings.yaml, as_of, landing/ (or make_landing.py that writes it). expected.csv lists the
cells that the story is about, an empty field meaning null, a value like `8/9` meaning that fraction. Files in
expected_tables/ list rows that the table of that name must hold. The tests without a run keep the stories complete.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.computed_home import compute_home
from support.golden_stories import GOLDEN, STORIES, copy_story
from support.published_cells import run_home

from retention_pipeline.kpis.examples import EXAMPLES
from retention_pipeline.kpis.registry import BY_ID
from retention_pipeline.settings import Home

KEY = ("kpi", "grain", "period_start", "basis", "segment_dimension", "segment_value")
FIGURES = ("value", "numerator", "denominator", "n")
WITH_A_FACTOR = {"clv", "clv_subscription", "nps", "tickets_per_100_customers"}  # factors stay outside the numerator

STATES = ("retained", "new", "reactivated", "lost", "transient", "joined", "active", "moved_in", "moved_out")
MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
NULL_REASONS = {
    "left_truncated",
    "immature",
    "small_n",
    "zero_denominator",
    "not_reached",
}  # no gates yet
EXCLUSIONS = {"test", "cancelled", "pending", "unattributed", "negative", "zero_value", "fully_refunded"}


@dataclass(frozen=True)
class Cell:
    """One line of an expected.csv. `key` as KEY; `figures` value, numerator, denominator, n, None where null."""

    story: str
    key: tuple[str, ...]
    figures: tuple[float | None, ...]
    null_reason: str | None

    @property
    def kpi(self) -> str:
        return self.key[0]


def number(text: str) -> float | None:
    """`8/9`, `-0.3`, `` as float; exact until the last step, so a fraction may have decimals: `2105.6/9`."""
    if not text:
        return None
    above, _, below = text.partition("/")
    return float(Fraction(above) / Fraction(below or "1"))


def cells_of(story: str) -> list[Cell]:
    with (GOLDEN / story / "expected.csv").open() as file:
        return [
            Cell(
                story,
                tuple(line[name] for name in KEY),
                tuple(number(line[name]) for name in FIGURES),
                line["null_reason"] or None,
            )
            for line in csv.DictReader(file)
        ]


def lines_of_table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


ALL_CELLS = [cell for story in STORIES for cell in cells_of(story)]


# Every story in this process; the richest one also through the product as it stands.
WAYS = [*((story, "process") for story in STORIES), ("company", "product")]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: "-".join(way))
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(story, warehouse file) with the figures of the story's home."""
    story, way = request.param
    root = tmp_path_factory.mktemp(story) / "home"
    as_of = copy_story(story, root)
    if way == "product":
        run_home(root, as_of)
    else:
        compute_home(root, as_of)
    return story, Home(root).current


def test_each_story_gives_the_figures_of_its_readme(published: tuple[str, Path]) -> None:
    story, warehouse = published
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(
            f"select {', '.join(KEY)}, {', '.join(FIGURES)}, null_reason from retention_kpis"
        ).fetchall()
    found = {tuple(str(part) for part in row[:6]): row[6:] for row in rows}
    problems = []
    for cell in cells_of(story):
        actual = found.get(cell.key)
        expected = (*cell.figures, cell.null_reason)
        if actual is None:
            problems.append(f"{' '.join(cell.key)}: no such row")
        elif not same(actual, expected):
            problems.append(f"{' '.join(cell.key)}: {actual} where the README works out {expected}")
    assert not problems, f"{len(problems)} of {len(cells_of(story))} cells:\n" + "\n".join(problems)


def test_each_story_gives_the_rows_of_its_expected_tables(published: tuple[str, Path]) -> None:
    story, warehouse = published
    problems = []
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for path in sorted((GOLDEN / story / "expected_tables").glob("*.csv")):
            lines = lines_of_table(path)
            table = path.stem
            if "customer_id" in lines[0]:
                table = f"(select * from {table} inner join int_customers using (customer_key))"
            relation = connection.execute(f"select {', '.join(lines[0])} from {table}")
            actual = {tuple(plain(part) for part in row) for row in relation.fetchall()}
            problems += [
                f"{path.stem}: no row {line}"
                for line in lines
                if tuple(plain(part) for part in line.values()) not in actual
            ]
    assert not problems, "\n".join(problems)


def same(actual: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    """Nulls and reasons alike, numbers to 1e-9 relative."""
    return all(
        a == e if a is None or e is None or isinstance(e, str) else float(a) == pytest.approx(e, rel=1e-9, abs=1e-12)
        for a, e in zip(actual, expected, strict=True)
    )


def plain(part: object) -> str:
    """One spelling for a field of a csv file and of a table: numbers to 6 decimals, null as nothing."""
    text = "" if part is None else str(part).lower()
    try:
        return f"{number(text):.6f}" if text else ""
    except (ValueError, ZeroDivisionError):
        return text


# The stories are complete, and agree with the registry in both directions.


def test_every_kpi_of_the_registry_has_a_value_in_some_story() -> None:
    given = {cell.kpi for cell in ALL_CELLS if cell.figures[0] is not None}
    assert set(BY_ID) - given == set()


def test_every_kpi_of_the_stories_is_in_the_registry() -> None:
    assert {cell.kpi for cell in ALL_CELLS} - set(BY_ID) == set()


@pytest.mark.parametrize("story", STORIES)
def test_the_readme_of_a_story_works_out_each_of_its_kpis_and_no_other(story: str) -> None:
    named = set(re.findall(r"`([a-z0-9_]+)`", (GOLDEN / story / "README.md").read_text())) & set(BY_ID)
    listed = {cell.kpi for cell in cells_of(story)}
    assert named == listed


# The worked example of each KPI, as kpi_definitions has it, is a cell of a story.

SUM = re.compile(r"(?:([\d,.]+) / ([\d,.]+)[^=]* = )?(-?[\d,.]+)$")


def test_every_kpi_has_a_worked_example_and_each_example_a_kpi() -> None:
    assert EXAMPLES.keys() == BY_ID.keys()


@pytest.mark.parametrize("kpi", EXAMPLES)
def test_a_worked_example_is_what_some_story_gives(kpi: str) -> None:
    found = SUM.search(EXAMPLES[kpi])
    assert found, EXAMPLES[kpi]
    above, below, value = (float(text.replace(",", "")) if text else None for text in found.groups())
    assert value is not None
    rounded = 0.5 * 10.0 ** -len(found.group(3).partition(".")[2])

    def gives(cell: Cell) -> bool:
        exact, numerator, denominator, _ = cell.figures
        is_value = exact is not None and abs(exact - value) <= rounded + 1e-12
        return is_value and (numerator, denominator) == (above, below)

    assert any(cell.kpi == kpi and gives(cell) for cell in ALL_CELLS), EXAMPLES[kpi]


@pytest.mark.parametrize("story", STORIES)
def test_no_cell_of_a_story_is_listed_twice(story: str) -> None:
    keys = [cell.key for cell in cells_of(story)]
    assert len(keys) == len(set(keys))


def test_a_value_is_the_quotient_of_its_numerator_and_denominator() -> None:
    for cell in ALL_CELLS:
        value, numerator, denominator, _ = cell.figures
        if value is not None and numerator is not None and denominator and cell.kpi not in WITH_A_FACTOR:
            assert value == pytest.approx(numerator / denominator, rel=1e-12), cell


def test_a_null_value_has_a_reason_and_a_value_has_none() -> None:
    for cell in ALL_CELLS:
        assert (cell.figures[0] is None) == (cell.null_reason is not None), cell


def test_every_state_and_every_movement_occurs_in_some_story() -> None:
    occurring = {cell.kpi for cell in ALL_CELLS if cell.figures[0]}
    assert {f"customers_{state}" for state in STATES} - occurring == set()
    assert {f"mrr_{movement}" for movement in (*MOVEMENTS, "fx", "moved_in", "moved_out")} - occurring == set()
    assert {f"{kind}_churn_rate" for kind in ("voluntary", "involuntary", "unknown")} - occurring == set()
    listed = {line["movement"] for line in table_lines("mrr_movements")}
    assert listed == set(MOVEMENTS)


def test_every_null_reason_occurs_in_some_story() -> None:
    assert {cell.null_reason for cell in ALL_CELLS} - {None} == NULL_REASONS


def test_every_reason_for_excluding_an_order_occurs_in_some_story() -> None:
    assert {line["exclusion_reason"] for line in table_lines("order_exclusions")} == EXCLUSIONS


def test_every_grain_and_basis_and_the_unknown_segment_value_occur_in_some_story() -> None:
    assert {cell.key[1] for cell in ALL_CELLS} == {"week", "month", "quarter", "year"}
    assert {cell.key[3] for cell in ALL_CELLS} == {"subscription", "order", "any", "all"}
    assert "(unknown)" in {cell.key[5] for cell in ALL_CELLS}


def table_lines(table: str) -> list[dict[str, str]]:
    """The lines of expected_tables/<table>.csv of all stories."""
    paths = [GOLDEN / story / "expected_tables" / f"{table}.csv" for story in STORIES]
    return [line for path in paths if path.is_file() for line in lines_of_table(path)]
