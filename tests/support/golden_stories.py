"""The golden stories of tests/golden: home folders with settings.yaml, as_of and landing/ (or make_landing.py)."""

from __future__ import annotations

import importlib.util
import shutil
from datetime import date
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"
STORIES = sorted(folder.name for folder in GOLDEN.iterdir() if (folder / "expected.csv").is_file())


def copy_story(story: str, root: Path) -> date:
    """Write the story's home to folder `root` with all its files; returns its as_of."""
    shutil.copytree(GOLDEN / story, root)
    script = root / "make_landing.py"
    if script.is_file():
        specification = importlib.util.spec_from_file_location(f"make_landing_of_{story}", script)
        assert specification and specification.loader
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        module.write(root / "landing")
    return date.fromisoformat((root / "as_of").read_text().strip())
