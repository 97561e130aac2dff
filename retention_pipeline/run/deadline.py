"""A run ends at some time, whatever hangs: else it would hold the writer lock for ever, and later runs fail as busy."""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import timedelta
from types import TracebackType

from retention_pipeline.formatting import lasting

SECONDS_TO_END = 60.0  # from the interruption until the process is ended; a kill leaves the published figures


class Deadline:
    """Interrupts the main thread, as Ctrl-C does, when a run has taken longer than `limit`; if that does not end the
    process, its exit does.
    """

    def __init__(self, limit: timedelta, *, seconds_to_end: float = SECONDS_TO_END) -> None:
        self.limit, self.seconds_to_end = limit, seconds_to_end
        self.has_passed = False
        self._over = threading.Event()

    def __enter__(self) -> Deadline:
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()

    @property
    def message(self) -> str:
        """Why the run ended."""
        return (
            f"The run was ended after {lasting(self.limit)} (max_run_time); the published figures are as they were."
            " Its record in runs/ says in which step it was."
        )

    def _watch(self) -> None:
        if self._over.wait(min(self.limit.total_seconds(), threading.TIMEOUT_MAX)):
            return
        self.has_passed = True
        os.kill(os.getpid(), signal.SIGINT)
        if not self._over.wait(self.seconds_to_end):
            print(self.message, file=sys.stderr, flush=True)
            os._exit(1)
