"""What a run says reaches people and its log; errors stand in the log alone."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path

import pytest

from retention_pipeline.run.messages import LOG_FILE, MESSAGES, ForFiles, heard


def test_people_and_the_log_hear_the_same_and_errors_are_in_the_log_alone(tmp_path: Path) -> None:
    said: list[str] = []
    with heard(tmp_path / "run", said.append):
        MESSAGES.info("100 % of 2 files\nand a second line")
        MESSAGES.error("AuditError: \x1b[31mred")
    MESSAGES.info("nobody listens any more")
    assert said == ["100 % of 2 files\nand a second line"]
    lines = (tmp_path / "run" / LOG_FILE).read_text().splitlines()
    assert [re.sub("^[0-9T:-]+Z ", "", line) for line in lines] == [
        "INFO    100 % of 2 files",
        "INFO    and a second line",
        r"ERROR   AuditError: \x1b[31mred",
    ]


def test_a_log_that_cannot_be_written_stops_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with heard(tmp_path, said.append):
        assert isinstance(MESSAGES.handlers[-1], ForFiles)
        replaced = MESSAGES.handlers[-1].setStream(Path("/dev/full").open("w"))  # noqa: SIM115 - the handler closes it
        assert replaced is not None
        replaced.close()
        MESSAGES.info("still heard")
    assert said == ["still heard"]
    assert capsys.readouterr().err == ""


def test_another_log_of_the_run_that_cannot_be_written_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = logging.getLogger("of_dbt")
    with suppress(OSError), Path("/dev/full").open("w") as full:
        other.addHandler(handler := logging.StreamHandler(full))
        with heard(tmp_path, lambda text: None):
            other.error("to a full disk")
        other.removeHandler(handler)
    assert logging.raiseExceptions
    assert capsys.readouterr().err == ""
