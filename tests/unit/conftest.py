"""DuckDB works in one thread on the few rows of unit tests: a second one costs a tenth more, and the workers of pytest
are there for the other cores. What must not depend on threads is tested at size.
"""

from typing import Any

import duckdb
import pytest

connect: Any = duckdb.connect


def in_one_thread(*arguments: Any, config: dict[str, Any] | None = None, **others: Any) -> Any:
    return connect(*arguments, config={"threads": 1} | (config or {}), **others)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "connect", in_one_thread)
