"""Errors: what stands behind one, which of them is somebody's signal to stop, and which the machine's refusal."""

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

# What DuckDB makes of a signal that comes while it runs a query: the exception of the signal's handler is lost.
QUERY_INTERRUPTED = "Query interrupted"

# How DuckDB words what the file system refuses: the path in quotes, then the cause.
_IN_DUCKDB = (
    (re.compile(r"No space left on device|not enough space|Disk quota exceeded", re.IGNORECASE), errno.ENOSPC),
    (re.compile(r"Read-only file system"), errno.EROFS),
    (re.compile(r"Permission denied|Operation not permitted"), errno.EACCES),
)
_PATH = re.compile(r"[\"'](/[^\"'\\]+)\\?[\"']")


@dataclass(frozen=True)
class Refused:
    """What the file system refuses. path: of what, where it is known; number: as in errno; cause: in its words."""

    path: str | None
    number: int
    cause: str

    def __str__(self) -> str:
        cause = f"{self.cause[:1].lower()}{self.cause[1:]}"
        return cause if self.path is None else f"{self.path}: {cause}"


def refused(error: BaseException) -> Refused | None:
    """The refusal of the file system that an error of Python or DuckDB stands for; None where it is another one."""
    if isinstance(error, OSError) and error.errno is not None:
        path = error.filename2 or error.filename
        shown = path.decode(errors="backslashreplace") if isinstance(path, bytes) else path
        return Refused(None if shown is None else str(shown), error.errno, error.strerror or "")
    return refused_in(str(error).split("\n")[0]) if isinstance(error, duckdb.Error) else None


def refused_in(text: str) -> Refused | None:
    """The same of a text of DuckDB."""
    for sign, number in _IN_DUCKDB:
        if found := sign.search(text):
            named = _PATH.search(text)
            return Refused(named[1] if named else None, number, found[0])
    return None


def told(error: BaseException) -> str:
    """An error in one line, for what need not end a run; of a database without the statement it came of."""
    if (known := refused(error)) is not None and known.cause:
        return str(known)
    text = str(error)
    if type(error).__module__.startswith("sqlalchemy"):
        text = text.split("\n")[0]
    return " ".join(text.split()) or type(error).__name__


def behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it came of, each once: such chains can lead back into themselves."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def is_interruption(error: Exception) -> bool:
    """Whether an error stands for a signal (Ctrl-C, SIGTERM) and for nothing that went wrong."""
    return isinstance(error, RuntimeError) and str(error) == QUERY_INTERRUPTED


def raise_interruption(error: Exception) -> None:
    """Raise KeyboardInterrupt where an error stands for a signal. For handlers that go on after any error."""
    if is_interruption(error):
        raise KeyboardInterrupt from error
