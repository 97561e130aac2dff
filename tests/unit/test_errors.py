import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import duckdb
import pytest
from sqlalchemy.exc import OperationalError

from retention_pipeline.errors import behind, is_interruption, raise_interruption, told
from retention_pipeline.ingest.outcomes import outcome_of
from retention_pipeline.orchestration.instance import _is_of_storage
from retention_pipeline.run.stopping import interrupted_queries
from retention_pipeline.warehouse import connect

SOME = "select count(*) from range(1000000000) as numbers (n) where hash(n) % 7 = 1"  # takes seconds


class Signalled(BaseException):
    """What a handler of signals raises."""


@contextmanager
def terminated_after(seconds: float) -> Iterator[None]:
    """This process gets SIGTERM so many seconds from now."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.join()


@pytest.fixture
def handler() -> Iterator[None]:
    """Another handler of SIGTERM than the command's, as Dagster has one."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Signalled

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def interrupted(handler: None) -> Exception:
    """What a query ends in during which a signal comes."""
    with interrupted_queries(), connect() as connection, terminated_after(0.1), pytest.raises(Exception) as found:
        connection.execute(SOME)
    return found.value


def test_a_signal_during_a_query_is_no_fault_of_what_it_read(interrupted: Exception) -> None:
    assert is_interruption(interrupted)
    with pytest.raises(KeyboardInterrupt):
        raise_interruption(interrupted)
    with pytest.raises(KeyboardInterrupt):
        outcome_of(interrupted)


def test_any_other_error_is_none() -> None:
    for error in (RuntimeError("something else"), ValueError("Query interrupted"), duckdb.IOException("no disk")):
        raise_interruption(error)
    assert outcome_of(RuntimeError("something else"))[0] == "refused"


def test_a_chain_of_errors_that_leads_back_into_itself_ends() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__context__ = second, first
    assert list(behind(first)) == [first, second]
    assert list(behind(None)) == []
    assert not _is_of_storage(first)


ASYNC = (
    'IO Error: Async write failed for range [offset=96, size=40]: {"exception_type":"IO","exception_message":"Could not'
    ' write file \\"/home/archive/.new\\": No space left on device","errno":"28"}'
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
        (OSError(errno.EACCES, "Permission denied", "/home/report"), "/home/report: permission denied"),
        (duckdb.IOException(ASYNC), "/home/archive/.new: No space left on device"),
        (duckdb.BinderException("Binder Error: no column\n  LINE 1"), "Binder Error: no column LINE 1"),
        (
            OperationalError("select 1", {}, sqlite3.OperationalError("disk I/O error")),
            "(sqlite3.OperationalError) disk I/O error",
        ),
        (KeyError(), "KeyError"),
    ],
)
def test_an_error_that_ends_no_run_is_one_line_without_numbers_and_statements(error: Exception, said: str) -> None:
    assert told(error).lower() == said.lower()
