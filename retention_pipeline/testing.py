"""For tests alone: the environment variable RETENTION_TEST_STOP_AT=<point> makes a run kill itself at that point, and
<point>:<n> when it gets there for the n-th time.

SIGKILL leaves no chance to clean up, as a power cut or the out-of-memory killer would; tests then run again and
compare.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

VARIABLE = "RETENTION_TEST_STOP_AT"
# The points of each step in the order in which a run passes them; the last of a step is its end.
POINTS = {
    "ingest": ("staged", "committed", "ingest"),  # of each source: before and after its transaction; all are loaded
    "copy": ("begin", "copying", "copy"),  # orphans are swept; a part of the copy is written; all of it
    "dbt": ("node", "build"),  # a model or test is done; all are
    "KPIs": ("computed", "figures"),  # in the working file; and the run's record knows
    "audit": ("audited", "audit"),
    "history": ("history",),  # it is in the working file
    "rename": ("checkpoint", "rename", "link"),  # written out; beside the others, not current yet; current
    # A copy for other tools is half there; a file of the history is; all are.
    "exports": ("exporting", "archiving", "exports"),
}
_passed: Counter[str] = Counter()


def stop_for_test(point: str) -> None:
    """Die here if a test asked for it."""
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return
    name, _, number = asked.partition(":")
    if name == point:
        _passed[point] += 1
        if _passed[point] == int(number or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def stopping_listeners() -> list[Callable[[Any], None]]:
    """A listener to dbt's events that dies at a node if a test asked for it; none without a test."""

    def listen(event: Any) -> None:
        if event.info.name in {"LogModelResult", "LogSeedResult", "LogTestResult"}:
            stop_for_test("node")

    return [listen] if VARIABLE in os.environ else []
