"""Where the command begins: from here on a signal ends it in one line, also while the rest is being imported."""

from __future__ import annotations

import gc
import os
import signal
from types import FrameType

INTERRUPTED = 130
# New objects between two looks for cycles (Python: 700, 10, 10). dbt and Dagster make millions that live to the end of
# a run; looking through them again and again takes up to a tenth of its time.
OBJECTS_BETWEEN_COLLECTIONS = (100_000, 20, 100)


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun, so nothing has to be left in order."""
    os.write(2, b"Stopped.\n")
    os._exit(INTERRUPTED)


def main() -> None:
    """The command `retention`."""
    gc.set_threshold(*OBJECTS_BETWEEN_COLLECTIONS)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    from retention_pipeline.cli.app import main as command
    from retention_pipeline.run.stopping import listen

    listen(in_place_of=_end)
    command()
