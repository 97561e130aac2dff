"""Where the command begins: from here on a signal ends it in one line, also while the rest is being imported."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType

from retention_pipeline.cycles import look_for_cycles_less_often

INTERRUPTED = 130


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun, so nothing has to be left in order."""
    os.write(2, b"Stopped.\n")
    os._exit(INTERRUPTED)


def _write_every_character() -> None:
    """No locale may end an answer in an error: files and other programs get UTF-8, as every file here is written; a
    terminal of another encoding shows a ? for what it does not have.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="replace")
    else:
        sys.stdout.reconfigure(encoding="utf-8")


def main() -> None:
    """The command `retention`."""
    look_for_cycles_less_often()
    _write_every_character()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    from retention_pipeline.cli.app import main as command
    from retention_pipeline.run.stopping import listen

    listen(in_place_of=_end)
    command()
