"""SIGINT and SIGTERM end a command in one line, whenever they come.

Python raises KeyboardInterrupt wherever it happens to be; where that is a callback (of the garbage collector, of a
weak reference) the exception is printed and forgotten. So the signal is noted too, and asked for between the parts of
a start.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupted(Exception):
    """Somebody stopped the run (Ctrl-C, SIGTERM)."""

    exit_code = 130


_stopped = threading.Event()


def listen() -> None:
    """Note the signals from here on; only in the main thread, which alone gets them. Until Dagster has a run in hand,
    which then listens itself.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _stopped.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _note)


def _note(number: int, frame: FrameType | None) -> None:
    _stopped.set()
    raise KeyboardInterrupt


def check_not_stopped() -> None:
    """Raise Interrupted where a signal has come."""
    if _stopped.is_set():
        raise Interrupted("Stopped; the published figures are as they were.")
