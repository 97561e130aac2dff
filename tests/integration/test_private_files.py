"""What runs make is for its user alone, or the group where settings say so; what is run belongs to the user."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from retention_pipeline.cli.app import main
from retention_pipeline.publish import generations
from retention_pipeline.run.stopping import Interrupted, check_not_stopped
from retention_pipeline.settings import Home, keep_private, without_others
from retention_pipeline.transform.manifest import is_trusted


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(("with_group", "file_mode", "folder_mode"), [(False, 0o600, 0o700), (True, 0o640, 0o750)])
def test_files_are_made_for_the_user_or_the_group(
    tmp_path: Path, with_group: bool, file_mode: int, folder_mode: int
) -> None:
    keep_private(with_group=with_group)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    assert (tmp_path / "file").stat().st_mode & 0o777 == file_mode
    assert (tmp_path / "folder").stat().st_mode & 0o777 == folder_mode
    assert without_others(0o444) == file_mode & 0o444


def test_the_published_file_is_not_for_everybody(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    keep_private(with_group=False)
    for number in (1, 2):
        generations.begin(home, full_refresh=False)
        generations.publish(home, number, keep=3)
    made = [home.current.resolve(), home.published / "g1.duckdb", home.published, home.warehouse]
    assert [oct(path.stat().st_mode & 0o077) for path in made] == ["0o0"] * len(made)


def test_the_command_makes_files_for_its_user(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "home")])
    assert (tmp_path / "home" / "settings.yaml").stat().st_mode & 0o077 == 0


def test_a_cache_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "link").symlink_to("cache")
    assert is_trusted(tmp_path / "cache")
    assert not is_trusted(tmp_path / "link") and not is_trusted(tmp_path / "nothing")
    if os.getuid() == 0:
        os.chown(tmp_path / "cache", 4711, 4711)
        assert not is_trusted(tmp_path / "cache")


def test_a_signal_that_a_callback_swallowed_ends_the_start_all_the_same() -> None:
    """The exception that a signal raises in a callback is printed and forgotten; the signal is not."""
    program = (
        "import os, signal, weakref\n"
        "from retention_pipeline.run import stopping\n"
        "class Thing: pass\n"
        "stopping.listen()\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    thing = Thing()\n"
        "    kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), number))\n"
        "    stopping._stopped.clear()\n"
        "    del thing\n"
        "    try:\n"
        "        stopping.check_not_stopped()\n"
        "    except stopping.Interrupted:\n"
        "        print('ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["ended", "ended"], done.stderr
    check_not_stopped()
    assert Interrupted.exit_code == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_in_one_line(number: signal.Signals) -> None:
    """While it waits for the rest of a statement."""
    command = [sys.executable, "-m", "retention_pipeline.cli", "query", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"select ")
        process.stdin.flush()
        until = time.monotonic() + 60
        while _unread(process.stdin) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.decode().strip()) == (130, "Stopped.")


def _unread(pipe: IO[bytes]) -> int:
    """Bytes that the other end has not read yet."""
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def test_an_interrupt_within_code_made_of_a_string_ends_in_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import os, signal\n"
        "from retention_pipeline.cli import app\n"
        "def interrupted(**_):\n"
        "    exec('os.kill(os.getpid(), signal.SIGINT)')\n"
        "app.app = interrupted\n"
        "app.main()\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (130, "Stopped.")
