"""A small Spark cluster with a Connect server on this machine, for a try and for tests: python -m … COMMAND runs a
command beside one.

Needs Java 17 and the whole of pyspark (`pip install 'pyspark[connect]'`), which brings Spark along; a pipeline that
asks a server somewhere else needs neither. The tables of its schemas are forgotten when it ends; their files stay.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SECONDS_TO_START = 180.0
DAEMON_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.master.rest.enabled=false"
MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
CONNECT_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
# Plans of small tables are never run for long; on two cores, collecting garbage beside the work takes a sixth of them.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m -XX:+UseSerialGC"
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": JAVA_OPTIONS,
    "spark.executor.extraJavaOptions": JAVA_OPTIONS,
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",  # else some hundred thousand lines of a small build
    "spark.connect.grpc.binding.address": "127.0.0.1",
}


def why_not() -> str | None:
    """What is missing for a Spark on this machine."""
    found = find_spec("pyspark")
    if found is None or not found.origin or not (Path(found.origin).parent / "bin" / "spark-submit").exists():
        return "the whole of pyspark is not installed (pip install 'pyspark[connect]')"
    return None if shutil.which("java") else "there is no Java 17 (Debian: apt-get install openjdk-17-jre-headless)"


@contextmanager
def local_server(
    folder: Path,
    *,
    workers: int = 2,
    memory: str = "2g",
    memory_of_worker: str = "1g",
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The address of a Connect server that runs until the end of the block, on a standalone cluster of a master and of
    workers with a core each; without workers it does all the work itself. `folder` takes logs and scratch files.

    memory: of the server's heap. memory_of_worker: of its executor's. settings: further ones of Spark's. Raises
    RuntimeError with the end of the log of what does not start.
    """
    missing = why_not()
    if missing:
        raise RuntimeError(missing)
    spark = find_spec("pyspark")
    assert spark is not None and spark.origin is not None
    spark_home = Path(spark.origin).parent
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + SECONDS_TO_START
    port = _free_port()
    told = SETTINGS | {
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "scratch"),
        "spark.executor.memory": memory_of_worker,
        **(settings or {}),
    }
    with ExitStack() as stack:
        address = "local[2]"
        master, others = None, []
        if workers:
            master_port = _free_port()
            address = f"spark://127.0.0.1:{master_port}"
            arguments = ["--host", "127.0.0.1", "--port", str(master_port), "--webui-port", "0"]
            master = stack.enter_context(_started(spark_home, folder, "master", ["spark-class", MASTER, *arguments]))
            _wait_for(lambda: _answers(master_port), [master], deadline)
            arguments = ["--host", "127.0.0.1", "--cores", "1", "--memory", memory_of_worker, "--webui-port", "0"]
            for name in (f"worker{number}" for number in range(1, workers + 1)):
                command = ["spark-class", WORKER, *arguments, "--work-dir", str(folder / name), address]
                others.append(stack.enter_context(_started(spark_home, folder, name, command)))
        command = ["spark-submit", "--master", address, "--driver-memory", memory]
        for name, value in told.items():
            command += ["--conf", f"{name}={value}"]
        server = stack.enter_context(
            _started(spark_home, folder, "server", [*command, "--class", CONNECT_SERVER, "spark-internal"])
        )
        _wait_for(lambda: _answers(port), [server, *others], deadline)
        if master is not None:
            _wait_for(lambda: master.said().count("Registering worker") >= workers, [*others, master], deadline)
        yield f"sc://localhost:{port}"


@dataclass(frozen=True)
class Process:
    """One process of Spark's."""

    running: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def _started(spark_home: Path, folder: Path, name: str, command: list[str]) -> Iterator[Process]:
    """A process until the end of the block."""
    variables = {
        **{name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"},
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    if command[0] == "spark-class":  # master and workers; executors have memory of their own
        variables |= {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": DAEMON_OPTIONS}
    log = folder / f"{name}.log"
    with log.open("wb") as writing:
        process = subprocess.Popen(
            [str(spark_home / "bin" / command[0]), *command[1:]],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command beside it
        )
    try:
        yield Process(process, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _wait_for(is_so: Callable[[], bool], needed: list[Process], deadline: float) -> None:
    while time.monotonic() < deadline and all(one.running.poll() is None for one in needed):
        if is_so():
            return
        time.sleep(0.2)
    log = next((one.log for one in needed if one.running.poll() is not None), needed[0].log)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise RuntimeError(f"Spark did not start; the end of {log}:\n{end}")


def _answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def end_with_sigterm() -> None:
    """From now on SIGTERM ends this process as an error does: blocks are left, so the servers of theirs end, too."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def main(arguments: list[str]) -> int:
    """Run a command with SPARK_REMOTE set to a server that ends with it; its exit code."""
    if not arguments:
        print("usage: python -m retention_pipeline.transform.spark.local_server COMMAND …", file=sys.stderr)
        return 2
    end_with_sigterm()
    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        try:
            print("Starting Spark: a master, two workers and a Connect server (up to a minute)", file=sys.stderr)
            with local_server(Path(folder)) as address:
                print(f"Spark answers at {address}", file=sys.stderr)
                return _run_beside(arguments, address)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1


def _run_beside(arguments: list[str], address: str) -> int:
    command = subprocess.Popen(arguments, env=os.environ | {"SPARK_REMOTE": address})
    try:
        while True:
            try:
                return command.wait()
            except KeyboardInterrupt:  # it got the signal, too, and has something to say
                continue
    finally:
        command.terminate()
        command.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
