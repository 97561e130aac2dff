"""The session with a Spark Connect server: how it is opened, what it is told, and how it says no, in one line."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from retention_pipeline.settings import Settings, SettingsError, Spark

SESSION_FILE = "spark_session"  # in the warehouse: whose id that is, while a load or a build is under way
PACKAGES = ("pyspark", "grpc", "dbt.adapters.spark")
EXTRA = "pip install 'retention-pipeline[spark]'"
DEFAULT_PORT = 15002
SECONDS_TO_ANSWER = 5.0
TRIES_OF_A_CALL = 4  # of a server that answered before: some ten seconds
LONGEST_MESSAGE = 400
# The days and texts of both engines are the same only in UTC, and numbers only where one that overflows is an error.
ALWAYS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
MIB = 1024 * 1024
# By bytes of raw, as Parquet. Large plans of small tables would be made again after each of their stages, written out
# for pages that nobody opens, and run in parts that have nothing to do. Where rows are few, making code for them,
# looking for what their filters imply, and reading a file in two tasks take longer than they save.
OF_SMALL_HOMES = (
    (
        256 * MIB,
        {
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.maxPlanStringLength": "1000",
        },
    ),
    (
        MIB,
        {
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.leafNodeDefaultParallelism": "1",
            "spark.sql.files.minPartitionNum": "1",
            "spark.sql.files.openCostInBytes": "0",
            "spark.sql.constraintPropagation.enabled": "false",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        },
    ),
)


class SparkError(Exception):
    """Spark cannot be used, or could not do what it was asked for; str() is one line for users."""


def address(settings: Settings) -> str:
    """The address of a server that answers. Raises SparkError."""
    missing = [name for name in PACKAGES if not _is_installed(name)]
    if missing:
        raise SparkError(f"engine: spark needs packages that are not installed: {EXTRA}")
    assert isinstance(settings.spark, Spark)
    try:
        remote = settings.spark.remote.read()
    except SettingsError as error:
        raise SparkError(f"spark.remote: {error}") from None
    parts = urlsplit(remote)
    try:
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host = None
    if parts.scheme != "sc" or not host:
        raise SparkError(
            "spark.remote: the address of a Spark Connect server is expected, such as sc://localhost:15002"
        )
    try:
        socket.create_connection((host, port), SECONDS_TO_ANSWER).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise SparkError(f"spark.remote: no Spark Connect server answers at {host}:{port} ({why})") from error
    return remote


def settings_for(bytes_of_raw: int) -> dict[str, str]:
    """What a session is told where raw is as large as this."""
    return {name: value for limit, told in OF_SMALL_HOMES if bytes_of_raw < limit for name, value in told.items()}


@contextmanager
def spark_session(settings: Settings, *, note: Path | None = None) -> Iterator[Any]:
    """A session of its own, a pyspark.sql.SparkSession. Raises SparkError where there is none to be had.

    Its `sql` carries a statement out at once; only what a query answers is collected.

    `note`: a file that has the session's id until it is over. The id that a killed run left there is that of a session
    whose statements go on without it, and would write into what the next run makes: they are ended first.
    """
    remote = address(settings)
    if note is not None and note.exists():
        _end_session(remote, note.read_text().strip())
    try:
        session = import_module("pyspark.sql").SparkSession.builder.remote(remote).create()
        with suppress(AttributeError, ImportError):  # else a server that is gone is waited for, for ten minutes
            policy = import_module("pyspark.sql.connect.client.retries").DefaultPolicy
            session.client.set_retry_policies([policy(max_retries=TRIES_OF_A_CALL)])
        for name, value in ALWAYS.items():
            session.conf.set(name, value)
        if note is not None:
            note.write_text(session.session_id)
    except Exception as error:  # its text, and that of its cause, may repeat the address
        raise SparkError(f"spark.remote: {_without_parameters(said(error), remote)}") from None
    try:
        yield session
    finally:
        with suppress(Exception):  # it may be gone
            session.stop()
        if note is not None:
            note.unlink(missing_ok=True)


def _end_session(remote: str, session_id: str) -> None:
    """End a session with all that it is at, if the server knows it still."""
    with suppress(Exception):
        UUID(session_id)
        joined = remote if "/;" in remote else f"{remote.rstrip('/;')}/"
        left = import_module("pyspark.sql").SparkSession.builder.remote(f"{joined};session_id={session_id}").create()
        left.interruptAll()
        left.stop()


def _without_parameters(text: str, remote: str) -> str:
    """A text without the values of the address's parameters, of which one may be a token."""
    for parameter in remote.split(";")[1:]:
        value = parameter.partition("=")[2]
        if len(value) > len("false"):  # use_ssl
            text = text.replace(value, "…")
    return text


@contextmanager
def interrupted_after(session: Any, seconds: float | None) -> Iterator[threading.Event]:
    """Ends all that a session is at when its time is over, which the event then says. None or 0: never."""
    has_passed = threading.Event()

    def stop() -> None:
        has_passed.set()
        with suppress(Exception):
            session.interruptAll()

    timer = threading.Timer(min(seconds or threading.TIMEOUT_MAX, threading.TIMEOUT_MAX), stop)
    timer.daemon = True
    timer.start()
    try:
        yield has_passed
    finally:
        timer.cancel()


def is_of_spark(error: BaseException) -> bool:
    """Whether an error is the server's, or of the way to it; `said` has its words."""
    return type(error).__module__.startswith(("pyspark.", "grpc."))


def said(error: BaseException) -> str:
    """What Spark says of an error, in one line: without the text of the query and the stack of the server."""
    text = re.split(r"\n\s*(?:== |JVM stacktrace|Driver stacktrace|\tat |at )", f"{error}\n", maxsplit=1)[0]
    if details := re.search(r'details = "(.*?)"\s*\n', str(error)):  # of gRPC
        text = details[1]
    text = " ".join(text.split()).removeprefix("(").strip()
    shown = text or type(error).__name__
    return shown if len(shown) <= LONGEST_MESSAGE else f"{shown[:LONGEST_MESSAGE]} …"


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package above it
        return False
