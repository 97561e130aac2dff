"""Where the command begins: from here on a signal ends it in one line, also while the rest is being imported."""

from __future__ import annotations

import os
import signal
from types import FrameType

from retention_pipeline.cycles import look_for_cycles_less_often

INTERRUPTED = 130


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun, so nothing has to be left in order."""
    os.write(2, b"Stopped.\n")
    os._exit(INTERRUPTED)


def main() -> None:
    """The command `retention`."""
    look_for_cycles_less_often()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    from retention_pipeline.cli.app import main as command
    from retention_pipeline.run.stopping import listen

    listen(in_place_of=_end)
    command()
