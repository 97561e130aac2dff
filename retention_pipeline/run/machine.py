"""What the machine refuses (rights, space, a file that is gone), in one line: path, cause, the command that helps."""

from __future__ import annotations

import errno
import getpass
from dataclasses import replace

from retention_pipeline.errors import Refused, refused, refused_in
from retention_pipeline.settings import Home
from retention_pipeline.transform.build import BuildError

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_RIGHTS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
OTHERS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.EMFILE, errno.ENAMETOOLONG})


class MachineError(Exception):
    """The machine refused something; str() is one line with path, cause and the command that helps."""


def machine_error(home: Home, error: BaseException) -> MachineError | None:
    """An error of the file system in words; None where the error is another one."""
    if isinstance(error, BuildError):
        known = refused_in(str(error))
        if known is None or known.number != errno.ENOSPC:
            return None
        return MachineError(_line(home, replace(known, path=None)))
    known = refused(error)
    if known is None or known.number not in NO_SPACE | NO_RIGHTS | OTHERS:
        return None
    if isinstance(error, OSError) and known.path is None and known.number not in NO_SPACE:
        return None
    return MachineError(_line(home, known))


def _line(home: Home, known: Refused) -> str:
    if known.path is None:
        known = replace(known, path=str(home.root))
    elif not known.path.startswith("/"):
        known = replace(known, path=f"{known.path} (in the current folder)")
    return f"{known}. {_helps(home, known.number)}"


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
