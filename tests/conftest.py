"""What every run of the tests says first (sizes and seed of the random ones, so that a failure can be had again), and
what holds for all tests.
"""

import pytest
from support.sizes import SEED, SIZES, size


@pytest.fixture(autouse=True)
def _open_lines_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests deliver files and load them at once, also those whose last line has no end."""
    from retention_pipeline.ingest import landing

    monkeypatch.setattr(landing, "OPEN_LINE_SECONDS", 0.0)


def pytest_report_header() -> str:
    sizes = ", ".join(f"{name}={size(name)}" for name in SIZES)
    return f"random tests: RETENTION_SEED={SEED}, {sizes}"
