"""One writer at a time per home: an operating-system lock that dies with its holder.

Not only inside Dagster: `retention run` from cron, a backfill in the UI and a restore exclude each other.
"""

import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from retention_pipeline.settings import Home

# lock_holder() holds a shared lock for a moment; a run that begins in that moment tries again.
TRIES, PAUSE = 6, 0.05


class HomeIsBusy(Exception):
    """Another process writes to this home; str() names it."""


@dataclass
class _Held:
    descriptor: int
    count: int


# Locks of this process by path. The steps of a run each ask for the lock, whether the run around them holds it or not.
_held: dict[Path, _Held] = {}
_guard = threading.Lock()


def lock_file(home: Home) -> Path:
    """Where the lock of a home is; the file stays, the lock on it does not."""
    return home.warehouse / "writer.lock"


@contextmanager
def writer_lock(home: Home) -> Iterator[None]:
    """Hold the home's lock; a second time in this process counts and does not wait. Raises HomeIsBusy soon.

    The kernel frees the lock when the process ends, however it ends, so there is nothing to clean up after a crash.
    """
    path = lock_file(home).resolve()
    with _guard:
        if path in _held:
            _held[path].count += 1
        else:
            _held[path] = _Held(_acquire(path, home), 1)
    try:
        yield
    finally:
        with _guard:
            held = _held[path]
            held.count -= 1
            if held.count == 0:
                del _held[path]
                os.ftruncate(held.descriptor, 0)
                os.close(held.descriptor)


def lock_holder(home: Home) -> dict[str, str] | None:
    """Who holds the lock (pid, host, since, command), None if nobody does."""
    path = lock_file(home)
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)


def _acquire(path: Path, home: Home) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for attempt in range(TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt < TRIES - 1:
                time.sleep(PAUSE)
                continue
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise HomeIsBusy(
                f"another process writes to {home.root}: process {holder.get('pid', '?')} on {holder.get('host', '?')}"
                f" since {holder.get('since', '?')} ({holder.get('command', '?')})."
                " Wait for it to end; nothing was changed."
            ) from None
    holder = {
        "pid": str(os.getpid()),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def _command() -> str:
    """The command line; of one that names people only its verb."""
    words = [Path(sys.argv[0]).name, *(sys.argv[1:2] if "forget" in sys.argv[1:2] else sys.argv[1:])]
    return " ".join(words)[:200]


def _read_holder(descriptor: int) -> dict[str, str]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:  # the holder has the lock and has not written its name yet
        return {}
    return holder if isinstance(holder, dict) else {}
