"""What all tests that end a run in the middle share."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line at once, also while pytest captures: these tests take long."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell_now(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, flush=True)

    return tell_now
