"""One Spark for all tests here: it takes a while to start, and longer to get warm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.lake_home import spark_for_tests
from support.spark_home import REMOTE


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster on this machine, as REMOTE has it: of one that runs already, where it has one."""
    with spark_for_tests(tmp_path_factory.mktemp("spark")) as address, pytest.MonkeyPatch.context() as patched:
        patched.setenv(REMOTE, address)
        yield address
