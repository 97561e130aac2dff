"""For tests alone: the environment variable RETENTION_TEST_STOP_AT=<step> makes a run kill itself at that step.

SIGKILL leaves no chance to clean up, as a power cut or the out-of-memory killer would; tests then run again and
compare.
"""

import os
import signal

VARIABLE = "RETENTION_TEST_STOP_AT"
STEPS = ("ingest", "begin", "copy", "build", "figures", "audit", "checkpoint", "rename", "link", "exports")


def stop_for_test(step: str) -> None:
    """Die here if a test asked for it."""
    if os.environ.get(VARIABLE) == step:
        os.kill(os.getpid(), signal.SIGKILL)
