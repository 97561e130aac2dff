"""Fewer grains than four: what is left is the same rows, and nothing of the others is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from support.computed_home import compute_home

GOLDEN = Path(__file__).parent.parent / "golden"
STORIES = ("company", "activity")
Rows = dict[str, list[tuple[Any, ...]]]


def rows_by_grain(file: Path, kept: Callable[[str], bool]) -> Rows:
    """Of every published table with grains, the rows of those that are kept."""
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute(
            """
            select table_name from duckdb_columns() inner join duckdb_tables() using (database_name, table_name)
            where column_name = 'grain' and table_name not like 'int\\_%' escape '\\' order by 1
            """
        ).fetchall()
        found: Rows = {}
        for (table,) in tables:
            grains = [grain for (grain,) in connection.execute(f"select distinct grain from {table}").fetchall()]
            listed = ", ".join(f"'{grain}'" for grain in grains if kept(grain)) or "''"
            found[table] = connection.execute(
                f"select * from {table} where grain in ({listed}) order by all"
            ).fetchall()
        return found


@pytest.mark.parametrize(
    ("story", "grains"),
    [*((story, ["month"]) for story in STORIES), ("company", ["month", "week"])],
)
def test_the_figures_of_fewer_grains_are_the_same(
    story: str, grains: list[str], whole: dict[str, Path], tmp_path: Path
) -> None:
    file = computed(story, tmp_path, grains=grains)
    assert rows_by_grain(file, lambda grain: True) == rows_by_grain(whole[story], lambda grain: grain in grains)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {story: computed(story, tmp_path_factory.mktemp(story)) for story in STORIES}


def computed(story: str, folder: Path, **further: Any) -> Path:
    root = folder / "home"
    shutil.copytree(GOLDEN / story, root)
    settings = yaml.safe_load((root / "settings.yaml").read_text())
    (root / "settings.yaml").write_text(yaml.safe_dump(settings | further))
    return compute_home(root, date.fromisoformat((root / "as_of").read_text().strip()))
