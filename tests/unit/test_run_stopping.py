"""A signal that Python would forget ends the command all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
WHILE_IT_IS_IMPORTED = """
import builtins, os, signal, sys
real = builtins.__import__

def importing(name, *rest, **named):
    if name == "typer":
        os.kill(os.getpid(), signal.{signal})
    return real(name, *rest, **named)

builtins.__import__ = importing
from retention_pipeline.cli.entry import main
main()
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


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_command_is_imported_ends_it_in_one_line(name: str) -> None:
    program = WHILE_IT_IS_IMPORTED.replace("{signal}", name)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_what_else_cannot_be_raised_is_told_as_ever() -> None:
    done = subprocess.run([sys.executable, "-c", NO_SIGNAL], capture_output=True, text=True, timeout=60)
    assert "ValueError: of something else" in done.stderr
