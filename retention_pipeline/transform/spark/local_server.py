"""A Spark Connect server on this machine, for a try and for tests: python -m … COMMAND runs a command beside one.

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

SECONDS_TO_START = 180.0
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Plans of small tables are never run for long.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m",
    "spark.ui.enabled": "false",
    "spark.connect.grpc.binding.address": "127.0.0.1",
}


def why_not() -> str | None:
    """What is missing for a Spark on this machine."""
    found = find_spec("pyspark")
    if found is None or not found.origin or not (Path(found.origin).parent / "bin" / "spark-submit").exists():
        return "the whole of pyspark is not installed (pip install 'pyspark[connect]')"
    return None if shutil.which("java") else "there is no Java 17 (Debian: apt-get install openjdk-17-jre-headless)"


@contextmanager
def local_server(folder: Path, *, cores: int = 2, memory: str = "3g") -> Iterator[str]:
    """The address of a server that runs until the end of the block. `folder` takes its log and its scratch files.

    Raises RuntimeError with the end of its log where it does not start.
    """
    missing = why_not()
    if missing:
        raise RuntimeError(missing)
    spark = find_spec("pyspark")
    assert spark is not None and spark.origin is not None
    spark_home = Path(spark.origin).parent
    port = _free_port()
    settings = SETTINGS | {
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "scratch"),
    }
    command = [str(spark_home / "bin" / "spark-submit"), "--master", f"local[{cores}]", "--driver-memory", memory]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    variables = {
        **{name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"},
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    with log.open("wb") as writing:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command beside it
        )
    try:
        _wait_for(server, port, log)
        yield f"sc://localhost:{port}"
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.2)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise RuntimeError(f"Spark did not start; the end of {log}:\n{end}")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def main(arguments: list[str]) -> int:
    """Run a command with SPARK_REMOTE set to a server that ends with it; its exit code."""
    if not arguments:
        print("usage: python -m retention_pipeline.transform.spark.local_server COMMAND …", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # else the server would stay
    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        try:
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
