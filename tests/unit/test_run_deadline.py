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


def test_the_message_says_the_limit_in_a_unit_that_fits() -> None:
    said = [Deadline(limit).message.split(" (")[0] for limit in (timedelta(seconds=6), timedelta(minutes=5))]
    assert said == ["The run was ended after 6 s", "The run was ended after 5 min"]
    assert "after 24 h (max_run_time)" in Deadline(timedelta(hours=24)).message


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
