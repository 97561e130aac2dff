"""Objects in a cloud's store as files: `s3://`, `gs://` and `az://` through fsspec, imported when it is needed.

Listing tells size, time and the store's own mark of the content (etag) of each object, so one that did not change is
not fetched again. What is fetched becomes a file, and from there on everything is as with files. Credentials come from
the environment, in the words of each store's own tools, and stand in no message.
"""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from retention_pipeline.settings import CLOUDS, FileSource

CONNECT_SECONDS, SILENT_SECONDS = 15, 60
SECRET_NAMES = re.compile(
    r"SECRET|PASSWORD|TOKEN|ACCESS_KEY|ACCOUNT_KEY|STORAGE_KEY|CONNECTION_STRING|SAS", re.IGNORECASE
)
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": SILENT_SECONDS,
            "retries": {"max_attempts": 3},
        }
    },
    "gs": {"requests_timeout": SILENT_SECONDS},
    "az": {"connection_timeout": CONNECT_SECONDS, "read_timeout": SILENT_SECONDS},
}
Answer = TypeVar("Answer")


class CloudError(Exception):
    """The store does not give what is asked for; the text says why, without secrets."""


class ChangedMeanwhileError(CloudError):
    """The object is not the one that was listed."""


@dataclass(frozen=True)
class Stored:
    """An object as it was listed; `stamp` changes whenever the object does."""

    store: Store
    name: str
    size: int
    stamp: str
    changed_at: float

    def fetch(self, folder: Path) -> Path:
        """The object as a file in `folder`, whose name ends as the object's does."""
        return self.store.fetch(self, folder)


class Store:
    """The stores of one source; what is asked of them takes no longer than its `max_read_time` in all."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self.until = time.monotonic() + source.max_read_time.total_seconds()
        self.systems: dict[str, Any] = {}

    def listed(self, pattern: str) -> list[Stored]:
        """The objects that a pattern names; raises CloudError."""
        scheme = pattern.partition("://")[0]
        found = self._ask(lambda: self._system(scheme).glob(pattern, detail=True))
        return [
            Stored(self, f"{scheme}://{key.removeprefix(f'{scheme}://')}", *_state(about))
            for key, about in found.items()
            if about.get("type") == "file"
        ]

    def fetch(self, stored: Stored, folder: Path) -> Path:
        system = self._system(stored.name.partition("://")[0])
        folder.mkdir(parents=True, exist_ok=True)
        here = folder / re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(stored.name).name)[-100:]

        def get() -> str:
            system.get_file(stored.name, str(here))
            system.invalidate_cache()
            return _state(system.info(stored.name))[1]

        # without the time, which some stores tell more exactly in a list
        if self._ask(get).rpartition(":")[0] != stored.stamp.rpartition(":")[0]:
            here.unlink(missing_ok=True)
            raise ChangedMeanwhileError(stored.name)
        return here

    def _system(self, scheme: str) -> Any:
        if scheme not in self.systems:
            import fsspec

            try:
                self.systems[scheme] = fsspec.filesystem(
                    scheme, skip_instance_cache=True, use_listings_cache=False, **_OPTIONS[scheme]
                )
            except ImportError:
                package = CLOUDS[scheme]
                raise CloudError(
                    f"{scheme}:// needs the Python package {package}: pip install 'retention-pipeline[cloud]'"
                ) from None
        return self.systems[scheme]

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, unless the time is over: a thread may wait for it longer than anybody else."""
        answers: queue.Queue[tuple[Answer | None, Exception | None]] = queue.Queue()

        def ask() -> None:
            try:
                answers.put((question(), None))
            except Exception as error:
                answers.put((None, error))

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer, error = answers.get(timeout=max(0.0, self.until - time.monotonic()))
        except queue.Empty:
            minutes = self.source.max_read_time.total_seconds() / 60
            raise CloudError(f"not everything had come after {minutes:g} minutes (max_read_time)") from None
        if error is not None:
            raise error if isinstance(error, CloudError) else CloudError(_said(error)) from None
        return answer  # type: ignore[return-value]


def is_in_cloud(path: str) -> bool:
    """Whether a path names objects in a store."""
    return path.partition("://")[0] in CLOUDS and "://" in path


def _state(about: dict[str, Any]) -> tuple[int, str, float]:
    """(size, stamp, time of the last change) of an object, as its store tells it."""
    etag = next((about[name] for name in ("ETag", "etag", "generation", "md5Hash") if about.get(name)), "")
    changed = next(
        (about[name] for name in ("LastModified", "last_modified", "updated", "mtime") if about.get(name)), 0
    )
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    moment = changed.timestamp() if isinstance(changed, datetime) else float(changed)
    mark = str(etag).strip('"')  # some stores put it into quotes in one answer and not in another
    return int(about.get("size") or 0), f"{about.get('size')}:{mark}:{moment:.6f}", moment


def _said(error: Exception) -> str:
    """An error in one line, without what only the environment should know and without signed addresses."""
    lines = str(error).strip().splitlines()
    text = re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']*", r"\1", lines[0]) if lines else type(error).__name__
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and len(value) >= 4:
            text = text.replace(value, "…")
    return text
