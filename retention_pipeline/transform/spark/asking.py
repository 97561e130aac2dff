"""A question in Spark's SQL to the published views of the lake: read-only, and its answer row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from retention_pipeline.settings import Home, Settings
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.session import SparkError, interrupted_after, is_of_spark, said, spark_session

# They call Java on the server, whatever quotes their names stand in.
_CALLS = re.compile(r"\b((?:try_)?(?:reflect|java_method))[`\"]?\s*\(", re.IGNORECASE)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_EXAMPLE = 'retention query --engine spark "select * from periods"'


class AskError(Exception):
    """The question cannot be answered; str() is one line for users."""


def as_query(sql: str) -> str:
    """A text as a part of a query, so that Spark takes nothing else for it: no statement that changes anything. Raises
    AskError.
    """
    text = sql.strip().rstrip(";").rstrip()
    words = _COMMENT.sub(" ", _TEXT.sub("''", text))
    if not words.strip():
        raise AskError(f"There is no statement in it; for example: {_EXAMPLE}")
    if found := _CALLS.search(words):
        raise AskError(f"{found[1]} is not answered: it runs programs on the server")
    return f"select * from (\n{text}\n) as asked"


@contextmanager
def asked(
    home: Home, settings: Settings, sql: str, *, generation: int | None, seconds: float | None = None
) -> Iterator[tuple[list[str], Callable[[int], list[tuple[Any, ...]]]]]:
    """(the columns of the answer, what gives so many further rows), within `seconds`; times are naive UTC.

    Names are those of the views that show the published `generation`. Raises AskError and SparkError.
    """
    assert settings.spark is not None
    query, lake = as_query(sql), Lake.of(home, settings.spark)
    with spark_session(settings) as session, interrupted_after(session, seconds) as has_passed:
        try:
            session.sql(f"use {_published_schema(session, lake, generation)}")
            answer = session.sql(query)
            names = list(answer.columns)
            rows = _without_zones(answer).toLocalIterator()

            def fetch(number: int) -> list[tuple[Any, ...]]:
                return [tuple(row) for row in islice(rows, number)]

            yield names, fetch
        except (AskError, SparkError):
            raise
        except Exception as error:
            if has_passed.is_set():
                raise AskError(f"The query took longer than {seconds:g} seconds (--timeout; 0: no limit)") from error
            if is_of_spark(error):
                raise AskError(f"Spark: {said(error)}") from error
            raise


def _published_schema(session: Any, lake: Lake, generation: int | None) -> str:
    """The schema of the views; where a catalog in memory has forgotten them, that of the generation itself, of which it
    is told.
    """
    if session.sql(f"show schemas like '{lake.name}'").collect():
        return lake.name
    if generation is None or not (lake.folder / lake.schema(generation)).is_dir():
        raise AskError(f"Spark knows no schema {lake.name}: nothing was published there (engine: spark)")
    lake.know(session, lake.schema(generation))
    return lake.schema(generation)


def _without_zones(answer: Any) -> Any:
    """Instants as they are in UTC; the client would turn them to the clock of this machine."""
    kinds = [field.dataType.typeName() for field in answer.schema.fields]
    if "timestamp" not in kinds:
        return answer
    numbered = answer.toDF(*[f"c{place}" for place in range(len(kinds))])
    return numbered.selectExpr(
        *[
            f"cast(c{place} as timestamp_ntz)" if kind == "timestamp" else f"c{place}"
            for place, kind in enumerate(kinds)
        ]
    )
