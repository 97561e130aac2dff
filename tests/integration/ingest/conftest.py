"""The company of the tests of ingestion that take several nights, a database or a store."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.delivering import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)
