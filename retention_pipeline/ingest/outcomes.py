"""What becomes of a load whose reading went wrong: one place that every reader goes through.

Whatever a delivered file does to its reader concerns this file alone. It is refused with the reason, and stays refused
until the bytes or the settings change; where the reason lies with the machine (a disk, memory) the load has failed, and
the next run tries again.
"""

from __future__ import annotations

import duckdb

from retention_pipeline.errors import raise_interruption
from retention_pipeline.ingest.archive import StillBeingWrittenError, UnusableFileError
from retention_pipeline.ingest.result import DatabaseBrokenError, LoadResult, LoadStatus
from retention_pipeline.ingest.schema import BROKEN, first_line
from retention_pipeline.ingest.staging import TooManyBadError

OF_MORE_THAN_THE_FILE = (
    StillBeingWrittenError,
    FileNotFoundError,
    DatabaseBrokenError,
    duckdb.InterruptException,
    *BROKEN,
)
OF_THE_MACHINE = (OSError, MemoryError, duckdb.OutOfMemoryException, duckdb.IOException)


def outcome_of(error: Exception) -> tuple[LoadStatus, str]:
    """(status, reason in words) of a load that ended in `error`; raises it again where nothing could go on, and
    KeyboardInterrupt where it is a signal.
    """
    raise_interruption(error)
    if isinstance(error, OF_MORE_THAN_THE_FILE):
        raise error
    if isinstance(error, UnusableFileError):
        return "refused", str(error)
    if isinstance(error, TooManyBadError):
        return "too_many_bad", str(error)
    if isinstance(error, OSError):
        return "failed", f"cannot be read: {error.strerror or error}"
    if isinstance(error, OF_THE_MACHINE):
        return "failed", f"cannot be read: {first_line(error) or type(error).__name__}"
    return "refused", f"the file cannot be read: {first_line(error) or type(error).__name__}"


def note_outcome(result: LoadResult, error: Exception) -> None:
    """Write into a load's result what its error makes of it."""
    result.status, result.error = outcome_of(error)
    if isinstance(error, TooManyBadError):
        result.good, result.bad = error.staged.good, error.staged.bad
