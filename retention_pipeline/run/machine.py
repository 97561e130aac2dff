"""What the machine refuses (rights, space, a file that is gone), in one line: path, cause, the command that helps."""

from __future__ import annotations

import errno
import getpass
import re

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.transform.build import BuildError

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_RIGHTS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
OTHERS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.EMFILE, errno.ENAMETOOLONG})
# How DuckDB words the same: the path in quotes, then the cause.
_IN_DUCKDB = (
    (re.compile(r"No space left on device|not enough space|Disk quota exceeded", re.IGNORECASE), errno.ENOSPC),
    (re.compile(r"Read-only file system"), errno.EROFS),
    (re.compile(r"Permission denied|Operation not permitted"), errno.EACCES),
)
_PATH = re.compile(r"[\"'](/[^\"']+)[\"']")


class MachineError(Exception):
    """The machine refused something; str() is one line with path, cause and the command that helps."""


def machine_error(home: Home, error: BaseException) -> MachineError | None:
    """An error of the file system in words; None where the error is another one."""
    if isinstance(error, OSError):
        number = error.errno
        if number is None or number not in NO_SPACE | NO_RIGHTS | OTHERS:
            return None
        path = error.filename2 or error.filename
        if path is None and number not in NO_SPACE:
            return None
        shown = path.decode(errors="backslashreplace") if isinstance(path, bytes) else path
        return MachineError(_line(home, None if shown is None else str(shown), number, error.strerror or ""))
    if isinstance(error, duckdb.Error):
        text = str(error).split("\n")[0]
        for sign, number in _IN_DUCKDB:
            if found := sign.search(text):
                path = _PATH.search(text)
                return MachineError(_line(home, path[1] if path else None, number, found[0]))
    if isinstance(error, BuildError) and (found := _IN_DUCKDB[0][0].search(str(error))):
        return MachineError(_line(home, None, errno.ENOSPC, found[0]))
    return None


def _line(home: Home, path: str | None, number: int, cause: str) -> str:
    where = path if path is not None else str(home.root)
    if path is not None and not path.startswith("/"):
        where = f"{path} (in the current folder)"
    return f"{where}: {cause[:1].lower()}{cause[1:]}. {_helps(home, number)}"


def _helps(home: Home, number: int) -> str:
    if number in NO_SPACE:
        return f"What is published stays as it is. Free some space, then: retention run --home {home.root}"
    if number == errno.EROFS:
        return f"The file system is mounted read-only. Once it is writable: retention run --home {home.root}"
    if number in NO_RIGHTS:
        return f"User {user()} may not use it. To list all such places: retention doctor --home {home.root}"
    return f"To see what is wrong and what helps: retention doctor --home {home.root}"


def user() -> str:
    """The name of the user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return "of this process"
