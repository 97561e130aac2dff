"""SIGINT and SIGTERM end a command in one line, whenever they come.

Python raises KeyboardInterrupt wherever it happens to be; where that is a callback (of the garbage collector, of a
weak reference) the exception is printed and forgotten. So the signal is noted too, and asked for between the parts of
a start; and one that was forgotten is sent again in silence, a moment later.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from retention_pipeline.warehouse import interrupt_queries


class Interrupted(Exception):
    """Somebody stopped the run (Ctrl-C, SIGTERM)."""

    exit_code = 130


SECONDS_BEFORE_SENT_AGAIN = 0.2
# What a signal raises: Python's handler and ours, and that of Dagster while it has a run in hand.
OF_SIGNALS = frozenset({"KeyboardInterrupt", "DagsterExecutionInterruptedError"})

_stopped = threading.Event()


def listen(in_place_of: Callable[[int, FrameType | None], None] | None = None) -> None:
    """Note the signals from here on; only in the main thread, which alone gets them. Until Dagster has a run in hand,
    which then listens itself. `in_place_of`: a handler that gives way.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _stopped.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, in_place_of):
            signal.signal(number, _note)
    sys.unraisablehook = _send_again


def _send_again(forgotten: Any) -> None:
    if forgotten.exc_type.__name__ not in OF_SIGNALS:
        sys.__unraisablehook__(forgotten)
        return
    again = threading.Timer(SECONDS_BEFORE_SENT_AGAIN, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def _note(number: int, frame: FrameType | None) -> None:
    _stopped.set()
    interrupt_queries()
    raise KeyboardInterrupt


@contextmanager
def interrupted_queries() -> Iterator[None]:
    """A step of a run, in which a signal ends the queries under way before its handler (Dagster's, where Dagster has
    the run in hand) does what it did; in the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def end_queries(number: int, frame: FrameType | None) -> None:
        interrupt_queries()
        handler = before[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, end_queries)
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)


def check_not_stopped() -> None:
    """Raise Interrupted where a signal has come."""
    if _stopped.is_set():
        raise Interrupted("Stopped; the published figures are as they were.")
