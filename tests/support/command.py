"""`retention` in this process: what it prints and how it ends, without the seconds that a process needs to begin.

What only a process shows (exit codes after signals, kills, two at once) is tested with one.
"""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from unittest.mock import patch

import pytest

from retention_pipeline.cli.app import main
from retention_pipeline.settings import Home


@dataclass(frozen=True)
class Answer:
    """As subprocess.CompletedProcess names it."""

    returncode: int
    stdout: str
    stderr: str


def retention(home: Home, *arguments: str, **environment: str) -> Answer:
    """`retention <arguments> --home <home>` in a wide terminal."""
    out, err = StringIO(), StringIO()
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.dict(os.environ, {"COLUMNS": "250"} | environment),
        pytest.raises(SystemExit) as ended,
    ):
        main([*arguments, "--home", str(home.root)])
    return Answer(int(ended.value.code or 0), out.getvalue(), err.getvalue())
