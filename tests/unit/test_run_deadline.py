"""A run that hangs is ended, gently where that works."""

import subprocess
import sys
import time
from datetime import timedelta

from retention_pipeline.run.deadline import Deadline

HANGS = """
import sys, time
from datetime import timedelta
from retention_pipeline.run.deadline import Deadline
seconds_to_end = 30 if sys.argv[1] == "ends" else 0.3
with Deadline(timedelta(seconds=0.3), seconds_to_end=seconds_to_end) as deadline:
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            if sys.argv[1] == "ends":
                print("interrupted", deadline.has_passed)
                break
"""


def ended(how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HANGS, how], capture_output=True, text=True, timeout=60)


def test_a_run_that_takes_too_long_is_interrupted() -> None:
    done = ended("ends")
    assert (done.returncode, done.stdout.strip()) == (0, "interrupted True")


def test_a_run_that_does_not_hear_is_ended() -> None:
    done = ended("hangs")
    assert done.returncode == 1 and "max_run_time" in done.stderr


def test_a_run_that_ends_in_time_is_left_alone() -> None:
    with Deadline(timedelta(seconds=0.1)) as deadline:
        pass
    time.sleep(0.3)
    assert not deadline.has_passed
