"""A signal that Python would forget ends the command all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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

DURING_QUERIES = """
import os, signal, threading, time
from retention_pipeline.run.stopping import interrupted_queries
from retention_pipeline.warehouse import connect

class Signalled(BaseException): pass

def stop(number, frame): raise Signalled

signal.signal(signal.SIGTERM, stop)
closed = connect()
closed.close()
ended = 0
began = time.monotonic()
for _ in range(12):
    with interrupted_queries(), connect() as connection:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        try:
            connection.execute("select count(*) from range(20000000000) as numbers (n) where hash(n) % 7 = 1")
        except RuntimeError:
            ended += 1
        timer.join()
print(ended, time.monotonic() - began < 40)
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


def test_a_signal_ends_a_query_at_once_whichever_thread_is_at_it() -> None:
    """Also under a handler that is not the command's. Without `interrupted_queries` some of such queries, which take
    minutes, go on to their end: the only task is not the main thread's.
    """
    done = subprocess.run([sys.executable, "-c", DURING_QUERIES], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("12 True\n", "")


def test_every_connection_of_a_run_is_one_that_a_signal_ends() -> None:
    package = Path(__file__).parents[2] / "retention_pipeline"
    callers = {path.name for path in package.rglob("*.py") if "duckdb.connect(" in path.read_text(encoding="utf-8")}
    assert callers == {"warehouse.py", "delivery.py"}  # the latter makes the sample company's files
