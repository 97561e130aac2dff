"""A signal that Python would forget ends the command all the same."""

from __future__ import annotations

import subprocess
import sys

IN_A_CALLBACK = """
import os, signal, time, weakref
from retention_pipeline.run.stopping import listen

class Gone: pass

def callback(_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100_000): pass

listen()
gone = Gone()
reference = weakref.ref(gone, callback)
try:
    del gone
    time.sleep(20)
    print("slept")
except KeyboardInterrupt:
    print("stopped")
"""
NO_SIGNAL = """
from retention_pipeline.run.stopping import listen

class Gone:
    def __del__(self): raise ValueError("of something else")

listen()
Gone()
"""


def test_an_interrupt_that_comes_in_a_callback_is_sent_again_in_silence() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_CALLBACK], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("stopped\n", "")


def test_what_else_cannot_be_raised_is_told_as_ever() -> None:
    done = subprocess.run([sys.executable, "-c", NO_SIGNAL], capture_output=True, text=True, timeout=60)
    assert "ValueError: of something else" in done.stderr
