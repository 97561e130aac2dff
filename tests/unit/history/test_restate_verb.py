"""`retention restate`: what it let in is its answer, and stands once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retention_pipeline.cli import runs
from retention_pipeline.history.sentences import Line
from retention_pipeline.orchestration import launch
from retention_pipeline.run.messages import MESSAGES, heard


def test_what_was_let_in_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["2 figures of complete periods changed: 2 because of rows that came late"]

    def launched(*_: Any, say: Any, **__: Any) -> Any:
        with heard(tmp_path / "runs", say):
            MESSAGES.info("figures: 12 rows, 2 changed")
            for line in map(Line, lines):
                MESSAGES.info(line)
        return SimpleNamespace(record={"restatements": lines}, seconds={})

    monkeypatch.setattr(launch, "launch", launched)
    monkeypatch.setattr(runs, "load_settings", lambda home: None)
    runs.restate(tmp_path, None, grain="month", as_json=False)
    told = capsys.readouterr()
    assert told.out.splitlines() == lines
    assert "figures: 12 rows" in told.err and lines[0] not in told.err
