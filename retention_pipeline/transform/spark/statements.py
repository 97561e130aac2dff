"""The statements that make one table of a model's query. Pure functions of texts; nothing is run here.

Spark puts a query in the place of each of its names, plans each of them, and computes each. One that is named twice in
one that is named twice ... is planned for minutes. So a query in `with` that others name several times, and that reads
more than a table, becomes a table of its own beside the model's while that is made. DuckDB computes each once anyway.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from retention_pipeline.transform.ctes import BLANK, split_ctes

FEW_READS = 8  # a query that reads so many tables, each name replaced by what it stands for, is planned at once
GRAIN = "__grain__"


@dataclass(frozen=True)
class Model:
    """A model as dbt compiled it for Spark. reads: ids of the models that it reads."""

    unique_id: str
    name: str
    materialized: str
    flow_keys: tuple[str, ...]
    reads: tuple[str, ...]
    sql: str = field(repr=False)


@dataclass(frozen=True)
class Statements:
    """What makes a table, in order, and what is dropped afterwards, whatever happened."""

    making: list[str]
    dropping: list[str]


def statements_of(model: Model, schema: str, columns: Sequence[str], grains: Sequence[str]) -> Statements:
    """The statements for a model whose table has these columns, one grain after the other (macros/materializations.sql
    does the same on DuckDB). Sums that are all 0 are no rows.
    """
    target = f"{schema}.{model.name}"
    measures = [name for name in columns if name not in model.flow_keys]
    rows = " or ".join(f"{name} <> 0" for name in measures) if model.materialized == "contributions" else ""
    making: list[str] = []
    made: dict[str, str] = {}  # text of a query to the table that has its rows: grains share what names no grain
    for grain in grains if GRAIN in model.sql else ("",):
        tables, query = in_parts(model.sql.replace(GRAIN, grain), f"{target}__{grain}_", made)
        making += [f"create table {name} using parquet as\n{text}" for name, text in tables]
        listed = f"select {', '.join(columns)} from (\n{query}\n) as made" + (f" where {rows}" if rows else "")
        is_first = not grain or grain == grains[0]
        making.append((f"create table {target} using parquet as\n" if is_first else f"insert into {target}\n") + listed)
    return Statements(making, [f"drop table if exists {name}" for name in made.values()])


def in_parts(sql: str, prefix: str, made: dict[str, str]) -> tuple[list[tuple[str, str]], str]:
    """The tables (name, query) that are made first, and the query that is left. made: by query the tables that are
    there; gets the new ones.
    """
    found, last = split_ctes(sql, "spark")
    queries = [(name, text.strip()) for name, text in found]
    if _times_read(queries, last) <= FEW_READS:
        return [], sql
    texts = [*(text for _, text in queries), last]
    tables: list[tuple[str, str]] = []
    left: list[tuple[str, str]] = []
    for number, (name, text) in enumerate(queries):
        times = sum(len(_reading(name).findall(later)) for later in texts[number + 1 :])
        if times > 1 and _is_work(text):
            whole = _together(left, text)
            if whole not in made:
                made[whole] = prefix + name
                tables.append((prefix + name, whole))
            text = f"select * from {made[whole]}"
        left.append((name, text))
    return tables, _together(left, last.strip())


_READING = re.compile(r"\b(?:from|join)\s+([a-z_`][a-z0-9_.`]*)", re.IGNORECASE)


@lru_cache(maxsize=10_000)
def _reading(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:from|join)\s+{name}\b(?!\s*\.)", re.IGNORECASE)


def _times_read(queries: list[tuple[str, str]], last: str) -> int:
    """How many tables are read where each name is replaced by what it stands for, again and again."""
    reads: dict[str, int] = {}
    for name, text in [*queries, ("", last)]:
        reads[name] = sum(reads.get(read, 1) for read in _READING.findall(text))
    return reads[""]


_WORK = re.compile(
    r"\b(?:join|group\s+by|over|union|distinct|except|intersect)\b|\b(?:sum|min|max|count)\s*\(", re.IGNORECASE
)


def _is_work(text: str) -> bool:
    """Whether a query does more than to take columns and rows of a table."""
    return _WORK.search(text) is not None


def _together(queries: list[tuple[str, str]], last: str) -> str:
    """A query with those that it needs, directly or not."""
    needed: list[tuple[str, str]] = []
    for name, text in reversed(queries):
        if any(_reading(name).search(other) for other in [last, *(one for _, one in needed)]):
            needed.insert(0, (name, text))
    if not needed:
        return last
    if re.match(rf"{BLANK}with\b", last, re.IGNORECASE):
        last = f"select * from (\n{last}\n) as whole"
    return "with " + ",\n".join(f"{name} as (\n{text}\n)" for name, text in needed) + f"\n{last}"
