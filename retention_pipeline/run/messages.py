"""What a run says: to the people who started it, and into its log `runs/<run_id>/run.log`.

Both listen to one logger; errors are in the log alone, since whoever started the run is told at its end.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retention_pipeline.formatting import visible

MESSAGES = logging.getLogger("retention_pipeline.run")
LOG_FILE = "run.log"


class ForPeople(logging.Handler):
    """Hands each message on as it is."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.say = say
        self.addFilter(lambda record: record.levelno < logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        # getMessage makes an ordinary text of a kind of text that who listens may know.
        self.say(record.msg if isinstance(record.msg, str) and not record.args else record.getMessage())


class ForFiles(logging.FileHandler):
    """One line per line of a message: UTC, level, text; what a terminal would act on is written out."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written stops no run."""

    def close(self) -> None:
        """What is still waiting for a disk that is full is let go."""
        with suppress(OSError):
            super().close()

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return "\n".join(
            f"{moment} {record.levelname:7} {visible(line)}" for line in record.getMessage().splitlines() or [""]
        )


@contextmanager
def heard(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """While a run goes on, its messages reach `say` and the log in its folder. What another log of it (dbt's) cannot be
    written for, as on a full disk, says nothing: the run's own error does.
    """
    handlers = (ForPeople(say), ForFiles(folder / LOG_FILE))
    level, propagate, tells = MESSAGES.level, MESSAGES.propagate, logging.raiseExceptions
    logging.raiseExceptions = False
    MESSAGES.setLevel(logging.INFO)
    MESSAGES.propagate = False
    for handler in handlers:
        MESSAGES.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            MESSAGES.removeHandler(handler)
            handler.close()
        logging.raiseExceptions = tells
        MESSAGES.setLevel(level)
        MESSAGES.propagate = propagate
